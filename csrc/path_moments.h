// out[0, b, f] += sum_s weights[s] g[s, b, f] and out[1, b, f] += sum_s weights[s] g[s, b, f]^2.
#pragma once

#include "op.h"

namespace pyxai {

struct PathMomentsParams {
  DType dtype;            // of grads
  const void* grads;      // [n_nodes, total], any unit
  const double* weights;  // [n_nodes], no unit
  int64_t n_nodes;        // samples, in this chunk of them
  int64_t total;          // elements of a sample
  void* out;              // [2, total], accumulation type, unit of grads and its square; added to
};

PYXAI_DECLARE_OP(path_moments, PathMomentsParams)

}  // namespace pyxai
