#include <cmath>

#include "../greedy_select.h"
#include "../greedy_select_element.h"
#include "../launch.h"

namespace pyxai::PYXAI_BACKEND_NS {
namespace {

constexpr int kBins = 256;  // values of a byte of a key
static_assert(kBins == kBlock, "a thread owns a bin");
constexpr int kDigitBits = 4, kDigits = 1 << kDigitBits;  // of a key, in a pass of the sort

// What a block knows of its example, in shared memory.
struct Shared {
  int bins[kBins];  // histogram, then prefix sums
  int digit;        // of the threshold in this pass
  int wanted;       // players still to be found among the equals of the threshold's prefix
  int found;        // players collected
  int places[kDigits * kBlock];  // by digit and thread: how many players, then where they go
};

// Add up `value` over the threads before and including this one; the last bin is the sum of all.
static inline __device__ int prefix_sum(int* bins, int value) {
  const int t = static_cast<int>(threadIdx.x), lane = t % kWarp;
  for (int step = 1; step < kWarp; step *= 2) {
    const int before = __shfl_up_sync(0xffffffffu, value, static_cast<unsigned>(step));
    if (lane >= step) value += before;
  }
  bins[t] = value;
  __syncthreads();
  int before = 0;
  for (int last = kWarp - 1; last < t - lane; last += kWarp) before += bins[last];
  __syncthreads();
  bins[t] = value + before;
  __syncthreads();
  return value + before;
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

// Put the `found` players of `from` in order; as each counts who comes before, for a few only.
static inline __device__ void rank_few(const GreedySelectParams& p, const double* sums,
                                       const int64_t* from, int64_t found, int64_t* to) {
  const int64_t k = threadIdx.x;
  if (k >= found) return;
  const int64_t player = from[k];
  const uint64_t key = select_key(sums[player], p.absolute);
  int64_t rank = 0;
  for (int64_t other = 0; other < found; ++other) {
    const int64_t j = from[other];
    rank += select_before(select_key(sums[j], p.absolute), j, key, player) ? 1 : 0;
  }
  to[rank] = player;
}

// Where the players of each digit and thread go, larger digits first, from how many there are.
static inline __device__ void places_from_counts(Shared* shared) {
  int* own = shared->places + threadIdx.x * kDigits;
  int sum = 0;
  for (int i = 0; i < kDigits; ++i) sum += own[i];
  int place = prefix_sum(shared->bins, sum) - sum;
  for (int i = 0; i < kDigits; ++i) {
    const int count = own[i];
    own[i] = place;
    place += count;
  }
  __syncthreads();
}

// Put the `found` players of `from`, which are there by number, in order by a stable radix sort,
// least digits first. Both arrays are written; `to` has the result.
static inline __device__ void sort_many(const GreedySelectParams& p, const double* sums,
                                        int64_t* from, int64_t found, int64_t* to, Shared* shared) {
  const int t = static_cast<int>(threadIdx.x);
  const int64_t each = (found + kBlock - 1) / kBlock;
  const int64_t begin = t * each < found ? t * each : found;
  const int64_t end = begin + each < found ? begin + each : found;
  int64_t *source = from, *target = to;
  for (int shift = 0; shift < 64; shift += kDigitBits) {
    const auto place_of = [&](int64_t player) {
      const uint64_t key = select_key(sums[player], p.absolute);
      const int digit = static_cast<int>(~key >> shift & (kDigits - 1));
      return shared->places + digit * kBlock + t;
    };
    for (int d = 0; d < kDigits; ++d) shared->places[d * kBlock + t] = 0;
    for (int64_t k = begin; k < end; ++k) ++*place_of(source[k]);
    __syncthreads();
    places_from_counts(shared);
    // Digits that all share, as the last ones of what was float32, move nobody.
    int used = 0;
    for (int d = 0; d < kDigits; ++d) {
      const int next = d + 1 < kDigits ? shared->places[(d + 1) * kBlock] : static_cast<int>(found);
      used += next > shared->places[d * kBlock] ? 1 : 0;
    }
    __syncthreads();
    if (used == 1) continue;
    for (int64_t k = begin; k < end; ++k) {
      const int64_t player = source[k];
      target[(*place_of(player))++] = player;
    }
    int64_t* const written = target;
    target = source;
    source = written;
    __syncthreads();
  }
  if (source != to)
    for (int64_t k = t; k < found; k += kBlock) to[k] = source[k];
}

PYXAI_KERNEL greedy_select_kernel(GreedySelectParams p) {
  PYXAI_DYNAMIC_SHARED(Shared, shared);
  for (int64_t b = blockIdx.x; b < p.batch; b += gridDim.x) {
    const double* sums = p.sums + b * p.n_players;
    int32_t* words = p.selected + b * p.n_words;
    int64_t *scratch = p.scratch + b * p.n_select, *indices = p.indices + b * p.n_select;
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
      // Where all that are left are selected, all are above the least key or equal it.
      const uint64_t threshold = left > p.n_select ? threshold_key(p, sums, words, shared) : 0;
      collect(p, sums, words, threshold, scratch, shared);
    }
    const int64_t found = shared->found;
    if (found > kBlock)
      sort_many(p, sums, scratch, found, indices, shared);
    else
      rank_few(p, sums, scratch, found, indices);
    __syncthreads();
    for (int64_t k = threadIdx.x; k < p.n_select; k += kBlock) {
      const int64_t player = k < found ? indices[k] : -1;
      if (k >= found) indices[k] = -1;
      p.scores[b * p.n_select + k] = player >= 0 ? sums[player] : -HUGE_VAL;
      // Each bit is set once, so that adding it is the same as or-ing it.
      if (player >= 0)
        atomicAdd(reinterpret_cast<unsigned*>(words) + mask_word(player), mask_bit(player));
    }
    __syncthreads();
  }
}

}  // namespace

void greedy_select(const GreedySelectParams& p, void* stream) {
  PYXAI_LAUNCH(greedy_select_kernel, grid_for(p.batch, 1), kBlock, sizeof(Shared), stream, p);
}

}  // namespace pyxai::PYXAI_BACKEND_NS
