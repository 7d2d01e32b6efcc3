// Tiles over all features of a batch, [batch * features], cut where an example ends.
#pragma once

#include <algorithm>
#include <cstdint>

namespace pyxai::cpu {
namespace {

// Call visit(b, f, i, count) for each run of `count` features f, f + 1, ... of one example b within
// [begin, end), which starts at position i of [batch * features].
template <typename Visit>
static inline void for_each_span(int64_t begin, int64_t end, int64_t features, const Visit& visit) {
  for (int64_t i = begin, b = begin / features; i < end; ++b) {
    const int64_t count = std::min(end, (b + 1) * features) - i;
    visit(b, i - b * features, i, count);
    i += count;
  }
}

}  // namespace
}  // namespace pyxai::cpu
