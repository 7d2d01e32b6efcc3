// A table is read once, in chunks of the 2^12 sets that differ in the lowest players. The weighted
// chunks are added up element by element, in a fixed number of groups, which is enough for the
// pairs of low players; and each chunk leaves its sum and its sums over the sets that contain each
// low player, which are enough for the rest. (The CPU takes low players from the sums of chunks.)
#pragma once

#include "pairs.h"
#include "table_sums.h"

namespace pyxai {
namespace {

constexpr int64_t kChunkBits = 12;
constexpr int64_t kChunkParts = kChunkBits + 1;  // low players, then the sum

struct TableShape {
  int64_t low;     // players within a chunk
  int64_t chunk;   // sets of a chunk
  int64_t chunks;  // chunks of a table
  int64_t groups;  // of chunks whose elements are added up together
};

// Depends on the number of players only, so that a table gives the same bits in any batch.
PYXAI_HD TableShape table_shape(int64_t n_players) {
  const int64_t low = n_players < kChunkBits ? n_players : kChunkBits;
  const int64_t chunks = int64_t{1} << (n_players - low), groups = chunks / 16;
  return {low, int64_t{1} << low, chunks, groups < 1 ? 1 : groups > 64 ? 64 : groups};
}

// Chunks of group g: g * chunks / groups and following.
PYXAI_HD int64_t group_chunks(const TableShape& shape) { return shape.chunks / shape.groups; }

PYXAI_HD int64_t result_width(int32_t order, int64_t n) {
  return 1 + (order > 0 ? n : 0) + (order > 1 ? n * (n - 1) / 2 : 0);
}

}  // namespace
}  // namespace pyxai
