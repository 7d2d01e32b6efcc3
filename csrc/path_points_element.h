// Where one feature stands on the path.
#pragma once

#include "interpolate.h"
#include "path_points.h"

namespace pyxai {
namespace {

// Features that do not move get their input as baseline, so that no node needs a test.
template <typename T>
PYXAI_HD T path_start(const PathPointsParams& p, int64_t b, int64_t f, T input) {
  return path_fixed(p.players, p.selected, b, f) ? input : baseline_at<T>(p.baselines, b, f);
}

template <typename T>
PYXAI_HD void path_points_element(T* out, T input, T start, accumulate_t<T> node) {
  store(out, interpolate(load(start), load(input), node));
}

}  // namespace
}  // namespace pyxai
