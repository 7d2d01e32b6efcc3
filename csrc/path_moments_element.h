// What one sample adds to the sums.
#pragma once

#include "path_moments.h"

namespace pyxai {
namespace {

template <int kOrder, typename acc_t>
PYXAI_HD void path_moments_element(acc_t* sums, acc_t weight, acc_t value) {
  acc_t power = weight * value;
  sums[0] += power;
  for (int k = 1; k < kOrder; ++k) {
    power *= value;
    sums[k] += power;
  }
}

// What the gradient at a node counts for: itself, or times the way from start to end.
template <bool kWays, typename T>
PYXAI_HD accumulate_t<T> path_moments_value(T grad, T end, T start) {
  if constexpr (kWays)
    return load(grad) * (load(end) - load(start));
  else
    return load(grad);
}

}  // namespace
}  // namespace pyxai

// Run the statement with `kOrder` bound to p.order and `kWays` to whether there are inputs.
#define PYXAI_VISIT_MOMENTS(p, ...)              \
  do {                                           \
    if ((p).inputs != nullptr) {                 \
      constexpr bool kWays = true;               \
      PYXAI_VISIT_ORDER((p).order, __VA_ARGS__); \
    } else {                                     \
      constexpr bool kWays = false;              \
      PYXAI_VISIT_ORDER((p).order, __VA_ARGS__); \
    }                                            \
  } while (false)
#define PYXAI_VISIT_ORDER(order, ...) \
  do {                                \
    switch (order) {                  \
      case 1: {                       \
        constexpr int kOrder = 1;     \
        __VA_ARGS__;                  \
        break;                        \
      }                               \
      case 2: {                       \
        constexpr int kOrder = 2;     \
        __VA_ARGS__;                  \
        break;                        \
      }                               \
      case 3: {                       \
        constexpr int kOrder = 3;     \
        __VA_ARGS__;                  \
        break;                        \
      }                               \
      default: {                      \
        constexpr int kOrder = 4;     \
        __VA_ARGS__;                  \
        break;                        \
      }                               \
    }                                 \
  } while (false)
