// out[s, b, f] = baselines + nodes[s] * (inputs - baselines); inputs where the player of f is
// selected.
#pragma once

#include "op.h"

namespace pyxai {

struct PathPointsParams {
  DType dtype;            // of inputs, baselines and out
  const void* inputs;     // [batch, features]
  const void* baselines;  // [batch or 1, features]; null: baseline_value
  double baseline_value;
  int64_t baseline_stride;  // elements between the baselines of two examples, 0 if shared
  const double* nodes;      // [n_nodes]
  const int32_t* players;   // [batch or 1, features]; null: player = feature
  int64_t players_stride;   // elements between the maps of two examples, 0 if shared
  const int32_t* selected;  // [batch, n_words] packed; null: none
  int64_t n_words;
  int64_t n_nodes, batch, features;
  void* out;  // [n_nodes, batch, features]
};

PYXAI_DECLARE_OP(path_points, PathPointsParams)

}  // namespace pyxai
