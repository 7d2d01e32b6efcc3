#include "../moebius_transform.h"

#include <algorithm>

#include "../moebius_transform_element.h"
#include "parallel.h"
#include "vector_clones.h"

namespace pyxai::cpu {
namespace {

// A buffer of columns: as large as the second-level cache is happy with.
constexpr int64_t kBufferBits = 13;

template <bool kZeta, int kBits, typename T>
PYXAI_INLINE void sweep(T* x, int64_t count, int64_t stride) {
  for (int64_t i = 0; i < count; i += stride << kBits) {
#pragma GCC ivdep
    for (int64_t j = 0; j < stride; ++j) {
      T sets[1 << kBits];
      for (int m = 0; m < 1 << kBits; ++m) sets[m] = x[i + m * stride + j];
      butterflies<kZeta, kBits>(sets);
      for (int m = 1; m < 1 << kBits; ++m) x[i + m * stride + j] = sets[m];
    }
  }
}

// The players of index bits log2(stride) .. log2(stride) + bits - 1 of x[count].
template <bool kZeta, typename T>
PYXAI_INLINE void sweep_bits(T* x, int64_t count, int64_t stride, int64_t bits) {
  if (stride == 1 && bits >= 3) {  // known to the compiler, neighbours are shuffled in registers
    sweep<kZeta, 3>(x, count, 1);
    stride = 8;
    bits -= 3;
  }
  for (; bits >= 3; bits -= 3, stride *= 8) sweep<kZeta, 3>(x, count, stride);
  if (bits == 2) sweep<kZeta, 2>(x, count, stride);
  if (bits == 1) sweep<kZeta, 1>(x, count, stride);
}

#define PYXAI_TRANSFORM(T)                                                              \
  PYXAI_VECTOR_CLONES void transform(T* x, int64_t count, int64_t stride, int64_t bits, \
                                     bool zeta) {                                       \
    if (zeta)                                                                           \
      sweep_bits<true>(x, count, stride, bits);                                         \
    else                                                                                \
      sweep_bits<false>(x, count, stride, bits);                                        \
  }
PYXAI_TRANSFORM(float)
PYXAI_TRANSFORM(double)
#undef PYXAI_TRANSFORM

// The lowest players, tile by tile.
template <typename T>
void first_pass(const MoebiusTransformParams& p) {
  const int64_t total = p.n_tables << p.n_players;
  const T* values = static_cast<const T*>(p.values);
  T* out = static_cast<T*>(p.out);
  parallel_items((total + kTile - 1) / kTile, kTile, [&](int64_t first, int64_t last) {
    for (int64_t tile = first; tile < last; ++tile) {
      const int64_t begin = tile * kTile, count = std::min(kTile, total - begin);
      if (values != out) std::copy_n(values + begin, count, out + begin);
      transform(out + begin, count, 1, std::min(p.n_players, kTileBits), p.zeta);
    }
  });
}

// Players low .. low + bits - 1: their sets lie 2^low apart, so columns of them are gathered first;
// in place, rows a power of two apart would fight for the same cache lines.
template <typename T>
void next_pass(const MoebiusTransformParams& p, int64_t low, int64_t bits) {
  const int64_t column_bits = kBufferBits - bits, columns = int64_t{1} << column_bits;
  const int64_t rows = int64_t{1} << bits, groups = int64_t{1} << (low - column_bits);
  const int64_t blocks = (p.n_tables << (p.n_players - low - bits)) * groups;
  parallel_items(blocks, int64_t{1} << kBufferBits, [&](int64_t first, int64_t last) {
    alignas(64) T buffer[int64_t{1} << kBufferBits];
    for (int64_t block = first; block < last; ++block) {
      T* out =
          static_cast<T*>(p.out) + ((block / groups) << (low + bits)) + block % groups * columns;
      for (int64_t r = 0; r < rows; ++r)
        std::copy_n(out + (r << low), columns, buffer + r * columns);
      transform(buffer, rows * columns, columns, bits, p.zeta);
      for (int64_t r = 1; r < rows; ++r)
        std::copy_n(buffer + r * columns, columns, out + (r << low));
    }
  });
}

template <typename T>
void transform_tables(const MoebiusTransformParams& p) {
  first_pass<T>(p);
  for (int64_t low = kTileBits, bits; low < p.n_players; low += bits) {
    bits = pass_bits(p.n_players, low);
    next_pass<T>(p, low, bits);
  }
}

}  // namespace

void moebius_transform(const MoebiusTransformParams& p, void*) {
  if (p.dtype == DType::f64)
    transform_tables<double>(p);
  else
    transform_tables<float>(p);
}

}  // namespace pyxai::cpu
