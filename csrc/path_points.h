// out[s, b, f] = baselines + nodes[s] * (inputs - baselines); inputs where the player of f is
// selected.
#pragma once

#include "op.h"
#include "views.h"

namespace pyxai {

struct PathPointsParams {
  DType dtype;             // of inputs, baselines and out
  const void* inputs;      // [batch / repeats, features], ends of the paths, in input units
  int64_t repeats;         // paths side by side that end at one input
  BaselineView baselines;  // starts of the paths
  RowView rows;            // [batch], row of baselines at which a path starts; null: its own
  const double* nodes;     // [n_nodes, 1 or batch], positions: 0 at the start, 1 at the end
  int64_t nodes_stride;    // 1 where each path has its own nodes, 0 if they are shared
  PlayerView players;      // whose bit in selected decides; features of nobody sit at the input
  MaskView selected;       // one per example: players that sit at the input; null: none
  int64_t n_nodes;         // points of each path
  int64_t batch;           // paths
  int64_t features;        // of an input
  void* out;               // [n_nodes, batch, features], in input units
};

PYXAI_DECLARE_OP(path_points, PathPointsParams)

}  // namespace pyxai
