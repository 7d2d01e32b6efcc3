// Where pairs of players stand in a list of all pairs i < j, row by row.
#pragma once

#include <cstdint>

#include "dtype.h"

namespace pyxai {
namespace {

// Where the pairs of row i begin, less i + 1, so that + j finds a pair.
PYXAI_HD int64_t pair_row(int64_t i, int64_t n) { return i * (2 * n - i - 1) / 2 - i - 1; }

}  // namespace
}  // namespace pyxai
