// Which of its two values a feature shows.
#pragma once

#include "dtype.h"

namespace pyxai {
namespace {

// `inputs` where `keep` is not 0, else `baseline`; without a branch, so that it vectorises.
template <typename Bits>
PYXAI_HD Bits masked_perturb_element(Bits keep, Bits input, Bits baseline) {
  const Bits all = static_cast<Bits>(-static_cast<Bits>(keep != 0));
  return static_cast<Bits>(baseline ^ ((baseline ^ input) & all));
}

}  // namespace
}  // namespace pyxai
