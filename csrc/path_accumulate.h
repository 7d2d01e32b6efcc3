// out[b, f] += (inputs - baselines)[b, f] * sum_s weights[s] * grads[s, b, f]; 0 where the player
// of f is selected.
#pragma once

#include "op.h"
#include "views.h"

namespace pyxai {

struct PathAccumulateParams {
  DType dtype;              // of grads, inputs and baselines
  const void* grads;        // [n_nodes, batch, features], in output units per input unit
  const double* weights;    // [n_nodes], quadrature weights, no unit
  const void* inputs;       // [batch, features], end of the path, in input units
  bool multiply_by_inputs;  // by inputs - baselines; if not, neither is read
  BaselineView baselines;   // start of the path
  PlayerView players;       // whose bit in selected decides; features of nobody get 0
  MaskView selected;        // one per example: players that do not move and get 0; null: none
  int64_t n_nodes;          // points of the path, in this chunk of it
  int64_t batch, features;  // sizes of inputs
  void* out;                // [batch, features], accumulation type, in output units; added to
};

PYXAI_DECLARE_OP(path_accumulate, PathAccumulateParams)

}  // namespace pyxai
