// What turns a block of random words into numbers. Only exactly rounded operations, so that every
// backend gives the same bits.
#pragma once

#include "philox_random.h"
#include "rounding.h"

namespace pyxai {
namespace {

// How many numbers of type T one block makes.
template <typename T>
constexpr int64_t kNumbersPerBlock = 16 / sizeof(T);

// log(x) for x in (0, 1]: x = 2^e m with m in [sqrt(1/2), sqrt(2)), and
// log(m) = 2 atanh(q) = 2 (q + q^3/3 + q^5/5 + ...) with q = (m - 1) / (m + 1), q^2 < 0.0295.
PYXAI_HD float log_rn(float x) {
  constexpr float series[] = {1.0f, 1.0f / 3, 1.0f / 5, 1.0f / 7, 1.0f / 9};
  const uint32_t bits = bits_from_float(x);
  const int32_t exponent = static_cast<int32_t>(bits - 0x3F3504F3u) >> 23;
  const float m = float_from_bits(bits - (static_cast<uint32_t>(exponent) << 23));
  const float q = div_rn(add_rn(m, -1.0f), add_rn(m, 1.0f));
  const float log_m = mul_rn(2.0f * q, polynomial_rn(mul_rn(q, q), series));
  return add_rn(mul_rn(static_cast<float>(exponent), 0x1.62E43p-1f), log_m);
}
PYXAI_HD double log_rn(double x) {
  constexpr double series[] = {1.0,      1.0 / 3,  1.0 / 5,  1.0 / 7,  1.0 / 9, 1.0 / 11,
                               1.0 / 13, 1.0 / 15, 1.0 / 17, 1.0 / 19, 1.0 / 21};
  uint64_t bits;
  memcpy(&bits, &x, sizeof(bits));
  // The upper half is enough to find the exponent, and 32-bit shifts vectorise everywhere.
  const int32_t exponent =
      static_cast<int32_t>(static_cast<uint32_t>(bits >> 32) - 0x3FE6A09Eu) >> 20;
  bits -= static_cast<uint64_t>(static_cast<uint32_t>(exponent)) << 52;
  double m;
  memcpy(&m, &bits, sizeof(m));
  const double q = div_rn(add_rn(m, -1.0), add_rn(m, 1.0));
  const double log_m = mul_rn(2.0 * q, polynomial_rn(mul_rn(q, q), series));
  return add_rn(mul_rn(static_cast<double>(exponent), 0x1.62E42FEFA39EFp-1), log_m);
}

// Sine and cosine of x in [-pi/4, pi/4] by their Taylor series.
PYXAI_HD void sin_cos_rn(float x, float* sine, float* cosine) {
  constexpr float odd[] = {1.0f, -1.0f / 6, 1.0f / 120, -1.0f / 5040, 1.0f / 362880};
  constexpr float even[] = {1.0f, -1.0f / 2, 1.0f / 24, -1.0f / 720, 1.0f / 40320, -1.0f / 3628800};
  const float square = mul_rn(x, x);
  *sine = mul_rn(x, polynomial_rn(square, odd));
  *cosine = polynomial_rn(square, even);
}
PYXAI_HD void sin_cos_rn(double x, double* sine, double* cosine) {
  constexpr double odd[] = {1.0,
                            -1.0 / 6,
                            1.0 / 120,
                            -1.0 / 5040,
                            1.0 / 362880,
                            -1.0 / 39916800,
                            1.0 / 6227020800,
                            -1.0 / 1307674368000,
                            1.0 / 355687428096000};
  constexpr double even[] = {1.0,
                             -1.0 / 2,
                             1.0 / 24,
                             -1.0 / 720,
                             1.0 / 40320,
                             -1.0 / 3628800,
                             1.0 / 479001600,
                             -1.0 / 87178291200,
                             1.0 / 20922789888000};
  const double square = mul_rn(x, x);
  *sine = mul_rn(x, polynomial_rn(square, odd));
  *cosine = polynomial_rn(square, even);
}

// Two independent standard normals from a radius in (0, 1] and an angle of `turn` 2^-32 turns plus
// `fine` turns: G. E. P. Box, M. E. Muller, "A Note on the Generation of Random Normal Deviates",
// Annals of Mathematical Statistics 29(2), 1958.
template <typename T>
PYXAI_HD void normal_pair(T unit, uint32_t turn, T fine, T* first, T* second) {
  const T radius = sqrt_rn(mul_rn(T(-2), log_rn(unit)));
  // The nearest quarter turn and the exact rest.
  const uint32_t quarter = (turn + 0x20000000u) >> 30;
  const T rest = add_rn(
      mul_rn(static_cast<T>(static_cast<int32_t>(turn - (quarter << 30))), T(0x1p-32)), fine);
  T sine, cosine;
  sin_cos_rn(mul_rn(rest, T(0x1.921FB54442D18p+2)), &sine, &cosine);
  const T x = (quarter & 1u) != 0 ? sine : cosine, y = (quarter & 1u) != 0 ? cosine : sine;
  *first = mul_rn(radius, ((quarter + 1u) & 2u) != 0 ? -x : x);
  *second = mul_rn(radius, (quarter & 2u) != 0 ? -y : y);
}

// The 53 upper bits of (high, low) as a multiple of 2^-53 in [0, 1).
PYXAI_HD double unit_double(uint32_t high, uint32_t low) {
  return add_rn(mul_rn(static_cast<double>(high), 0x1p-32),
                mul_rn(static_cast<double>(low >> 11), 0x1p-53));
}

PYXAI_HD void uniform_lane(const PhiloxBlock& block, float* out) {
  for (int i = 0; i < 4; ++i)
    out[i] = mul_rn(static_cast<float>(static_cast<int32_t>(block.word[i] >> 8)), 0x1p-24f);
}
PYXAI_HD void uniform_lane(const PhiloxBlock& block, double* out) {
  for (int i = 0; i < 2; ++i) out[i] = unit_double(block.word[2 * i + 1], block.word[2 * i]);
}

PYXAI_HD void normal_lane(const PhiloxBlock& block, float* out) {
  for (int i = 0; i < 4; i += 2) {
    // Half a unit above the word, so that the logarithm is finite.
    const float unit = add_rn(mul_rn(static_cast<float>(block.word[i]), 0x1p-32f), 0x1p-33f);
    normal_pair(unit, block.word[i + 1], 0.0f, out + i, out + i + 1);
  }
}
PYXAI_HD void normal_lane(const PhiloxBlock& block, double* out) {
  const double unit = add_rn(unit_double(block.word[1], block.word[0]), 0x1p-54);
  const double fine = mul_rn(static_cast<double>(block.word[2]), 0x1p-64);
  normal_pair(unit, block.word[3], fine, out, out + 1);
}

// All numbers of a block.
template <Distribution kDistribution, typename T>
PYXAI_HD void random_lane(const PhiloxBlock& block, T* out) {
  if constexpr (kDistribution == Distribution::bits) {
    for (int i = 0; i < 4; ++i) out[i] = static_cast<T>(block.word[i]);
  } else if constexpr (kDistribution == Distribution::uniform) {
    uniform_lane(block, out);
  } else {
    normal_lane(block, out);
  }
}

}  // namespace
}  // namespace pyxai
