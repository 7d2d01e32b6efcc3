#include "../launch.h"
#include "../path_moments.h"
#include "../path_moments_element.h"
#include "weighted_nodes.h"

namespace pyxai::PYXAI_BACKEND_NS {
namespace {

// Reads the samples of elements i .. i + N - 1 of one group, less their origin.
template <typename T, int N, bool kWays>
struct Samples {
  using acc_t = accumulate_t<T>;
  const PathMomentsParams& p;
  int64_t group, i;
  acc_t origin[N];

  __device__ Samples(const PathMomentsParams& params, int64_t element)
      : p(params), group(divide(element, params.total)), i(element - group * params.total) {
    for (int j = 0; j < N; ++j)
      origin[j] = p.origin != nullptr ? static_cast<const acc_t*>(p.origin)[element + j] : acc_t(0);
  }

  __device__ void operator()(int64_t s, acc_t (&values)[N]) const {
    const int64_t node = group * p.n_nodes + s;
    const Pack<T, N> grads = load_pack<T, N>(p.grads, node * p.total + i);
    Pack<T, N> ends{}, starts{};
    if constexpr (kWays) {
      const int64_t end = p.inputs_stride == 0 ? group : node;
      ends = load_pack<T, N>(p.inputs, end * p.total + i);
      starts = load_pack<T, N>(p.baselines, row_of(p.rows, node) * p.total + i);
    }
    for (int j = 0; j < N; ++j)
      values[j] = path_moments_value<kWays>(grads.at[j], ends.at[j], starts.at[j]) - origin[j];
  }
};

template <typename T, int N, int kOrder, bool kWays>
PYXAI_KERNEL path_moments_kernel(PathMomentsParams p, int slices) {
  using acc_t = accumulate_t<T>;
  acc_t* out = static_cast<acc_t*>(p.out);
  const int64_t elements = p.n_groups * p.total;
  weigh_nodes<acc_t, N, kOrder>(
      p.weights, p.n_nodes, elements, slices, [&](int64_t i) { return Samples<T, N, kWays>(p, i); },
      [](acc_t* sums, acc_t weight, acc_t value) {
        path_moments_element<kOrder>(sums, weight, value);
      },
      [&](int64_t i, const acc_t* sums) {
        for (int k = 0; k < kOrder; ++k) out[k * elements + i] += sums[k];
      });
}

}  // namespace

void path_moments(const PathMomentsParams& p, void* stream) {
  PYXAI_VISIT_DTYPE(p.dtype, {
    const bool fits = packs_fit(p.total * static_cast<int64_t>(sizeof(scalar_t)),
                                {p.grads, p.inputs, p.baselines});
    PYXAI_VISIT_PACK(scalar_t, fits, PYXAI_VISIT_MOMENTS(p, {
                       const NodePlan plan = plan_nodes(p.n_groups * p.total / kPack, p.n_nodes);
                       const size_t shared = sizeof(accumulate_t<scalar_t>) * kPack * kBlock;
                       PYXAI_LAUNCH((path_moments_kernel<scalar_t, kPack, kOrder, kWays>),
                                    plan.grid, kBlock, shared, stream, p, plan.slices);
                     }));
  });
}

}  // namespace pyxai::PYXAI_BACKEND_NS
