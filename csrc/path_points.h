// out[s, b, f] = baselines + nodes[s] * (inputs - baselines); inputs where the player of f is
// selected.
#pragma once

#include "op.h"
#include "views.h"

namespace pyxai {

struct PathPointsParams {
  DType dtype;         // of inputs, baselines and out
  const void* inputs;  // [batch, features]
  BaselineView baselines;
  const double* nodes;  // [n_nodes]
  PlayerView players;
  MaskView selected;  // one per example
  int64_t n_nodes, batch, features;
  void* out;  // [n_nodes, batch, features]
};

PYXAI_DECLARE_OP(path_points, PathPointsParams)

}  // namespace pyxai
