#include "../launch.h"
#include "../path_points.h"
#include "../path_points_element.h"
#include "pack.h"

namespace pyxai::PYXAI_BACKEND_NS {
namespace {

// One thread writes the same features at `nodes_each` nodes: inputs and starts are read once.
template <typename T, int N>
PYXAI_KERNEL path_points_kernel(PathPointsParams p, int64_t nodes_each) {
  using acc_t = accumulate_t<T>;
  const int64_t total = p.batch * p.features, chunks = total / N;
  const int64_t count = chunks * ((p.n_nodes + nodes_each - 1) / nodes_each);
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += static_cast<int64_t>(gridDim.x) * blockDim.x) {
    const int64_t group = divide(i, chunks), element = (i - group * chunks) * N;
    const int64_t b = divide(element, p.features), f = element - b * p.features;
    const Pack<T, N> inputs = load_pack<T, N>(path_end<T>(p, b), f);
    Pack<T, N> starts;
    for (int j = 0; j < N; ++j) starts.at[j] = path_start(p, b, f + j, inputs.at[j]);
    const int64_t begin = group * nodes_each;
    const int64_t end = begin + nodes_each < p.n_nodes ? begin + nodes_each : p.n_nodes;
#pragma unroll 4
    for (int64_t s = begin; s < end; ++s) {
      const acc_t node = static_cast<acc_t>(path_node(p, s, b));
      Pack<T, N> out;
      for (int j = 0; j < N; ++j) path_points_element(out.at + j, inputs.at[j], starts.at[j], node);
      store_pack(p.out, s * total + element, out);
    }
  }
}

}  // namespace

void path_points(const PathPointsParams& p, void* stream) {
  PYXAI_VISIT_DTYPE(p.dtype, {
    const bool fits =
        packs_fit(p.features * static_cast<int64_t>(sizeof(scalar_t)), {p.inputs, p.out});
    PYXAI_VISIT_PACK(scalar_t, fits, {
      const int64_t chunks = p.batch * p.features / kPack;
      const int64_t nodes_each = items_each(chunks, p.n_nodes);
      const int64_t count = chunks * ((p.n_nodes + nodes_each - 1) / nodes_each);
      PYXAI_LAUNCH((path_points_kernel<scalar_t, kPack>), grid_for(count), kBlock, 0, stream, p,
                   nodes_each);
    });
  });
}

}  // namespace pyxai::PYXAI_BACKEND_NS
