#include "../cuda/pairwise_taylor.cu"
