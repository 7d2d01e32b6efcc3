#include "../cuda/path_moments.cu"
