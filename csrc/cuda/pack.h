// Accesses of kPackBytes: what a memory-bound kernel needs to reach the bandwidth of the device.
#pragma once

#include <cstdint>
#include <cstring>
#include <initializer_list>

#include "../launch.h"

namespace pyxai {

// N neighbouring elements that one thread reads or writes at once.
template <typename T, int N>
struct alignas(sizeof(T) * N) Pack {
  T at[N];
};

namespace {

template <typename T, int N>
static inline __device__ Pack<T, N> load_pack(const void* base, int64_t element) {
  return *reinterpret_cast<const Pack<T, N>*>(static_cast<const T*>(base) + element);
}

// Written once and not read back here. nvcc splits the assignment of a struct into its elements, so
// a whole pack goes through a vector of registers.
template <typename T, int N>
static inline __device__ void store_pack(void* base, int64_t element, const Pack<T, N>& pack) {
  T* place = static_cast<T*>(base) + element;
  if constexpr (sizeof(pack) == kPackBytes) {
    uint4 bits;
    memcpy(&bits, &pack, sizeof(bits));
    __stcs(reinterpret_cast<uint4*>(place), bits);
  } else {
    *reinterpret_cast<Pack<T, N>*>(place) = pack;
  }
}

// Whether rows of `row_bytes` at all `pointers` (null ones do not count) can be read in packs.
inline bool packs_fit(int64_t row_bytes, std::initializer_list<const void*> pointers) {
  bool fit = row_bytes % kPackBytes == 0;
  for (const void* pointer : pointers)
    fit = fit && reinterpret_cast<uintptr_t>(pointer) % kPackBytes == 0;
  return fit;
}

// 64-bit division takes some hundred instructions on a GPU, 32-bit a tenth of that.
PYXAI_HD int64_t divide(int64_t a, int64_t b) {
  if (((a | b) >> 32) == 0) return static_cast<uint32_t>(a) / static_cast<uint32_t>(b);
  return a / b;
}

constexpr int64_t kBusyThreads = 1 << 18;  // keep the largest device busy

// How many of `n` rows one thread writes when `columns` threads write a row: many spare reads, few
// keep the device busy.
inline int64_t items_each(int64_t columns, int64_t n) {
  int64_t each = 16;
  while (each > 1 && columns * ((n + each - 1) / each) < kBusyThreads) each /= 2;
  return each;
}

}  // namespace
}  // namespace pyxai

// Run the statement with `kPack` bound to how many elements of `type` a thread moves at once:
// kPackBytes where rows allow it, else one element.
#define PYXAI_VISIT_PACK(type, fits, ...)                                \
  do {                                                                   \
    if (fits) {                                                          \
      constexpr int kPack = kPackBytes / static_cast<int>(sizeof(type)); \
      __VA_ARGS__;                                                       \
    } else {                                                             \
      constexpr int kPack = 1;                                           \
      __VA_ARGS__;                                                       \
    }                                                                    \
  } while (false)
