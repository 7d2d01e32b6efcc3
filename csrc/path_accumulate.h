// out[b, f] += (inputs - baselines)[b, f] * sum_s weights[s] * grads[s, b, f]; 0 where the player
// of f is selected.
#pragma once

#include "op.h"

namespace pyxai {

struct PathAccumulateParams {
  DType dtype;            // of grads, inputs and baselines
  const void* grads;      // [n_nodes, batch, features]
  const double* weights;  // [n_nodes]
  const void* inputs;     // [batch, features]; null: the sum is not multiplied by the difference
  const void* baselines;  // [batch or 1, features]; null: baseline_value
  double baseline_value;
  int64_t baseline_stride;  // elements between the baselines of two examples, 0 if shared
  const int32_t* players;   // [batch or 1, features]; null: player = feature
  int64_t players_stride;   // elements between the maps of two examples, 0 if shared
  const int32_t* selected;  // [batch, n_words] packed; null: none
  int64_t n_words;
  int64_t n_nodes, batch, features;
  void* out;  // [batch, features], accumulation type
};

PYXAI_DECLARE_OP(path_accumulate, PathAccumulateParams)

}  // namespace pyxai
