// One player after another, lowest first: every set with the player loses (Moebius) or gains (zeta)
// what the set without it has. The order is the same on every backend, and so are the bits.
#pragma once

#include "moebius_transform.h"

namespace pyxai {
namespace {

// Sets of a table that are transformed without going back to memory.
constexpr int64_t kTileBits = 12;
constexpr int64_t kTile = int64_t{1} << kTileBits;
// Players beyond the tile that one more pass over the table can take.
constexpr int64_t kMaxPassBits = 8;

template <bool kZeta, typename T>
PYXAI_HD void butterfly(T without, T* with) {
  *with = kZeta ? *with + without : *with - without;
}

// The players of bits kFirst .. kBits - 1 of the index of `sets`.
template <bool kZeta, int kBits, typename T>
PYXAI_HD void butterflies(T (&sets)[1 << kBits], int first = 0, int last = kBits) {
#pragma unroll
  for (int bit = 0; bit < kBits; ++bit)
    if (bit >= first && bit < last)
#pragma unroll
      for (int m = 0; m < 1 << kBits; ++m)
        if ((m >> bit & 1) != 0) butterfly<kZeta>(sets[m ^ (1 << bit)], &sets[m]);
}

// How the players beyond the first tile are split over as few and as equal passes as possible.
PYXAI_HD int64_t pass_bits(int64_t n_players, int64_t done) {
  const int64_t left = n_players - done, passes = (left + kMaxPassBits - 1) / kMaxPassBits;
  return (left + passes - 1) / passes;
}

}  // namespace
}  // namespace pyxai
