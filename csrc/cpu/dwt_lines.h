// What a wavelet transform does to lines, in vectors.
#pragma once

#include <cstdint>
#include <cstring>

#include "lanes.h"
#include "vector_clones.h"

namespace pyxai::cpu {
namespace {

constexpr int kBlocks = 4;  // of lanes at a time, so that sums do not wait for each other

// first[k] = sum_m taps[m][0] a[k + m] + taps[m][1] b[k + m], second[k] with taps[m][2] and [3].
// Reads up to kLanes beyond the last of a and b.
template <typename T, int kCount>
PYXAI_INLINE void along_block(const T* a, const T* b, const T* taps, int64_t n_pairs, int64_t left,
                              T* first, T* second) {
  Lanes<T> sums[kCount][2] = {};
  for (int64_t m = 0; m < n_pairs; ++m, taps += 4)
    for (int i = 0; i < kCount; ++i) {
      Lanes<T> x, y;
      load_lanes(&x, a + m + i * kLanes<T>);
      load_lanes(&y, b + m + i * kLanes<T>);
      sums[i][0] += taps[0] * x;
      sums[i][1] += taps[2] * x;
      sums[i][0] += taps[1] * y;
      sums[i][1] += taps[3] * y;
    }
  if (left >= kCount * kLanes<T>) {
    for (int i = 0; i < kCount; ++i) {
      memcpy(first + i * kLanes<T>, &sums[i][0], kLaneBytes);
      memcpy(second + i * kLanes<T>, &sums[i][1], kLaneBytes);
    }
  } else {  // less than a block
    for (int64_t j = 0; j < left; ++j) {
      first[j] = sums[0][0][j];
      second[j] = sums[0][1][j];
    }
  }
}

template <typename T>
PYXAI_INLINE void along_line(const T* a, const T* b, const T* taps, int64_t n_pairs, int64_t count,
                             T* first, T* second) {
  int64_t k = 0;
  for (; k + kBlocks * kLanes<T> <= count; k += kBlocks * kLanes<T>)
    along_block<T, kBlocks>(a + k, b + k, taps, n_pairs, count - k, first + k, second + k);
  for (; k + kLanes<T> <= count; k += kLanes<T>)
    along_block<T, 1>(a + k, b + k, taps, n_pairs, count - k, first + k, second + k);
  if (k == count) return;
  if (count >= kLanes<T>) k = count - kLanes<T>;  // the last begins within the one before
  along_block<T, 1>(a + k, b + k, taps, n_pairs, count - k, first + k, second + k);
}

// first[w] = sum_i taps[i][0] rows[i][w], second[w] with taps[i][1].
template <typename T, int kCount>
PYXAI_INLINE void across_block(const T* const* rows, const T* taps, int64_t n_rows, int64_t w,
                               T* first, T* second) {
  Lanes<T> sums[kCount][2] = {};
  for (int64_t i = 0; i < n_rows; ++i)
    for (int j = 0; j < kCount; ++j) {
      Lanes<T> x;
      load_lanes(&x, rows[i] + w + j * kLanes<T>);
      sums[j][0] += taps[2 * i] * x;
      sums[j][1] += taps[2 * i + 1] * x;
    }
  for (int j = 0; j < kCount; ++j) {
    memcpy(first + w + j * kLanes<T>, &sums[j][0], kLaneBytes);
    memcpy(second + w + j * kLanes<T>, &sums[j][1], kLaneBytes);
  }
}

template <typename T>
PYXAI_INLINE void across_lines(const T* const* rows, const T* taps, int64_t n_rows, int64_t width,
                               T* first, T* second) {
  int64_t w = 0;
  for (; w + kBlocks * kLanes<T> <= width; w += kBlocks * kLanes<T>)
    across_block<T, kBlocks>(rows, taps, n_rows, w, first, second);
  for (; w + kLanes<T> <= width; w += kLanes<T>)
    across_block<T, 1>(rows, taps, n_rows, w, first, second);
  if (w == width) return;
  if (width >= kLanes<T>) {  // the last block begins within the one before
    across_block<T, 1>(rows, taps, n_rows, width - kLanes<T>, first, second);
    return;
  }
  for (; w < width; ++w) {
    T sums[2] = {};
    for (int64_t i = 0; i < n_rows; ++i) {
      sums[0] += taps[2 * i] * rows[i][w];
      sums[1] += taps[2 * i + 1] * rows[i][w];
    }
    first[w] = sums[0];
    second[w] = sums[1];
  }
}

// sums[0] += <x, low>, sums[n_taps] += <x, high>.
template <typename T>
PYXAI_INLINE void dot_lines(const T* x, const T* low, const T* high, int64_t count, int64_t n_taps,
                            double* sums) {
  Lanes<T> lanes[2] = {};
  int64_t k = 0;
  for (; k + kLanes<T> <= count; k += kLanes<T>) {
    Lanes<T> value, first, second;
    load_lanes(&value, x + k);
    load_lanes(&first, low + k);
    load_lanes(&second, high + k);
    lanes[0] += value * first;
    lanes[1] += value * second;
  }
  double of_low = 0, of_high = 0;
  for (int64_t j = 0; j < kLanes<T>; ++j) {
    of_low += lanes[0][j];
    of_high += lanes[1][j];
  }
  for (; k < count; ++k) {
    of_low += static_cast<double>(x[k]) * low[k];
    of_high += static_cast<double>(x[k]) * high[k];
  }
  sums[0] += of_low;
  sums[n_taps] += of_high;
}

// Even and odd elements of x, and back.
template <typename T>
PYXAI_INLINE void halve_line(const T* __restrict x, int64_t count, T* __restrict first,
                             T* __restrict second) {
  for (int64_t m = 0; m < count; ++m) {
    first[m] = x[2 * m];
    second[m] = x[2 * m + 1];
  }
}
template <typename T>
PYXAI_INLINE void weave_line(const T* __restrict first, const T* __restrict second, int64_t count,
                             bool add, T* __restrict x) {
  if (add) {
    for (int64_t m = 0; m < count; ++m) {
      x[2 * m] += first[m];
      x[2 * m + 1] += second[m];
    }
  } else {
    for (int64_t m = 0; m < count; ++m) {
      x[2 * m] = first[m];
      x[2 * m + 1] = second[m];
    }
  }
}

#define PYXAI_LINES(T)                                                                             \
  PYXAI_VECTOR_CLONES void along(const T* a, const T* b, const T* taps, int64_t n_pairs,           \
                                 int64_t count, T* first, T* second) {                             \
    along_line(a, b, taps, n_pairs, count, first, second);                                         \
  }                                                                                                \
  PYXAI_VECTOR_CLONES void across(const T* const* rows, const T* taps, int64_t n_rows,             \
                                  int64_t width, T* first, T* second) {                            \
    across_lines(rows, taps, n_rows, width, first, second);                                        \
  }                                                                                                \
  PYXAI_VECTOR_CLONES void dots(const T* x, const T* low, const T* high, int64_t count,            \
                                int64_t n_taps, double* sums) {                                    \
    dot_lines(x, low, high, count, n_taps, sums);                                                  \
  }                                                                                                \
  PYXAI_VECTOR_CLONES void halve(const T* x, int64_t count, T* first, T* second) {                 \
    halve_line(x, count, first, second);                                                           \
  }                                                                                                \
  PYXAI_VECTOR_CLONES void weave(const T* first, const T* second, int64_t count, bool add, T* x) { \
    weave_line(first, second, count, add, x);                                                      \
  }
PYXAI_LINES(float)
PYXAI_LINES(double)
#undef PYXAI_LINES

}  // namespace
}  // namespace pyxai::cpu
