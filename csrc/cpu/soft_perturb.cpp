#include "../soft_perturb.h"

#include <algorithm>
#include <vector>

#include "../soft_perturb_element.h"
#include "parallel.h"
#include "vector_clones.h"

namespace pyxai::cpu {
namespace {

constexpr int64_t kTile = 1024;  // features whose weights are looked up before they are used

#define PYXAI_BLEND(T)                                                                       \
  PYXAI_VECTOR_CLONES void blend(T* __restrict out, const T* __restrict inputs,              \
                                 const T* __restrict baselines,                              \
                                 const accumulate_t<T>* __restrict weights, int64_t count) { \
    for (int64_t f = 0; f < count; ++f)                                                      \
      soft_perturb_element(out + f, inputs[f], baselines[f], weights[f]);                    \
  }
PYXAI_BLEND(float)
PYXAI_BLEND(double)
PYXAI_BLEND(BFloat16)
PYXAI_BLEND(Float16)
#undef PYXAI_BLEND

template <typename T>
void write_row(const SoftPerturbParams& p, int64_t b, int64_t m) {
  accumulate_t<T> weights[kTile];
  T baselines[kTile];
  for (int64_t begin = 0; begin < p.features; begin += kTile) {
    const int64_t count = std::min(kTile, p.features - begin);
    for (int64_t j = 0; j < count; ++j)
      weights[j] = soft_weight<T>(p, b, m, player_of(p.players, b, begin + j));
    for (int64_t d = 0; d < p.n_draws; ++d) {
      for (int64_t j = 0; j < count; ++j)
        baselines[j] = baseline_at<T>(p.baselines, b, d * p.features + begin + j);
      blend(static_cast<T*>(p.out) + perturbed_row(p, b, m, d) + begin,
            static_cast<const T*>(p.inputs) + b * p.features + begin, baselines, weights, count);
    }
  }
}

template <typename T>
void sum_weight_grads(const SoftPerturbParams& p, int64_t b, int64_t m, std::vector<double>& sums) {
  sums.assign(p.n_players, 0.0);
  for (int64_t f = 0; f < p.features; ++f) {
    const int32_t player = player_of(p.players, b, f);
    if (soft_moves(p, player)) sums[player] += soft_weight_grad<T>(p, b, m, f);
  }
  accumulate_t<T>* out = static_cast<accumulate_t<T>*>(p.grad_weights);
  std::copy(sums.begin(), sums.end(), out + (b * p.n_masks + m) * p.n_players);
}

}  // namespace

void soft_perturb(const SoftPerturbParams& p, void*) {
  parallel_items(p.batch * p.n_masks, p.features, [&](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; ++row)
      PYXAI_VISIT_DTYPE(p.dtype, write_row<scalar_t>(p, row / p.n_masks, row % p.n_masks));
  });
}

void soft_perturb_backward(const SoftPerturbParams& p, void*) {
  if (p.grad_weights != nullptr)
    parallel_items(p.batch * p.n_masks, p.features, [&](int64_t first, int64_t last) {
      std::vector<double> sums;
      for (int64_t row = first; row < last; ++row)
        PYXAI_VISIT_DTYPE(p.dtype,
                          sum_weight_grads<scalar_t>(p, row / p.n_masks, row % p.n_masks, sums));
    });
  if (p.grad_inputs != nullptr || p.grad_baselines != nullptr)
    parallel_items(p.batch * p.features, p.n_masks * p.n_draws, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i)
        PYXAI_VISIT_DTYPE(p.dtype, soft_value_grads<scalar_t>(p, i / p.features, i % p.features));
    });
}

}  // namespace pyxai::cpu
