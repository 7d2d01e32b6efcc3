// The order of a sum, the same for every mask: terms of kAffineGroup neighbouring players are added
// to each other, then these sums to start, both by ascending player.
#pragma once

#include "masked_affine.h"
#include "rounding.h"

namespace pyxai {

constexpr int kAffineGroup = 4;  // divides kMaskBits

namespace {

// What changes no value that is added to it, not even the sign of a zero: the sum of no terms.
template <typename T>
PYXAI_HD T affine_nothing() {
  return static_cast<T>(-0.0);
}

template <typename T>
PYXAI_HD T affine_add_term(T sum, T scale, T part) {
  return add_rn(sum, mul_rn(scale, part));
}

// A NaN stays, and so does -0.0.
template <typename T>
PYXAI_HD T affine_activate(T value, bool relu) {
  return relu && value < 0 ? 0 : value;
}

template <typename T>
PYXAI_HD const T* affine_start(const MaskedAffineParams& p, int64_t b) {
  return static_cast<const T*>(p.start) + b * p.size;
}
template <typename T>
PYXAI_HD const T* affine_parts(const MaskedAffineParams& p, int64_t b, int64_t player) {
  return static_cast<const T*>(p.parts) + b * p.parts_stride + player * p.size;
}
template <typename T>
PYXAI_HD T affine_scale(const MaskedAffineParams& p, int64_t b, int64_t player) {
  return p.scales != nullptr ? static_cast<const T*>(p.scales)[b * p.n_players + player] : T(1);
}
template <typename T>
PYXAI_HD T* affine_out(const MaskedAffineParams& p, int64_t b, int64_t m) {
  return static_cast<T*>(p.out) + b * p.out_stride + m * p.size;
}

}  // namespace
}  // namespace pyxai
