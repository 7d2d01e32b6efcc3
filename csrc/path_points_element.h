// Where one feature stands on the path.
#pragma once

#include "interpolate.h"
#include "packed.h"
#include "path_points.h"

namespace pyxai {
namespace {

// Whether feature f of example b sits at the input all along: its player is selected, or it
// belongs to nobody.
PYXAI_HD bool path_fixed(const int32_t* players, int64_t players_stride, const int32_t* selected,
                         int64_t n_words, int64_t b, int64_t f) {
  const int32_t player = player_of(players, players_stride, b, f);
  return selected != nullptr ? mask_keeps(selected + b * n_words, n_words, player) : player < 0;
}

template <typename T>
PYXAI_HD void path_points_element(T* out, T input, T baseline, accumulate_t<T> node, bool fixed) {
  if (fixed)
    *out = input;
  else
    store(out, interpolate(load(baseline), load(input), node));
}

}  // namespace
}  // namespace pyxai
