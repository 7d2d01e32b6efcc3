#include "../cuda/masked_perturb.cu"
