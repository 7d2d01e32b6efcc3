// Element types of kernels, free of torch: storage types for bf16 and fp16, conversions, and the
// accumulation type of each.
#pragma once

#include <cstdint>
#include <cstring>

#ifdef __CUDACC__
#define PYXAI_HD static inline __host__ __device__
#else
// `static`, so that the copies which g++ and nvcc compile never merge at link time.
#define PYXAI_HD static inline
#endif

// GPUs of this kind convert in one instruction, to the same bits; a NaN stays one.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
#define PYXAI_CONVERTS
#endif

namespace pyxai {

enum class DType : int32_t { f32, f64, bf16, f16 };

struct BFloat16 {
  uint16_t bits;
};
struct Float16 {
  uint16_t bits;
};

// Sums are kept in float32 at least, in float64 for float64.
template <typename T>
struct Accumulate {
  using type = float;
};
template <>
struct Accumulate<double> {
  using type = double;
};
template <typename T>
using accumulate_t = typename Accumulate<T>::type;

namespace {

PYXAI_HD float float_from_bits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof(value));
  return value;
}
PYXAI_HD uint32_t bits_from_float(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof(bits));
  return bits;
}

PYXAI_HD float load(float value) { return value; }
PYXAI_HD double load(double value) { return value; }
PYXAI_HD float load(BFloat16 value) {
  return float_from_bits(static_cast<uint32_t>(value.bits) << 16);
}
PYXAI_HD float load(Float16 value) {
#ifdef PYXAI_CONVERTS
  float result;
  asm("cvt.f32.f16 %0, %1;" : "=f"(result) : "h"(value.bits));
  return result;
#else
  // Scaling by 2^112 moves the exponent bias and makes subnormals exact; no branch, so it
  // vectorises.
  const uint32_t sign = static_cast<uint32_t>(value.bits & 0x8000u) << 16;
  const uint32_t magnitude = static_cast<uint32_t>(value.bits & 0x7fffu) << 13;
  const float scaled = float_from_bits(magnitude) * 0x1p112f;
  const uint32_t special = magnitude >= 0x0f800000u ? 0x7f800000u : 0u;
  return float_from_bits(bits_from_float(scaled) | special | sign);
#endif
}

PYXAI_HD void store(float* out, float value) { *out = value; }
PYXAI_HD void store(double* out, double value) { *out = value; }
PYXAI_HD void store(BFloat16* out, float value) {
#ifdef PYXAI_CONVERTS
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(out->bits) : "f"(value));
#else
  const uint32_t bits = bits_from_float(value);
  const bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
  const uint32_t rounded = bits + 0x7fffu + ((bits >> 16) & 1u);  // nearest, ties to even
  out->bits = nan ? 0x7fc0u : static_cast<uint16_t>(rounded >> 16);
#endif
}
PYXAI_HD void store(Float16* out, float value) {
#ifdef PYXAI_CONVERTS
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(out->bits) : "f"(value));
#else
  const uint32_t bits = bits_from_float(value);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  uint32_t half;
  if (magnitude > 0x7f800000u) {
    half = 0x7e00u;  // NaN
  } else if (magnitude >= 0x477ff000u) {
    half = 0x7c00u;  // rounds to infinity
  } else if (magnitude < 0x38800000u) {
    // Subnormal: adding 0.5 aligns the mantissa so that the hardware rounds to nearest even.
    half = bits_from_float(float_from_bits(magnitude) + 0.5f) - 0x3f000000u;
  } else {
    const uint32_t odd = (magnitude >> 13) & 1u;
    half = (magnitude - 0x38000000u + 0xfffu + odd) >> 13;
  }
  out->bits = static_cast<uint16_t>(sign | half);
#endif
}

}  // namespace
}  // namespace pyxai

// Run the statement with `scalar_t` bound to the storage type of `dtype`.
#define PYXAI_VISIT_DTYPE(dtype, ...)       \
  do {                                      \
    switch (dtype) {                        \
      case ::pyxai::DType::f32: {           \
        using scalar_t = float;             \
        __VA_ARGS__;                        \
        break;                              \
      }                                     \
      case ::pyxai::DType::f64: {           \
        using scalar_t = double;            \
        __VA_ARGS__;                        \
        break;                              \
      }                                     \
      case ::pyxai::DType::bf16: {          \
        using scalar_t = ::pyxai::BFloat16; \
        __VA_ARGS__;                        \
        break;                              \
      }                                     \
      case ::pyxai::DType::f16: {           \
        using scalar_t = ::pyxai::Float16;  \
        __VA_ARGS__;                        \
        break;                              \
      }                                     \
    }                                       \
  } while (false)
