#include "../cuda/philox_random.cu"
