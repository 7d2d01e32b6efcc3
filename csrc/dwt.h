// Analysis: low[k] = sum_i h[i] x[2k + i - left], high[k] the same with g, and low again at the
// next level; images along both dimensions. Synthesis: the transposed map. And the gradient of
// <analysis of signals, coefficients> with respect to the filters.
#pragma once

#include "op.h"

namespace pyxai {

constexpr int32_t kMaxLevels = 40;  // every level halves a size
constexpr int32_t kMaxTaps = 256;   // a bank and its sums fit a quarter of a block's shared memory

// Which sample stands beyond the ends. `wrapped` is periodization without the repeated last sample
// of an odd length: its transpose is the inverse of periodization.
enum class Extension : int32_t { zero, symmetric, reflect, periodic, periodization, wrapped };

struct DwtParams {
  DType dtype;          // of all values, f32 or f64
  Extension extension;  // beyond both ends, in both dimensions
  int32_t n_taps;       // of either filter, even
  int32_t level;        // how often the approximation is divided
  bool images;          // divided along both dimensions; if not, heights are 1
  int64_t n_signals;    // transformed one by one
  // Sizes of the approximation at level 0 (the signal), 1, ...
  int64_t height[kMaxLevels + 1], width[kMaxLevels + 1];
  // Where the details of level 1, 2, ... begin within the coefficients of a signal; entry 0 is the
  // approximation, and each is one band, for images three: horizontal, vertical, diagonal.
  int64_t offset[kMaxLevels + 1];
  // Where the approximations of level 1, 2, ... begin within a work space.
  int64_t place[kMaxLevels + 1];
  int64_t n_coefficients;    // of a signal
  const void* bank;          // [2, n_taps], low-pass h and high-pass g
  const void* signals;       // [n_signals, height[0], width[0]]; synthesis: null
  const void* coefficients;  // [n_signals, n_coefficients]; analysis: null
  void* out;                 // coefficients, signals, or the float64 gradient [2, n_taps]
  int64_t group;             // neighbouring signals that are worked on together
  int64_t n_parts;           // groups i, i + n_parts, ... are the work of part i
  double* parts;             // [n_parts, 2, n_taps], sums for the gradient; else null
  int64_t pyramid, rows;     // elements of the approximations, and of both halves of an image
  int64_t work_size;         // elements of a work space: for a group on a GPU
  void* work;                // [n_parts, work_size]; null: it fits in shared memory, or on the CPU
};

PYXAI_DECLARE_OP(dwt, DwtParams)
PYXAI_DECLARE_OP(idwt, DwtParams)
PYXAI_DECLARE_OP(dwt_filter_gradient, DwtParams)

}  // namespace pyxai
