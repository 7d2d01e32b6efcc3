#include "../cuda/sample_permutations.cu"
