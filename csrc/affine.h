// What ops of a first layer share: it starts somewhere, players add their parts, and the sum passes
// an activation.
#pragma once

#include <cstdint>

#include "dtype.h"

namespace pyxai {

struct AffineView {
  DType dtype;              // of all values, f32 or f64
  int64_t batch;            // examples
  int64_t n_players, size;  // parts of an example, columns of a row
  bool relu;                // act: max(0, x), NaN stays; else the identity
  const void* start;        // [batch, size], in units of out
  const void* parts;        // [1 or batch, n_players, size], in units of out, or of out / scales
  int64_t parts_stride;     // elements between the parts of two examples, 0 if shared
  void* out;                // [batch, ..., size], a block of rows for each example
  int64_t out_stride;       // elements between the rows of two examples
};

namespace {

// What changes no value that is added to it, not even the sign of a zero: the sum of no terms.
template <typename T>
PYXAI_HD T affine_nothing() {
  return static_cast<T>(-0.0);
}

// A NaN stays, and so does -0.0.
template <typename T>
PYXAI_HD T affine_activate(T value, bool relu) {
  return relu && value < 0 ? 0 : value;
}

template <typename T>
PYXAI_HD const T* affine_start(const AffineView& p, int64_t b) {
  return static_cast<const T*>(p.start) + b * p.size;
}
template <typename T>
PYXAI_HD const T* affine_parts(const AffineView& p, int64_t b, int64_t player) {
  return static_cast<const T*>(p.parts) + b * p.parts_stride + player * p.size;
}
template <typename T>
PYXAI_HD T* affine_out(const AffineView& p, int64_t b, int64_t row) {
  return static_cast<T*>(p.out) + b * p.out_stride + row * p.size;
}

}  // namespace
}  // namespace pyxai
