#include "../cuda/soft_perturb.cu"
