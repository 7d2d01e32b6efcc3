// out[s, b, f] = baselines + nodes[s] * (inputs - baselines); inputs where the player of f is
// selected.
#pragma once

#include "op.h"
#include "views.h"

namespace pyxai {

struct PathPointsParams {
  DType dtype;              // of inputs, baselines and out
  const void* inputs;       // [batch, features], end of the path, in input units
  BaselineView baselines;   // start of the path
  const double* nodes;      // [n_nodes], positions on the path: 0 at the start, 1 at the end
  PlayerView players;       // whose bit in selected decides; features of nobody sit at the input
  MaskView selected;        // one per example: players that sit at the input; null: none
  int64_t n_nodes;          // points of each path
  int64_t batch, features;  // sizes of inputs
  void* out;                // [n_nodes, batch, features], in input units
};

PYXAI_DECLARE_OP(path_points, PathPointsParams)

}  // namespace pyxai
