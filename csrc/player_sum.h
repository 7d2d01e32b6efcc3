// out[b, i] += sum of values[b, f] over the features f of player i.
#pragma once

#include "op.h"
#include "segments.h"
#include "views.h"

namespace pyxai {

struct PlayerSumParams {
  DType dtype;         // of values
  const void* values;  // [batch, features]
  PlayerView players;
  SegmentView segments;  // the same map turned around, read by CUDA only; null with null players
  int64_t batch, features, n_players;
  void* out;  // [batch, n_players], accumulation type
};

PYXAI_DECLARE_OP(player_sum, PlayerSumParams)

}  // namespace pyxai
