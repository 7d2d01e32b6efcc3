// Player sums are kept in float64, so that the order of additions hardly matters.
#pragma once

#include "dtype.h"

namespace pyxai {
namespace {

template <typename T>
PYXAI_HD double player_sum_element(double sum, T value) {
  return sum + static_cast<double>(load(value));
}

}  // namespace
}  // namespace pyxai
