// How much of the input one feature shows, and what that passes back.
#pragma once

#include "interpolate.h"
#include "soft_perturb.h"

namespace pyxai {
namespace {

// Whether a player's weight decides over a feature; the input of the others is shown in full.
PYXAI_HD bool soft_moves(const SoftPerturbParams& p, int32_t player) {
  return player >= 0 && player < p.n_players;
}

// The weights of mask m, by player.
template <typename T>
PYXAI_HD const T* soft_weights(const SoftPerturbParams& p, int64_t b, int64_t m) {
  return static_cast<const T*>(p.weights) + b * p.weights_stride + m * p.n_players;
}

template <typename T>
PYXAI_HD accumulate_t<T> soft_weight(const SoftPerturbParams& p, int64_t b, int64_t m,
                                     int32_t player) {
  if (!soft_moves(p, player)) return accumulate_t<T>(1);
  return load(soft_weights<T>(p, b, m)[player]);
}

template <typename T>
PYXAI_HD void soft_perturb_element(T* out, T input, T baseline, accumulate_t<T> weight) {
  store(out, interpolate(load(baseline), load(input), weight));
}

// Feature f's part of the gradient of the weight of its player in mask m.
template <typename T>
PYXAI_HD double soft_weight_grad(const SoftPerturbParams& p, int64_t b, int64_t m, int64_t f) {
  const accumulate_t<T> input = load(static_cast<const T*>(p.inputs)[b * p.features + f]);
  double sum = 0;
  for (int64_t d = 0; d < p.n_draws; ++d) {
    const accumulate_t<T> baseline = load(baseline_at<T>(p.baselines, b, d * p.features + f));
    const accumulate_t<T> grad =
        load(static_cast<const T*>(p.grads)[perturbed_row(p, b, m, d) + f]);
    sum += static_cast<double>(grad) * static_cast<double>(input - baseline);
  }
  return sum;
}

// Gradients of the input and of the baselines of feature f, over all masks.
template <typename T>
PYXAI_HD void soft_value_grads(const SoftPerturbParams& p, int64_t b, int64_t f) {
  using acc_t = accumulate_t<T>;
  const int32_t player = player_of(p.players, b, f);
  acc_t total = 0;
  for (int64_t d = 0; d < p.n_draws; ++d) {
    acc_t shown = 0, hidden = 0;
    for (int64_t m = 0; m < p.n_masks; ++m) {
      const acc_t grad = load(static_cast<const T*>(p.grads)[perturbed_row(p, b, m, d) + f]);
      const acc_t weight = soft_weight<T>(p, b, m, player);
      shown += weight * grad;
      hidden += (acc_t(1) - weight) * grad;
    }
    total += shown;
    if (p.grad_baselines != nullptr)
      static_cast<acc_t*>(p.grad_baselines)[(b * p.n_draws + d) * p.features + f] = hidden;
  }
  if (p.grad_inputs != nullptr) static_cast<acc_t*>(p.grad_inputs)[b * p.features + f] = total;
}

}  // namespace
}  // namespace pyxai
