// A running sum of hundreds of players is kept in float64, and rounded where a row is written.
#pragma once

#include "ordered_affine.h"
#include "rounding.h"

namespace pyxai {
namespace {

// Who comes in at step k of order o.
PYXAI_HD int64_t ordered_player(const OrderedAffineParams& p, int64_t o, int64_t k) {
  return p.orders != nullptr ? p.orders[o * p.n_steps + k] : k;
}

template <typename T>
PYXAI_HD double ordered_add(double sum, T part) {
  return add_rn(sum, static_cast<double>(part));
}

template <typename T>
PYXAI_HD T ordered_value(double sum, bool relu) {
  return affine_activate(static_cast<T>(sum), relu);
}

}  // namespace
}  // namespace pyxai
