#include "../path_points.h"

#include <ATen/Parallel.h>

#include "../path_points_element.h"

namespace pyxai::cpu {
namespace {

template <typename T>
void write_row(const PathPointsParams& p, int64_t s, int64_t b) {
  using acc_t = accumulate_t<T>;
  const T* inputs = static_cast<const T*>(p.inputs) + b * p.features;
  const T* baselines = static_cast<const T*>(p.baselines);
  T constant;
  store(&constant, static_cast<acc_t>(p.baseline_value));
  T* out = static_cast<T*>(p.out) + (s * p.batch + b) * p.features;
  for (int64_t f = 0; f < p.features; ++f) {
    const T baseline = baselines != nullptr ? baselines[b * p.baseline_stride + f] : constant;
    path_points_element(out + f, inputs[f], baseline, static_cast<acc_t>(p.nodes[s]),
                        path_fixed(p.players, p.players_stride, p.selected, p.n_words, b, f));
  }
}

}  // namespace

void path_points(const PathPointsParams& p, void*) {
  at::parallel_for(0, p.n_nodes * p.batch, 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i)
      PYXAI_VISIT_DTYPE(p.dtype, write_row<scalar_t>(p, i / p.batch, i % p.batch));
  });
}

}  // namespace pyxai::cpu
