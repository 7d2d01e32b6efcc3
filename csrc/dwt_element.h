// Sizes of a level, what stands beyond the ends, and the bands of a signal's coefficients.
#pragma once

#include "dwt.h"

namespace pyxai {
namespace {

PYXAI_HD bool halves(Extension extension) {
  return extension == Extension::periodization || extension == Extension::wrapped;
}

// Samples before the first that the first coefficient sees.
PYXAI_HD int64_t dwt_left(Extension extension, int64_t n_taps) {
  return halves(extension) ? n_taps / 2 - 1 : n_taps - 2;
}

// Coefficients of either kind.
PYXAI_HD int64_t dwt_count(Extension extension, int64_t length, int64_t n_taps) {
  return (length + (halves(extension) ? 1 : n_taps - 1)) / 2;
}

// Samples of the extended signal.
PYXAI_HD int64_t dwt_extended(int64_t count, int64_t n_taps) { return 2 * (count - 1) + n_taps; }

PYXAI_HD int64_t remainder_of(int64_t i, int64_t period) {
  const int64_t rest = i % period;
  return rest < 0 ? rest + period : rest;
}

// The sample that stands at position i of a signal, inside or outside; -1 for zero.
PYXAI_HD int64_t dwt_place(Extension extension, int64_t i, int64_t length) {
  if (i >= 0 && i < length) return i;
  const bool mirrored = extension == Extension::symmetric || extension == Extension::reflect;
  if (extension == Extension::zero) return -1;
  if (mirrored) {
    const int64_t period = 2 * length - (extension == Extension::reflect ? 2 : 0);
    const int64_t rest = remainder_of(i, period);
    const int64_t back = period - (extension == Extension::reflect ? 0 : 1) - rest;
    return rest < length ? rest : back;
  }
  if (extension == Extension::periodic) return remainder_of(i, length);
  const int64_t rest = remainder_of(i, length + length % 2);
  if (rest < length) return rest;
  return extension == Extension::periodization ? length - 1 : -1;
}

// A band of a signal's coefficients at a level: 0 the approximation, which only the last level has
// there, then the details.
template <typename T>
PYXAI_HD T* dwt_band(const DwtParams& p, T* coefficients, int level, int band) {
  if (band == 0) return coefficients;
  return coefficients + p.offset[level] + (band - 1) * p.height[level] * p.width[level];
}

}  // namespace
}  // namespace pyxai
