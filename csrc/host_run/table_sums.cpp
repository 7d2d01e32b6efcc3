#include "../cuda/table_sums.cu"
