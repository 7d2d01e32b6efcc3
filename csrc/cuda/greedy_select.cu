#include <cmath>

#include "../greedy_select.h"
#include "../greedy_select_element.h"
#include "../launch.h"

namespace pyxai::PYXAI_BACKEND_NS {
namespace {

constexpr int kBins = 256;  // values of a byte of a key
static_assert(kBins == kBlock, "a thread owns a bin");

// What a block knows of its example, in shared memory.
struct Shared {
  int bins[kBins];  // histogram, then prefix sums
  int digit;        // of the threshold in this pass
  int wanted;       // players still to be found among the equals of the threshold's prefix
  int found;        // players collected
};

// Add up `value` over the threads before and including this one.
static inline __device__ int prefix_sum(int* bins, int value) {
  const int lane = static_cast<int>(threadIdx.x);
  bins[lane] = value;
  __syncthreads();
  for (int step = 1; step < kBins; step *= 2) {
    const int before = lane >= step ? bins[lane - step] : 0;
    __syncthreads();
    bins[lane] += before;
    __syncthreads();
  }
  return bins[lane];
}

// The key of the last player to be selected, by eight passes over bytes; shared->wanted holds how
// many players of just that key are selected afterwards.
static inline __device__ uint64_t threshold_key(const GreedySelectParams& p, const double* sums,
                                                const int32_t* words, Shared* shared) {
  const int lane = static_cast<int>(threadIdx.x);
  uint64_t prefix = 0;
  for (int shift = 56; shift >= 0; shift -= 8) {
    shared->bins[lane] = 0;
    __syncthreads();
    for (int64_t i = lane; i < p.n_players; i += kBlock) {
      const uint64_t key = select_key(sums[i], p.absolute);
      const bool same = shift == 56 || (key >> (shift + 8)) == (prefix >> (shift + 8));
      if (same && !mask_has(words, i))
        atomicAdd(shared->bins + static_cast<int>((key >> shift) & 255u), 1);
    }
    __syncthreads();
    if (lane == 0) {
      int above = 0, digit = kBins - 1;
      while (digit > 0 && above + shared->bins[digit] < shared->wanted)
        above += shared->bins[digit--];
      shared->digit = digit;
      shared->wanted -= above;
    }
    __syncthreads();
    prefix |= static_cast<uint64_t>(shared->digit) << shift;
    __syncthreads();
  }
  return prefix;
}

// Write the players to be selected to `scratch`, by number.
static inline __device__ void collect(const GreedySelectParams& p, const double* sums,
                                      const int32_t* words, uint64_t threshold, int64_t* scratch,
                                      Shared* shared) {
  const int wanted = shared->wanted;
  int found = 0, equal_seen = 0;
  for (int64_t begin = 0; begin < p.n_players; begin += kBlock) {
    const int64_t i = begin + threadIdx.x;
    const bool open = i < p.n_players && !mask_has(words, i);
    const uint64_t key = open ? select_key(sums[i], p.absolute) : 0;
    const int equal = open && key == threshold ? 1 : 0;
    const int equals = prefix_sum(shared->bins, equal);
    const int all_equals = shared->bins[kBins - 1];
    __syncthreads();
    const bool taken = open && (key > threshold || (equal != 0 && equal_seen + equals <= wanted));
    const int place = prefix_sum(shared->bins, taken ? 1 : 0);
    const int all = shared->bins[kBins - 1];
    __syncthreads();
    if (taken) scratch[found + place - 1] = i;
    found += all;
    equal_seen += all_equals;
  }
  if (threadIdx.x == 0) shared->found = found;
  __syncthreads();
}

PYXAI_KERNEL greedy_select_kernel(GreedySelectParams p) {
  PYXAI_DYNAMIC_SHARED(Shared, shared);
  for (int64_t b = blockIdx.x; b < p.batch; b += gridDim.x) {
    const double* sums = p.sums + b * p.n_players;
    int32_t* words = p.selected + b * p.n_words;
    int64_t* scratch = p.scratch + b * p.n_select;
    int open = 0;
    for (int64_t i = threadIdx.x; i < p.n_players; i += kBlock) open += !mask_has(words, i);
    prefix_sum(shared->bins, open);
    const int left = shared->bins[kBins - 1];
    __syncthreads();
    if (threadIdx.x == 0) {
      shared->wanted = left < p.n_select ? left : static_cast<int>(p.n_select);
      shared->found = 0;
    }
    __syncthreads();
    if (left > 0) {
      const uint64_t threshold = threshold_key(p, sums, words, shared);
      collect(p, sums, words, threshold, scratch, shared);
    }
    const int64_t found = shared->found;
    for (int64_t k = threadIdx.x; k < p.n_select; k += kBlock) {
      int64_t player = -1, rank = k;
      if (k < found) {
        player = scratch[k];
        rank = 0;
        const uint64_t key = select_key(sums[player], p.absolute);
        for (int64_t other = 0; other < found; ++other) {
          const int64_t j = scratch[other];
          rank += select_before(select_key(sums[j], p.absolute), j, key, player) ? 1 : 0;
        }
        // Each bit is set once, so that adding it is the same as or-ing it.
        atomicAdd(reinterpret_cast<unsigned*>(words) + mask_word(player), mask_bit(player));
      }
      p.indices[b * p.n_select + rank] = player;
      p.scores[b * p.n_select + rank] = player >= 0 ? sums[player] : -HUGE_VAL;
    }
    __syncthreads();
  }
}

}  // namespace

void greedy_select(const GreedySelectParams& p, void* stream) {
  PYXAI_LAUNCH(greedy_select_kernel, grid_for(p.batch, 1), kBlock, sizeof(Shared), stream, p);
}

}  // namespace pyxai::PYXAI_BACKEND_NS
