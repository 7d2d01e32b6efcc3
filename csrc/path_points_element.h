// Where one feature stands on the path.
#pragma once

#include "interpolate.h"
#include "path_points.h"

namespace pyxai {
namespace {

template <typename T>
PYXAI_HD const T* path_end(const PathPointsParams& p, int64_t b) {
  return static_cast<const T*>(p.inputs) + (p.repeats == 1 ? b : b / p.repeats) * p.features;
}

// Features that do not move get their input as baseline, so that no node needs a test.
template <typename T>
PYXAI_HD T path_start(const PathPointsParams& p, int64_t b, int64_t f, T input) {
  if (path_fixed(p.players, p.selected, b, f)) return input;
  return baseline_at<T>(p.baselines, row_of(p.rows, b), f);
}

// The position of path b at node s.
PYXAI_HD double path_node(const PathPointsParams& p, int64_t s, int64_t b) {
  return p.nodes[p.nodes_stride == 0 ? s : s * p.batch + b];
}

template <typename T>
PYXAI_HD void path_points_element(T* out, T input, T start, accumulate_t<T> node) {
  store(out, interpolate(load(start), load(input), node));
}

}  // namespace
}  // namespace pyxai
