// Vectors by name, for sums that must stay in registers.
#pragma once

#include <cstdint>
#include <cstring>

#include "vector_clones.h"

namespace pyxai::cpu {
namespace {

// Loads at any position: wider ones would cross a cache line every time.
constexpr int64_t kLaneBytes = 32;
template <typename T>
struct LanesOf {
  typedef T type __attribute__((vector_size(kLaneBytes)));
};
template <typename T>
using Lanes = typename LanesOf<T>::type;
template <typename T>
constexpr int64_t kLanes = kLaneBytes / static_cast<int64_t>(sizeof(T));

template <typename T>
PYXAI_INLINE void load_lanes(Lanes<T>* to, const T* from) {
  memcpy(to, from, kLaneBytes);
}

}  // namespace
}  // namespace pyxai::cpu
