#include "../launch.h"
#include "../path_points.h"
#include "../path_points_element.h"

namespace pyxai::PYXAI_BACKEND_NS {
namespace {

template <typename T>
PYXAI_KERNEL path_points_kernel(PathPointsParams p) {
  using acc_t = accumulate_t<T>;
  const int64_t count = p.batch * p.features;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += static_cast<int64_t>(gridDim.x) * blockDim.x) {
    const int64_t b = i / p.features, f = i - b * p.features;
    T baseline;
    if (p.baselines != nullptr)
      baseline = static_cast<const T*>(p.baselines)[b * p.baseline_stride + f];
    else
      store(&baseline, static_cast<acc_t>(p.baseline_value));
    const T input = static_cast<const T*>(p.inputs)[i];
    const bool fixed = path_fixed(p.players, p.players_stride, p.selected, p.n_words, b, f);
    for (int64_t s = 0; s < p.n_nodes; ++s)
      path_points_element(static_cast<T*>(p.out) + s * count + i, input, baseline,
                          static_cast<acc_t>(p.nodes[s]), fixed);
  }
}

}  // namespace

void path_points(const PathPointsParams& p, void* stream) {
  const unsigned grid = grid_for(p.batch * p.features);
  PYXAI_VISIT_DTYPE(p.dtype,
                    PYXAI_LAUNCH(path_points_kernel<scalar_t>, grid, kBlock, 0, stream, p));
}

}  // namespace pyxai::PYXAI_BACKEND_NS
