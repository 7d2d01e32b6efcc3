// The order of a sum, the same for every mask: terms of kAffineGroup neighbouring players are added
// to each other, then these sums to start, both by ascending player.
#pragma once

#include "masked_affine.h"
#include "rounding.h"

namespace pyxai {

constexpr int kAffineGroup = 4;  // divides kMaskBits

namespace {

template <typename T>
PYXAI_HD T affine_add_term(T sum, T scale, T part) {
  return add_rn(sum, mul_rn(scale, part));
}

template <typename T>
PYXAI_HD T affine_scale(const MaskedAffineParams& p, int64_t b, int64_t player) {
  return p.scales != nullptr ? static_cast<const T*>(p.scales)[b * p.n_players + player] : T(1);
}

}  // namespace
}  // namespace pyxai
