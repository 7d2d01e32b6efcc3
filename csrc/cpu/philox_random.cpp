#include "../philox_random.h"

#include <algorithm>

#include "../philox_random_element.h"
#include "parallel.h"
#include "vector_clones.h"

namespace pyxai::cpu {
namespace {

constexpr int64_t kBlockWork = 16;  // a block costs about as much as so many element operations
constexpr int64_t kLanes = 256;     // blocks made at once; they stay in the first-level cache

// Counters of blocks, one array per word so that the rounds vectorise.
struct Counters {
  uint32_t word[4][kLanes];
};

PYXAI_HD PhiloxBlock block_of(const Counters& counters, PhiloxKey key, int64_t lane) {
  return philox({counters.word[0][lane], counters.word[1][lane], counters.word[2][lane],
                 counters.word[3][lane]},
                key);
}

template <Distribution kDistribution, typename T>
PYXAI_HD void make_lanes(const Counters& counters, PhiloxKey key, T* out) {
  for (int64_t lane = 0; lane < kLanes; ++lane)
    random_lane<kDistribution>(block_of(counters, key, lane), out + lane * kNumbersPerBlock<T>);
}

PYXAI_VECTOR_CLONES void bits(const Counters& counters, PhiloxKey key, int32_t* out) {
  make_lanes<Distribution::bits>(counters, key, out);
}
PYXAI_VECTOR_CLONES void uniform(const Counters& counters, PhiloxKey key, float* out) {
  make_lanes<Distribution::uniform>(counters, key, out);
}
PYXAI_VECTOR_CLONES void uniform(const Counters& counters, PhiloxKey key, double* out) {
  make_lanes<Distribution::uniform>(counters, key, out);
}
PYXAI_VECTOR_CLONES void normal(const Counters& counters, PhiloxKey key, float* out) {
  make_lanes<Distribution::normal>(counters, key, out);
}
PYXAI_VECTOR_CLONES void normal(const Counters& counters, PhiloxKey key, double* out) {
  make_lanes<Distribution::normal>(counters, key, out);
}

// Blocks first .. last - 1 of all rows, in the order of memory.
template <typename T, typename Make>
void fill(const PhiloxRandomParams& p, int64_t first, int64_t last, const Make& make) {
  constexpr int64_t per_block = kNumbersPerBlock<T>;
  const int64_t row_blocks = (p.elements + per_block - 1) / per_block;
  Counters counters{};
  T numbers[kLanes * per_block];
  for (int64_t begin = first; begin < last; begin += kLanes) {
    const int64_t end = std::min(begin + kLanes, last);
    for (int64_t i = begin, row = begin / row_blocks; i < end; ++row) {
      const int64_t stop = std::min(end, (row + 1) * row_blocks);
      const int64_t example = p.example_ids[row / p.n_samples];
      for (; i < stop; ++i) {
        const PhiloxBlock counter =
            philox_counter(example, p.start + row % p.n_samples, i - row * row_blocks);
        for (int k = 0; k < 4; ++k) counters.word[k][i - begin] = counter.word[k];
      }
    }
    make(counters, p.key, numbers);
    for (int64_t i = begin, row = begin / row_blocks; i < end; ++row) {
      const int64_t stop = std::min(end, (row + 1) * row_blocks);
      const int64_t element = (i - row * row_blocks) * per_block;
      const int64_t count = std::min((stop - i) * per_block, p.elements - element);
      std::copy_n(numbers + (i - begin) * per_block, count,
                  static_cast<T*>(p.out) + row * p.elements + element);
      i = stop;
    }
  }
}

template <typename T, typename Make>
void fill_all(const PhiloxRandomParams& p, const Make& make) {
  constexpr int64_t per_block = kNumbersPerBlock<T>;
  const int64_t blocks = p.batch * p.n_samples * ((p.elements + per_block - 1) / per_block);
  parallel_items(blocks, kBlockWork,
                 [&](int64_t first, int64_t last) { fill<T>(p, first, last, make); });
}

template <typename T>
void fill_all(const PhiloxRandomParams& p) {
  fill_all<T>(p, [&](const Counters& counters, PhiloxKey key, T* out) {
    if (p.distribution == Distribution::normal)
      normal(counters, key, out);
    else
      uniform(counters, key, out);
  });
}

}  // namespace

void philox_random(const PhiloxRandomParams& p, void*) {
  if (p.distribution == Distribution::bits)
    fill_all<int32_t>(p, bits);
  else if (p.dtype == DType::f64)
    fill_all<double>(p);
  else
    fill_all<float>(p);
}

}  // namespace pyxai::cpu
