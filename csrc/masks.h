// Packed masks: 32 players a word, bit j of word k is player 32 * k + j, 1 = keep.
#pragma once

#include "dtype.h"
#include "sizes.h"

namespace pyxai {
namespace {

PYXAI_HD int64_t mask_words(int64_t n_players) { return (n_players + kMaskBits - 1) / kMaskBits; }

// Where a player stands; unsigned, so that both are shifts.
PYXAI_HD int64_t mask_word(int64_t player) {
  return static_cast<int64_t>(static_cast<uint64_t>(player) / kMaskBits);
}
PYXAI_HD uint32_t mask_bit(int64_t player) {
  return 1u << (static_cast<uint64_t>(player) % kMaskBits);
}

PYXAI_HD bool mask_has(const int32_t* mask, int64_t player) {
  return (static_cast<uint32_t>(mask[mask_word(player)]) & mask_bit(player)) != 0;
}

// The bits of word w that stand for players.
PYXAI_HD uint32_t used_bits(int64_t n_players, int64_t w) {
  const int64_t left = n_players - kMaskBits * w;
  return left >= kMaskBits ? ~0u : mask_bit(left) - 1u;
}

// Whether a mask of `n_words` has a bit for `player`. Features of nobody (negative) have none, and
// those of a player beyond the words neither: memory stays safe without a look at the map, which
// would wait for the device.
PYXAI_HD bool mask_decides(int64_t n_words, int32_t player) {
  return player >= 0 && mask_word(player) < n_words;
}

// Whether a mask keeps `player`; what no bit decides over is kept.
PYXAI_HD bool mask_keeps(const int32_t* mask, int64_t n_words, int32_t player) {
  return !mask_decides(n_words, player) || mask_has(mask, player);
}

}  // namespace
}  // namespace pyxai
