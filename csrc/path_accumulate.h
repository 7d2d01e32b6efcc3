// out[b, f] += (inputs - baselines)[b, f] * sum_s weights[s] * grads[s, b, f]; 0 where the player
// of f is selected.
#pragma once

#include "op.h"
#include "views.h"

namespace pyxai {

struct PathAccumulateParams {
  DType dtype;            // of grads, inputs and baselines
  const void* grads;      // [n_nodes, batch, features]
  const double* weights;  // [n_nodes]
  const void* inputs;     // [batch, features]
  bool multiply_by_inputs;
  BaselineView baselines;
  PlayerView players;
  MaskView selected;  // one per example
  int64_t n_nodes, batch, features;
  void* out;  // [batch, features], accumulation type
};

PYXAI_DECLARE_OP(path_accumulate, PathAccumulateParams)

}  // namespace pyxai
