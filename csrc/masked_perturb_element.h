// Which of its two values a feature shows.
#pragma once

#include "dtype.h"

namespace pyxai {
namespace {

// `input` where `all` has ones, else `baseline`; without a branch, so that it vectorises.
template <typename Bits>
PYXAI_HD Bits masked_perturb_bits(Bits all, Bits input, Bits baseline) {
  return static_cast<Bits>(baseline ^ ((baseline ^ input) & all));
}

// `input` where `keep` is not 0, else `baseline`.
template <typename Bits>
PYXAI_HD Bits masked_perturb_element(Bits keep, Bits input, Bits baseline) {
  return masked_perturb_bits(static_cast<Bits>(-static_cast<Bits>(keep != 0)), input, baseline);
}

}  // namespace
}  // namespace pyxai
