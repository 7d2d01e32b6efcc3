#include "../path_accumulate.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "../path_accumulate_element.h"

namespace pyxai::cpu {
namespace {

constexpr int64_t kTile = 2048;  // features whose sums stay in the first-level cache

template <typename T>
void accumulate_tile(const PathAccumulateParams& p, int64_t b, int64_t begin, int64_t end) {
  using acc_t = accumulate_t<T>;
  const T* grads = static_cast<const T*>(p.grads) + b * p.features;
  acc_t sums[kTile] = {};
  const int64_t count = end - begin;
  for (int64_t s = 0; s < p.n_nodes; ++s) {
    const acc_t weight = static_cast<acc_t>(p.weights[s]);
    const T* row = grads + s * p.batch * p.features + begin;
    for (int64_t f = 0; f < count; ++f) sums[f] += weight * load(row[f]);
  }
  acc_t* out = static_cast<acc_t*>(p.out) + b * p.features;
  for (int64_t f = 0; f < count; ++f)
    out[begin + f] += sums[f] * path_difference<T>(p, b, begin + f);
}

}  // namespace

void path_accumulate(const PathAccumulateParams& p, void*) {
  const int64_t tiles = (p.features + kTile - 1) / kTile;
  at::parallel_for(0, p.batch * tiles, 1, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const int64_t begin = i % tiles * kTile, end = std::min(begin + kTile, p.features);
      PYXAI_VISIT_DTYPE(p.dtype, accumulate_tile<scalar_t>(p, i / tiles, begin, end));
    }
  });
}

}  // namespace pyxai::cpu
