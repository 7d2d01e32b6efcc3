#include "../cuda/moebius_transform.cu"
