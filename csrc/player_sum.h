// out[b, i] += sum of values[b, f] over the features f of player i.
#pragma once

#include "op.h"
#include "segments.h"
#include "views.h"

namespace pyxai {

struct PlayerSumParams {
  DType dtype;              // of values
  const void* values;       // [batch, features], any unit
  PlayerView players;       // who owns a feature
  SegmentView segments;     // the same map turned around, read by CUDA only; null with null players
  int64_t batch, features;  // sizes of values
  int64_t n_players;        // without players: features
  void* out;                // [batch, n_players], accumulation type, unit of values; added to
};

PYXAI_DECLARE_OP(player_sum, PlayerSumParams)

}  // namespace pyxai
