// out[0, b, f] += sum_s weights[s] g[s, b, f] and out[1, b, f] += sum_s weights[s] g[s, b, f]^2.
#pragma once

#include "op.h"

namespace pyxai {

struct PathMomentsParams {
  DType dtype;            // of grads
  const void* grads;      // [n_nodes, total]
  const double* weights;  // [n_nodes]
  int64_t n_nodes, total;
  void* out;  // [2, total], accumulation type
};

PYXAI_DECLARE_OP(path_moments, PathMomentsParams)

}  // namespace pyxai
