#include "../cuda/share_bias.cu"
