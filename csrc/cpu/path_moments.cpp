#include "../path_moments.h"

#include "../path_moments_element.h"
#include "vector_clones.h"
#include "weighted_nodes.h"

namespace pyxai::cpu {
namespace {

// What node s of elements i, i + 1, ... of a group holds, less their origin.
template <bool kWays, bool kShifted, typename T>
struct Sample {
  const T *grads, *end, *start;
  const accumulate_t<T>* origin;
  accumulate_t<T> operator()(int64_t f) const {
    const T none{};
    const accumulate_t<T> value =
        path_moments_value<kWays>(grads[f], kWays ? end[f] : none, kWays ? start[f] : none);
    return kShifted ? value - origin[f] : value;
  }
};

template <int kOrder, bool kWays, bool kShifted, typename T>
PYXAI_INLINE void add_samples(const PathMomentsParams& p, int64_t group, int64_t i, int64_t count) {
  using acc_t = accumulate_t<T>;
  const T* grads = static_cast<const T*>(p.grads) + group * p.n_nodes * p.total + i;
  const int64_t ends = p.inputs_stride == 0 ? 1 : p.n_nodes;
  const T* inputs = kWays ? static_cast<const T*>(p.inputs) + group * ends * p.total + i : nullptr;
  const T* baselines = kWays ? static_cast<const T*>(p.baselines) + i : nullptr;
  const acc_t* origin =
      kShifted ? static_cast<const acc_t*>(p.origin) + group * p.total + i : nullptr;
  const auto node = [&](int64_t s) {
    Sample<kWays, kShifted, T> sample{grads + s * p.total, nullptr, nullptr, origin};
    if constexpr (kWays) {
      sample.end = inputs + s * p.inputs_stride;
      sample.start = baselines + row_of(p.rows, group * p.n_nodes + s) * p.total;
    }
    return sample;
  };
  weigh_nodes<kOrder>(static_cast<acc_t*>(p.out) + group * p.total + i, p.n_groups * p.total,
                      p.weights, p.n_nodes, count, node,
                      [](acc_t* sums, acc_t weight, acc_t value) {
                        path_moments_element<kOrder>(sums, weight, value);
                      });
}

#define PYXAI_ADD(T)                                                                           \
  PYXAI_VECTOR_CLONES void add(const PathMomentsParams& p, const T*, int64_t group, int64_t i, \
                               int64_t count) {                                                \
    PYXAI_VISIT_MOMENTS(                                                                       \
        p, if (p.origin == nullptr) add_samples<kOrder, kWays, false, T>(p, group, i, count);  \
        else add_samples<kOrder, kWays, true, T>(p, group, i, count));                         \
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
    for_each_tile<acc_t>(p.n_groups, p.total, p.n_nodes,
                         [&](int64_t group, int64_t begin, int64_t end) {
                           add(p, static_cast<const scalar_t*>(nullptr), group, begin, end - begin);
                         });
  });
}

}  // namespace pyxai::cpu
