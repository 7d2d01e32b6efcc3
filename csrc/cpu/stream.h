// Copies past the cache, for results too large to stay in it.
#pragma once

#include <cstdint>
#include <cstring>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace pyxai::cpu {
namespace {

// Results from this size on are streamed: a plain store reads each line of the result from memory
// before it is overwritten, which costs a third of the time, but leaves it in the cache for the
// next reader. Half of a common third-level cache.
constexpr int64_t kStreamBytes = int64_t{16} << 20;

// As memcpy; the lines written do not enter the cache. Ends with stream_fence() in each thread.
static inline void stream_copy(void* to, const void* from, int64_t bytes) {
#ifdef __SSE2__
  char* out = static_cast<char*>(to);
  const char* in = static_cast<const char*>(from);
  int64_t head = -reinterpret_cast<intptr_t>(out) & 63;  // lines are written whole
  if (head > bytes) head = bytes;
  memcpy(out, in, head);
  int64_t i = head;
  for (; i + 64 <= bytes; i += 64)
    for (int64_t j = i; j < i + 64; j += 16)
      _mm_stream_si128(reinterpret_cast<__m128i*>(out + j),
                       _mm_loadu_si128(reinterpret_cast<const __m128i*>(in + j)));
  memcpy(out + i, in + i, bytes - i);
#else
  memcpy(to, from, bytes);
#endif
}

// Orders streamed lines before what other threads are told.
static inline void stream_fence() {
#ifdef __SSE2__
  _mm_sfence();
#endif
}

}  // namespace
}  // namespace pyxai::cpu
