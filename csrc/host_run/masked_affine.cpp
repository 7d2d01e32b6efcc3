#include "../cuda/masked_affine.cu"
