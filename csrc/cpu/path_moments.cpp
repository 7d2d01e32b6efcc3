#include "../path_moments.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "../path_moments_element.h"
#include "vector_clones.h"

namespace pyxai::cpu {
namespace {

constexpr int64_t kTileBytes = 8192;  // of each sum; both stay in the first-level cache

#define PYXAI_MOMENTS(T)                                                                           \
  PYXAI_VECTOR_CLONES void add_node(accumulate_t<T>* __restrict first,                             \
                                    accumulate_t<T>* __restrict second, const T* __restrict grads, \
                                    accumulate_t<T> weight, int64_t count) {                       \
    for (int64_t f = 0; f < count; ++f)                                                            \
      path_moments_element(first[f], second[f], weight, load(grads[f]));                           \
  }
PYXAI_MOMENTS(float)
PYXAI_MOMENTS(double)
PYXAI_MOMENTS(BFloat16)
PYXAI_MOMENTS(Float16)
#undef PYXAI_MOMENTS

template <typename T>
void add_tile(const PathMomentsParams& p, int64_t begin, int64_t end) {
  using acc_t = accumulate_t<T>;
  acc_t* out = static_cast<acc_t*>(p.out) + begin;
  const T* grads = static_cast<const T*>(p.grads) + begin;
  for (int64_t s = 0; s < p.n_nodes; ++s)
    add_node(out, out + p.total, grads + s * p.total, static_cast<acc_t>(p.weights[s]),
             end - begin);
}

}  // namespace

void path_moments(const PathMomentsParams& p, void*) {
  PYXAI_VISIT_DTYPE(p.dtype, {
    constexpr int64_t kTile = kTileBytes / sizeof(accumulate_t<scalar_t>);
    at::parallel_for(0, (p.total + kTile - 1) / kTile, 1, [&](int64_t first, int64_t last) {
      for (int64_t tile = first; tile < last; ++tile)
        add_tile<scalar_t>(p, tile * kTile, std::min((tile + 1) * kTile, p.total));
    });
  });
}

}  // namespace pyxai::cpu
