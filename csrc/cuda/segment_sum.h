// Sums over the members of a player in a fixed order: no atomics, so the same bits every time.
#pragma once

#include "../launch.h"
#include "../segments.h"

namespace pyxai::PYXAI_BACKEND_NS {
namespace {

// Threads that share one sum: a few members are one thread's work, many need a warp or a block.
static inline int segment_team(int64_t features, int64_t n_players) {
  const int64_t members = features / (n_players > 0 ? n_players : 1);
  return members <= 8 ? 1 : members <= 2048 ? kWarp : kBlock;
}

// What a block shares while its teams add up.
struct SegmentShared {
  double parts[kBlock / kWarp];
  int large[kBlock];  // teams whose player is the work of the whole block
  int n_large;
};

// One player of one example, and what a feature adds to its sum.
template <typename Term>
struct Segment {
  int64_t b, i;
  Term term;
};
template <typename Term>
Segment(int64_t, int64_t, Term) -> Segment<Term>;

template <int kLanes, typename Term>
static inline __device__ double member_sum(const SegmentView& segments, const Segment<Term>& of,
                                           int lane) {
  const int32_t* order = segments.order + of.b * segments.order_stride;
  const int32_t* offsets = segments.offsets + of.b * segments.offsets_stride;
  double sum = 0;
#pragma unroll 8
  for (int64_t k = offsets[of.i] + lane; k < offsets[of.i + 1]; k += kLanes)
    sum += of.term(order[k]);
  if constexpr (kLanes > 1)
    for (int width = kWarp / 2; width > 0; width /= 2)
      sum += __shfl_xor_sync(0xffffffffu, sum, width);
  return sum;
}

template <typename Term>
static inline __device__ double block_sum(const SegmentView& segments, const Segment<Term>& of,
                                          SegmentShared* shared) {
  const int t = static_cast<int>(threadIdx.x);
  const double own = member_sum<kBlock>(segments, of, t);
  if (t % kWarp == 0) shared->parts[t / kWarp] = own;
  __syncthreads();
  double sum = 0;
  for (const double part : shared->parts) sum += part;
  __syncthreads();
  return sum;
}

// The sum of item `first` + team, in all lanes of the team; at(item) is its Segment. Without
// segments, feature i is all that player i owns. Players with many more members than their team has
// threads are added up by the whole block, each by its own size, so that the others of its batch
// change no bit. Every thread of the block must call.
template <int kTeam, typename At>
static inline __device__ double segment_sum(const SegmentView& segments, int64_t first,
                                            int64_t count, SegmentShared* shared, const At& at) {
  const int t = static_cast<int>(threadIdx.x), team = t / kTeam, lane = t % kTeam;
  const bool active = first + team < count;
  double sum = 0;
  if (segments.order == nullptr) {
    if (active && lane == 0) {
      const auto of = at(first + team);
      sum = of.term(of.i);
    }
    return sum;
  }
  if constexpr (kTeam == kBlock) {
    return block_sum(segments, at(first), shared);
  } else {
    constexpr int kFew = kTeam == 1 ? 64 : 2048;
    if (t == 0) shared->n_large = 0;
    __syncthreads();
    if (active) {
      const auto of = at(first + team);
      const int32_t* offsets = segments.offsets + of.b * segments.offsets_stride;
      if (offsets[of.i + 1] - offsets[of.i] <= kFew)
        sum = member_sum<kTeam>(segments, of, lane);
      else if (lane == 0)
        shared->large[atomicAdd(&shared->n_large, 1)] = team;
    }
    __syncthreads();
    const int n_large = shared->n_large;
    for (int k = 0; k < n_large; ++k) {
      const int other = shared->large[k];
      const double all = block_sum(segments, at(first + other), shared);
      if (team == other) sum = all;
    }
    __syncthreads();
    return sum;
  }
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
