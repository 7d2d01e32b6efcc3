// Which of its two values a feature shows.
#pragma once

#include "packed.h"

namespace pyxai {
namespace {

template <typename Bits>
PYXAI_HD Bits masked_perturb_element(bool keep, Bits input, Bits baseline) {
  return keep ? input : baseline;
}

}  // namespace
}  // namespace pyxai
