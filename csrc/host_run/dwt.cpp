#include "../cuda/dwt.cu"
