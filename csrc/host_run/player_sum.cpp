#include "../cuda/player_sum.cu"
