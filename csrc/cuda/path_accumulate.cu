#include "../launch.h"
#include "../path_accumulate.h"
#include "../path_accumulate_element.h"
#include "weighted_nodes.h"

namespace pyxai::PYXAI_BACKEND_NS {
namespace {

template <typename T, int N>
PYXAI_KERNEL path_accumulate_kernel(PathAccumulateParams p, int slices) {
  using acc_t = accumulate_t<T>;
  const int64_t total = p.batch * p.features;
  acc_t* out = static_cast<acc_t*>(p.out);
  weigh_nodes<acc_t, N, 1>(
      p.weights, p.n_nodes, total, slices,
      [&](int64_t i) {
        return [&p, total, i](int64_t s, acc_t(&values)[N]) {
          const Pack<T, N> pack = load_pack<T, N>(p.grads, s * total + i);
          for (int j = 0; j < N; ++j) values[j] = load(pack.at[j]);
        };
      },
      [](acc_t* sums, acc_t weight, acc_t grad) { sums[0] += weight * grad; },
      [&](int64_t i, const acc_t* sums) {
        const int64_t b = divide(i, p.features);
        out[i] += path_accumulate_element<T>(p, b, i - b * p.features, sums[0]);
      });
}

}  // namespace

void path_accumulate(const PathAccumulateParams& p, void* stream) {
  const int64_t total = p.batch * p.features;
  PYXAI_VISIT_DTYPE(p.dtype, {
    const bool fits = packs_fit(total * static_cast<int64_t>(sizeof(scalar_t)), {p.grads});
    PYXAI_VISIT_PACK(scalar_t, fits, {
      const NodePlan plan = plan_nodes(total / kPack, p.n_nodes);
      const size_t shared = sizeof(accumulate_t<scalar_t>) * kPack * kBlock;
      PYXAI_LAUNCH((path_accumulate_kernel<scalar_t, kPack>), plan.grid, kBlock, shared, stream, p,
                   plan.slices);
    });
  });
}

}  // namespace pyxai::PYXAI_BACKEND_NS
