// Which features each player owns, for sums over players in a fixed order.
#pragma once

#include <cstdint>

namespace pyxai {

struct SegmentView {
  const int32_t* order;    // [1 or batch, features] features, those of one player side by side
  const int32_t* offsets;  // [1 or batch, n_players + 1] where each player's features begin
  int64_t order_stride, offsets_stride;  // 0 if shared
};

}  // namespace pyxai
