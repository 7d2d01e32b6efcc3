// How kernels see the arguments that several ops share, free of torch.
#pragma once

#include "dtype.h"

namespace pyxai {

struct BaselineView {
  const void* data;  // [1 or batch, n_draws * features] of the dtype of the inputs; null: `value`
  double value;
  int64_t stride;  // elements between the baselines of two examples, 0 if shared
};

struct PlayerView {
  const int32_t* data;  // [1 or batch, features] player of each feature; null: player = feature
  int64_t stride;       // elements between the maps of two examples, 0 if shared
};

// Packed masks: 32 players a word, bit j of word k is player 32 * k + j, 1 = keep.
struct MaskView {
  const int32_t* data;  // [1 or batch, n_masks, n_words]; null: no mask
  int64_t stride;       // words between the masks of two examples, 0 if shared
  int64_t n_words;
};

namespace {

// The player of feature f of example b.
PYXAI_HD int32_t player_of(const PlayerView& players, int64_t b, int64_t f) {
  return players.data != nullptr ? players.data[b * players.stride + f] : static_cast<int32_t>(f);
}

PYXAI_HD const int32_t* mask_of(const MaskView& masks, int64_t b, int64_t m) {
  return masks.data + b * masks.stride + m * masks.n_words;
}

// Whether a mask keeps `player`. Features of nobody (negative) are kept, and so are those of a
// player without a bit: memory stays safe without a look at the map, which would wait for the
// device.
PYXAI_HD bool mask_keeps(const int32_t* mask, int64_t n_words, int32_t player) {
  if (player < 0 || player / 32 >= n_words) return true;
  return ((static_cast<uint32_t>(mask[player / 32]) >> (player % 32)) & 1u) != 0;
}

// Whether feature f of example b sits at the input all along a path: its player is selected, or it
// belongs to nobody.
PYXAI_HD bool path_fixed(const PlayerView& players, const MaskView& selected, int64_t b,
                         int64_t f) {
  const int32_t player = player_of(players, b, f);
  if (selected.data == nullptr) return player < 0;
  return mask_keeps(mask_of(selected, b, 0), selected.n_words, player);
}

template <typename T>
PYXAI_HD T baseline_at(const BaselineView& baselines, int64_t b, int64_t f) {
  if (baselines.data != nullptr)
    return static_cast<const T*>(baselines.data)[b * baselines.stride + f];
  T constant;
  store(&constant, static_cast<accumulate_t<T>>(baselines.value));
  return constant;
}

}  // namespace
}  // namespace pyxai
