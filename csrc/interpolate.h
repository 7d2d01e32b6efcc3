// The point at `t` between two values, exact at both ends.
#pragma once

#include "dtype.h"

namespace pyxai {
namespace {

// As torch.lerp: b + t (x - b) alone would miss x at t = 1 by a rounding error. Equal ends give
// themselves, also when they are infinite.
template <typename acc_t>
PYXAI_HD acc_t interpolate(acc_t start, acc_t end, acc_t t) {
  const acc_t difference = end == start ? acc_t(0) : end - start;
  const acc_t from_start = start + t * difference;
  const acc_t from_end = end - (acc_t(1) - t) * difference;
  return t < acc_t(0.5) ? from_start : from_end;
}

}  // namespace
}  // namespace pyxai
