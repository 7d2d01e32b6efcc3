#include "../cuda/greedy_select.cu"
