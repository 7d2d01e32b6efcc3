#include "../cuda/sample_coalitions.cu"
