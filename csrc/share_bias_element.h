// The same operations in the same order as torch would do them, without branches, so that the loop
// over them vectorises.
#pragma once

#include "share_bias.h"

namespace pyxai {
namespace {

template <typename T>
struct SharedBias {
  T value;
  bool tied;
};

template <typename T>
PYXAI_HD T magnitude_of(T value) {
  return value < 0 ? -value : value;
}

// kWhole: linear judges itself, and with all but rounding it has the whole value.
template <bool kWhole, typename T>
PYXAI_HD SharedBias<T> share_bias_element(T linear, T judged, T total, T bias, T limit, T ties) {
  const T mine = magnitude_of(judged), others = magnitude_of(total - judged), both = mine + others;
  const bool tied = both <= 2 * limit, whole = kWhole && others <= limit;
  const T quotient = mine / both, all = total + bias;
  const T weight = tied ? ties : quotient;
  const T shared = linear + weight * bias;
  const T found = whole ? all : shared;
  return {tied ? shared : found, tied};
}

// Element `column` of a row.
template <typename T>
PYXAI_HD const T* shared_at(const SharedView& view, int64_t row, int64_t column) {
  return static_cast<const T*>(view.data) + row * view.stride + column;
}

}  // namespace
}  // namespace pyxai
