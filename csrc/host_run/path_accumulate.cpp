#include "../cuda/path_accumulate.cu"
