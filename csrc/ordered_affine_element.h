// A running sum of hundreds of players is kept in float64, and rounded where a row is written.
#pragma once

#include "ordered_affine.h"
#include "rounding.h"

namespace pyxai {
namespace {

// The part of the player that comes in at step k of order o; null if there is no such player.
template <typename T>
PYXAI_HD const T* ordered_part(const OrderedAffineParams& p, int64_t b, int64_t o, int64_t k) {
  const int64_t player = p.orders != nullptr ? p.orders[o * p.n_steps + k] : k;
  return player >= 0 && player < p.n_players ? affine_parts<T>(p, b, player) : nullptr;
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
