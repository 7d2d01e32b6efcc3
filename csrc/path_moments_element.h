// What one gradient adds to the two sums.
#pragma once

#include "path_moments.h"

namespace pyxai {
namespace {

template <typename acc_t>
PYXAI_HD void path_moments_element(acc_t& first, acc_t& second, acc_t weight, acc_t grad) {
  const acc_t weighted = weight * grad;
  first += weighted;
  second += weighted * grad;
}

}  // namespace
}  // namespace pyxai
