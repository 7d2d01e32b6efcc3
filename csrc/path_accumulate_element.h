// What turns the weighted gradient sum of one feature into its attribution.
#pragma once

#include "path_accumulate.h"

namespace pyxai {
namespace {

// The attribution that the weighted gradient sum of feature f of example b gives: the sum times the
// input difference. Features that do not move get 0 whatever their gradient.
template <typename T>
PYXAI_HD accumulate_t<T> path_accumulate_element(const PathAccumulateParams& p, int64_t b,
                                                 int64_t f, accumulate_t<T> sum) {
  if (path_fixed(p.players, p.selected, b, f)) return accumulate_t<T>(0);
  if (!p.multiply_by_inputs) return sum;
  const T input = static_cast<const T*>(p.inputs)[b * p.features + f];
  return sum * (load(input) - load(baseline_at<T>(p.baselines, b, f)));
}

}  // namespace
}  // namespace pyxai
