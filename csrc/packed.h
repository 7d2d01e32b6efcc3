// Reading packed masks: 32 players a word, bit j of word k is player 32 * k + j, 1 = keep.
#pragma once

#include "dtype.h"

namespace pyxai {
namespace {

// Whether a mask keeps `player`. Nobody's features (negative) are kept, and so are ids that the
// mask has no bit for: memory stays safe without a look at the map, which would wait for the
// device.
PYXAI_HD bool mask_keeps(const int32_t* mask, int64_t n_words, int32_t player) {
  if (player < 0 || player / 32 >= n_words) return true;
  return ((static_cast<uint32_t>(mask[player / 32]) >> (player % 32)) & 1u) != 0;
}

// The player of feature f of example b.
PYXAI_HD int32_t player_of(const int32_t* players, int64_t stride, int64_t b, int64_t f) {
  return players != nullptr ? players[b * stride + f] : static_cast<int32_t>(f);
}

}  // namespace
}  // namespace pyxai
