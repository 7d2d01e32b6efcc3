#include "../launch.h"
#include "../path_moments.h"
#include "../path_moments_element.h"
#include "weighted_nodes.h"

namespace pyxai::PYXAI_BACKEND_NS {
namespace {

template <typename T, int N>
PYXAI_KERNEL path_moments_kernel(PathMomentsParams p, int slices) {
  using acc_t = accumulate_t<T>;
  acc_t* out = static_cast<acc_t*>(p.out);
  weigh_nodes<T, N, 2>(
      p.grads, p.weights, p.n_nodes, p.total, slices,
      [](acc_t* sums, acc_t weight, acc_t grad) {
        path_moments_element(sums[0], sums[1], weight, grad);
      },
      [&](int64_t i, const acc_t* sums) {
        out[i] += sums[0];
        out[p.total + i] += sums[1];
      });
}

}  // namespace

void path_moments(const PathMomentsParams& p, void* stream) {
  PYXAI_VISIT_DTYPE(p.dtype, {
    const bool fits = packs_fit(p.total * static_cast<int64_t>(sizeof(scalar_t)), {p.grads});
    PYXAI_VISIT_PACK(scalar_t, fits, {
      const NodePlan plan = plan_nodes(p.total / kPack, p.n_nodes);
      const size_t shared = sizeof(accumulate_t<scalar_t>) * kPack * kBlock;
      PYXAI_LAUNCH((path_moments_kernel<scalar_t, kPack>), plan.grid, kBlock, shared, stream, p,
                   plan.slices);
    });
  });
}

}  // namespace pyxai::PYXAI_BACKEND_NS
