#include "../cuda/ordered_affine.cu"
