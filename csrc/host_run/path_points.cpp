#include "../cuda/path_points.cu"
