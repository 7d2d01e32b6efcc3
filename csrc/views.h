// How kernels see the arguments that several ops share, free of torch.
#pragma once

#include "masks.h"

namespace pyxai {

struct BaselineView {
  const void* data;  // [1 or batch, n_draws * features] of the dtype of the inputs; null: `value`
  double value;      // of all features, in input units; not read unless `data` is null
  int64_t stride;    // elements between the baselines of two examples, 0 if shared
};

struct PlayerView {
  const int32_t* data;  // [1 or batch, features] player of each feature; null: player = feature
  int64_t stride;       // elements between the maps of two examples, 0 if shared
};

struct MaskView {
  const int32_t* data;  // [1 or batch, n_masks, n_words], packed; null: no mask
  int64_t stride;       // words between the masks of two examples, 0 if shared
  int64_t n_words;      // of a mask
};

struct RowView {
  const int64_t* data;  // row of a table that each item uses; null: its own
  int64_t count;        // rows of the table
};

namespace {

// The row that item i uses. Those out of range are brought into it: memory stays safe without a
// look at them, which would wait for the device.
PYXAI_HD int64_t row_of(const RowView& rows, int64_t i) {
  if (rows.data == nullptr) return i;
  const int64_t row = rows.data[i];
  return row < 0 ? 0 : row >= rows.count ? rows.count - 1 : row;
}

// The player of feature f of example b.
PYXAI_HD int32_t player_of(const PlayerView& players, int64_t b, int64_t f) {
  return players.data != nullptr ? players.data[b * players.stride + f] : static_cast<int32_t>(f);
}

PYXAI_HD const int32_t* mask_of(const MaskView& masks, int64_t b, int64_t m) {
  return masks.data + b * masks.stride + m * masks.n_words;
}

// Where the row of mask m and draw d of example b begins in [batch, n_masks, n_draws, features].
template <typename Params>
PYXAI_HD int64_t perturbed_row(const Params& p, int64_t b, int64_t m, int64_t d) {
  return ((b * p.n_masks + m) * p.n_draws + d) * p.features;
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
