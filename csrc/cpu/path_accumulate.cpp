#include "../path_accumulate.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "../path_accumulate_element.h"
#include "spans.h"
#include "vector_clones.h"

namespace pyxai::cpu {
namespace {

#ifndef KT
#define KT 16384
#endif
constexpr int64_t kTileBytes = KT;  // of sums, which stay in the first-level cache
constexpr int64_t kAtOnce = 4;      // nodes between two looks at a sum

template <typename T>
PYXAI_HD void add_nodes(accumulate_t<T>* __restrict sums, const T* __restrict grads, int64_t stride,
                        const double* weights, int64_t count) {
  using acc_t = accumulate_t<T>;
  const T *g0 = grads, *g1 = grads + stride, *g2 = grads + 2 * stride, *g3 = grads + 3 * stride;
  const acc_t w0 = static_cast<acc_t>(weights[0]), w1 = static_cast<acc_t>(weights[1]);
  const acc_t w2 = static_cast<acc_t>(weights[2]), w3 = static_cast<acc_t>(weights[3]);
  for (int64_t f = 0; f < count; ++f)
    sums[f] =
        (((sums[f] + w0 * load(g0[f])) + w1 * load(g1[f])) + w2 * load(g2[f])) + w3 * load(g3[f]);
}

template <typename T>
PYXAI_HD void add_node(accumulate_t<T>* __restrict sums, const T* __restrict grads, double weight,
                       int64_t count) {
  const accumulate_t<T> w = static_cast<accumulate_t<T>>(weight);
  for (int64_t f = 0; f < count; ++f) sums[f] += w * load(grads[f]);
}

#define PYXAI_ADD(T)                                                                    \
  PYXAI_VECTOR_CLONES void add(accumulate_t<T>* sums, const T* grads, int64_t stride,   \
                               const double* weights, int64_t n_nodes, int64_t count) { \
    int64_t s = 0;                                                                      \
    for (; s + kAtOnce <= n_nodes; s += kAtOnce)                                        \
      add_nodes(sums, grads + s * stride, stride, weights + s, count);                  \
    for (; s < n_nodes; ++s) add_node(sums, grads + s * stride, weights[s], count);     \
  }
PYXAI_ADD(float)
PYXAI_ADD(double)
PYXAI_ADD(BFloat16)
PYXAI_ADD(Float16)
#undef PYXAI_ADD

template <typename T>
void accumulate_tile(const PathAccumulateParams& p, int64_t begin, int64_t end) {
  using acc_t = accumulate_t<T>;
  alignas(64) acc_t sums[kTileBytes / sizeof(acc_t)] = {};
  add(sums, static_cast<const T*>(p.grads) + begin, p.batch * p.features, p.weights, p.n_nodes,
      end - begin);
  acc_t* out = static_cast<acc_t*>(p.out);
  for_each_span(begin, end, p.features, [&](int64_t b, int64_t f, int64_t i, int64_t count) {
    for (int64_t j = 0; j < count; ++j)
      out[i + j] += path_accumulate_element<T>(p, b, f + j, sums[i - begin + j]);
  });
}

}  // namespace

void path_accumulate(const PathAccumulateParams& p, void*) {
  PYXAI_VISIT_DTYPE(p.dtype, {
    constexpr int64_t kTile = kTileBytes / sizeof(accumulate_t<scalar_t>);
    const int64_t total = p.batch * p.features;
    at::parallel_for(0, (total + kTile - 1) / kTile, 1, [&](int64_t first, int64_t last) {
      for (int64_t tile = first; tile < last; ++tile)
        accumulate_tile<scalar_t>(p, tile * kTile, std::min((tile + 1) * kTile, total));
    });
  });
}

}  // namespace pyxai::cpu
