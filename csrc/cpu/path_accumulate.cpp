#include "../path_accumulate.h"

#include "../path_accumulate_element.h"
#include "spans.h"
#include "vector_clones.h"
#include "weighted_nodes.h"

namespace pyxai::cpu {
namespace {

#define PYXAI_ADD(T)                                                                    \
  PYXAI_VECTOR_CLONES void add(accumulate_t<T>* sums, const T* grads, int64_t stride,   \
                               const double* weights, int64_t n_nodes, int64_t count) { \
    using acc_t = accumulate_t<T>;                                                      \
    weigh_nodes<1>(                                                                     \
        sums, 0, weights, n_nodes, count,                                               \
        [=](int64_t s) { return Gradient<T>{grads + s * stride}; },                     \
        [](acc_t* sum, acc_t weight, acc_t grad) { sum[0] += weight * grad; });         \
  }
PYXAI_ADD(float)
PYXAI_ADD(double)
PYXAI_ADD(BFloat16)
PYXAI_ADD(Float16)
#undef PYXAI_ADD

template <typename T>
void accumulate_tile(const PathAccumulateParams& p, int64_t begin, int64_t end) {
  using acc_t = accumulate_t<T>;
  alignas(64) acc_t sums[kSumBytes / sizeof(acc_t)];
  std::fill_n(sums, end - begin, acc_t(0));
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
  PYXAI_VISIT_DTYPE(
      p.dtype, for_each_tile<accumulate_t<scalar_t>>(1, p.batch * p.features, p.n_nodes,
                                                     [&](int64_t, int64_t begin, int64_t end) {
                                                       accumulate_tile<scalar_t>(p, begin, end);
                                                     }));
}

}  // namespace pyxai::cpu
