// Effects of single players and of pairs; in double, because second differences cancel.
#pragma once

#include "pairs.h"
#include "pairwise_taylor.h"

namespace pyxai {
namespace {

constexpr int64_t kPairTile = 32;  // players on a side of the tiles of the pair matrix

// Second difference; for players taken from the full coalition it reads the same.
PYXAI_HD double pair_effect(double both, double first, double second, double none) {
  return (both - first) - (second - none);
}

PYXAI_HD double single_effect(double one, double none, bool from_input) {
  return from_input ? none - one : one - none;
}

// Tiles (row, column) with row <= column, row by row.
PYXAI_HD void pair_tile(int64_t index, int64_t side, int64_t* row, int64_t* column) {
  *row = 0;
  for (int64_t left = side; index >= left; --left) {
    index -= left;
    ++*row;
  }
  *column = *row + index;
}

// Whether row r of the matrix given belongs to player p of example b.
PYXAI_HD bool row_is_of(const PairwiseTaylorHessianParams& p, int64_t b, int64_t r,
                        int64_t player) {
  const int64_t row = p.row_start + r;
  return (p.products ? row : player_of(p.players, b, row)) == player;
}

// What row r is multiplied by.
template <typename T>
PYXAI_HD double row_factor(const PairwiseTaylorHessianParams& p, int64_t b, int64_t r) {
  if (p.products) return 1.0;
  return load(static_cast<const T*>(p.delta)[b * p.features + p.row_start + r]);
}

}  // namespace
}  // namespace pyxai
