// Arithmetic that rounds after every operation on every backend, for results that must have the
// same bits: nvcc would contract a * b + c. On the host -ffp-contract=off does it.
#pragma once

#include <cmath>

#include "dtype.h"

namespace pyxai {
namespace {

#ifdef __CUDA_ARCH__
PYXAI_HD float mul_rn(float a, float b) { return __fmul_rn(a, b); }
PYXAI_HD double mul_rn(double a, double b) { return __dmul_rn(a, b); }
PYXAI_HD float add_rn(float a, float b) { return __fadd_rn(a, b); }
PYXAI_HD double add_rn(double a, double b) { return __dadd_rn(a, b); }
PYXAI_HD float div_rn(float a, float b) { return __fdiv_rn(a, b); }
PYXAI_HD double div_rn(double a, double b) { return __ddiv_rn(a, b); }
PYXAI_HD float sqrt_rn(float a) { return __fsqrt_rn(a); }
PYXAI_HD double sqrt_rn(double a) { return __dsqrt_rn(a); }
#else
PYXAI_HD float mul_rn(float a, float b) { return a * b; }
PYXAI_HD double mul_rn(double a, double b) { return a * b; }
PYXAI_HD float add_rn(float a, float b) { return a + b; }
PYXAI_HD double add_rn(double a, double b) { return a + b; }
PYXAI_HD float div_rn(float a, float b) { return a / b; }
PYXAI_HD double div_rn(double a, double b) { return a / b; }
PYXAI_HD float sqrt_rn(float a) { return std::sqrt(a); }
PYXAI_HD double sqrt_rn(double a) { return std::sqrt(a); }
#endif

// coefficients[0] + x * (coefficients[1] + x * (...)), by Horner's rule.
template <typename T, int kTerms>
PYXAI_HD T polynomial_rn(T x, const T (&coefficients)[kTerms]) {
  T value = coefficients[kTerms - 1];
  for (int i = kTerms - 2; i >= 0; --i) value = add_rn(coefficients[i], mul_rn(x, value));
  return value;
}

}  // namespace
}  // namespace pyxai
