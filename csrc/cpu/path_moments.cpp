#include "../path_moments.h"

#include "../path_moments_element.h"
#include "vector_clones.h"
#include "weighted_nodes.h"

namespace pyxai::cpu {
namespace {

#define PYXAI_ADD(T)                                                                        \
  PYXAI_VECTOR_CLONES void add(accumulate_t<T>* out, const T* grads, const double* weights, \
                               int64_t n_nodes, int64_t total, int64_t count) {             \
    using acc_t = accumulate_t<T>;                                                          \
    weigh_nodes<2>(out, total, grads, total, weights, n_nodes, count,                       \
                   [](acc_t* sum, acc_t weight, acc_t grad) {                               \
                     path_moments_element(sum[0], sum[1], weight, grad);                    \
                   });                                                                      \
  }
PYXAI_ADD(float)
PYXAI_ADD(double)
PYXAI_ADD(BFloat16)
PYXAI_ADD(Float16)
#undef PYXAI_ADD

}  // namespace

void path_moments(const PathMomentsParams& p, void*) {
  PYXAI_VISIT_DTYPE(p.dtype, {
    using acc_t = accumulate_t<scalar_t>;
    for_each_tile<acc_t>(p.total, p.n_nodes, [&](int64_t begin, int64_t end) {
      add(static_cast<acc_t*>(p.out) + begin, static_cast<const scalar_t*>(p.grads) + begin,
          p.weights, p.n_nodes, p.total, end - begin);
    });
  });
}

}  // namespace pyxai::cpu
