// Sums over the members of a player in a fixed order: no atomics, so the same bits every time.
#pragma once

#include "../launch.h"
#include "../segments.h"

namespace pyxai::PYXAI_BACKEND_NS {
namespace {

// Threads that share one sum: a few members are one thread's work, many need a warp or a block.
static inline int segment_team(int64_t features, int64_t n_players) {
  const int64_t members = features / (n_players > 0 ? n_players : 1);
  return members <= 8 ? 1 : members <= 512 ? kWarp : kBlock;
}

// Sum of `term(f)` over the features of player i of example b, in all lanes of the team; without
// segments, feature i is all that player i owns. Every thread of the block must call; `shared`
// holds a double per thread.
template <int kTeam, typename Term>
static inline __device__ double segment_sum(const SegmentView& segments, int64_t b, int64_t i,
                                            bool active, double* shared, const Term& term) {
  const int lane = static_cast<int>(threadIdx.x) % kTeam;
  double sum = 0;
  if (active && segments.order == nullptr) {
    sum = lane == 0 ? term(i) : 0.0;
  } else if (active) {
    const int32_t* order = segments.order + b * segments.order_stride;
    const int32_t* offsets = segments.offsets + b * segments.offsets_stride;
    for (int64_t k = offsets[i] + lane; k < offsets[i + 1]; k += kTeam) sum += term(order[k]);
  }
  if constexpr (kTeam > 1)
    for (int width = kWarp / 2; width > 0; width /= 2)
      sum += __shfl_xor_sync(0xffffffffu, sum, width);
  if constexpr (kTeam > kWarp) {
    shared[threadIdx.x] = sum;
    __syncthreads();
    sum = 0;
    for (int warp = 0; warp < kTeam; warp += kWarp) sum += shared[warp];
    __syncthreads();
  }
  return sum;
}

}  // namespace
}  // namespace pyxai::PYXAI_BACKEND_NS

// Run the statement with `kTeam` bound to `team`, one of those that segment_team chooses.
#define PYXAI_VISIT_TEAM(team, ...) \
  do {                              \
    if ((team) == 1) {              \
      constexpr int kTeam = 1;      \
      __VA_ARGS__;                  \
    } else if ((team) == kWarp) {   \
      constexpr int kTeam = kWarp;  \
      __VA_ARGS__;                  \
    } else {                        \
      constexpr int kTeam = kBlock; \
      __VA_ARGS__;                  \
    }                               \
  } while (false)
