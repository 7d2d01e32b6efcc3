// The point at `t` between two values, exact at both ends.
#pragma once

#include "dtype.h"

namespace pyxai {
namespace {

// As torch.lerp: b + t (x - b) alone would miss x at t = 1 by a rounding error.
template <typename acc_t>
PYXAI_HD acc_t interpolate(acc_t start, acc_t end, acc_t t) {
  const acc_t difference = end - start;
  return t < acc_t(0.5) ? start + t * difference : end - (acc_t(1) - t) * difference;
}

}  // namespace
}  // namespace pyxai
