// What turns the weighted gradient sum of one feature into its attribution.
#pragma once

#include "path_accumulate.h"

namespace pyxai {
namespace {

// Input difference of feature f of example b, 0 where its player already sits at the input.
template <typename T>
PYXAI_HD accumulate_t<T> path_difference(const PathAccumulateParams& p, int64_t b, int64_t f) {
  using acc_t = accumulate_t<T>;
  if (p.selected != nullptr) {
    const int32_t player =
        p.players != nullptr ? p.players[b * p.players_stride + f] : static_cast<int32_t>(f);
    const bool kept =
        player < 0 ||
        ((static_cast<uint32_t>(p.selected[b * p.n_words + player / 32]) >> (player % 32)) & 1u);
    if (kept) return acc_t(0);
  }
  if (p.inputs == nullptr) return acc_t(1);
  const acc_t baseline =
      p.baselines != nullptr
          ? static_cast<acc_t>(load(static_cast<const T*>(p.baselines)[b * p.baseline_stride + f]))
          : static_cast<acc_t>(p.baseline_value);
  return static_cast<acc_t>(load(static_cast<const T*>(p.inputs)[b * p.features + f])) - baseline;
}

}  // namespace
}  // namespace pyxai
