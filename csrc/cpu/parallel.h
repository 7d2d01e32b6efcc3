// Loops shared by torch's threads, where there is enough to share.
#pragma once

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdint>

namespace pyxai::cpu {
namespace {

// Element operations that cost about as much as waking a thread; torch's own figure.
constexpr int64_t kThreadWork = 32768;

// A tile of rows that are written: four such arrays fill the first-level cache.
constexpr int64_t kTileBytes = 8192;

// Call visit(first, last) on runs of [0, items) in parallel; an item takes `work` element
// operations. No result may depend on where the runs end.
template <typename Visit>
static inline void parallel_items(int64_t items, int64_t work, const Visit& visit) {
  const int64_t grain = kThreadWork / std::max<int64_t>(work, 1);
  at::parallel_for(0, items, std::max<int64_t>(grain, 1), visit);
}

}  // namespace
}  // namespace pyxai::cpu
