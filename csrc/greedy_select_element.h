// The order of players: larger sums first, equal ones by number, NaN last.
#pragma once

#include "greedy_select.h"
#include "masks.h"

namespace pyxai {
namespace {

// A number that grows with the sum; 0 for NaN alone.
PYXAI_HD uint64_t select_key(double sum, bool absolute) {
  if (sum != sum) return 0;
  if (absolute && sum < 0) sum = -sum;
  sum += 0.0;  // -0 and 0 are equal
  uint64_t bits;
  memcpy(&bits, &sum, sizeof(bits));
  const uint64_t sign = uint64_t(1) << 63;
  return (bits & sign) != 0 ? ~bits : bits | sign;
}

// Whether player i of key a comes before player j of key b.
PYXAI_HD bool select_before(uint64_t a, int64_t i, uint64_t b, int64_t j) {
  return a != b ? a > b : i < j;
}

}  // namespace
}  // namespace pyxai
