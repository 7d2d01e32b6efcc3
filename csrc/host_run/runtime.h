// Gives `__global__` functions a meaning on the host, for tests: one fiber per CUDA thread, real
// barriers, shared memory poisoned before each block, threads run in forward or in reverse order.
#pragma once

#include <ucontext.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "../sizes.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

struct dim3 {
  unsigned x, y, z;
  dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

namespace pyxai::host_run {

constexpr size_t kStackBytes = 256 * 1024;

enum class Wait { runnable, block, warp, returned };

struct Fiber {
  ucontext_t context;
  std::vector<unsigned char> stack;
  Wait state = Wait::runnable;
  unsigned exchanges =
      0;  // parity picks the slot, so that a fast lane cannot overwrite an unread one
  uint64_t slots[2] = {0, 0};  // what this lane published in its last two warp exchanges
};

struct Machine {
  std::vector<Fiber> fibers;
  ucontext_t scheduler;
  std::function<void()> body;
  std::vector<unsigned char> shared;
  dim3 grid, block, block_index;
  unsigned current = 0;
  bool reverse = false;
#if defined(__SANITIZE_ADDRESS__)
  const void* scheduler_stack = nullptr;
  size_t scheduler_bytes = 0;
#endif
};

// thread_local, so that two Python threads can each run a kernel.
inline Machine& machine() {
  static thread_local Machine instance;
  return instance;
}
inline bool& reverse_threads() {
  static bool reverse = false;
  return reverse;
}

inline unsigned char* shared_memory() { return machine().shared.data(); }

inline void yield_fiber(Wait state) {
  Machine& m = machine();
  Fiber& fiber = m.fibers[m.current];
  fiber.state = state;
#if defined(__SANITIZE_ADDRESS__)
  void* fake = nullptr;
  __sanitizer_start_switch_fiber(state == Wait::returned ? nullptr : &fake, m.scheduler_stack,
                                 m.scheduler_bytes);
#endif
  swapcontext(&fiber.context, &m.scheduler);
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
#endif
}

inline void fiber_main() {
#if defined(__SANITIZE_ADDRESS__)
  Machine& m = machine();
  __sanitizer_finish_switch_fiber(nullptr, &m.scheduler_stack, &m.scheduler_bytes);
#endif
  machine().body();
  yield_fiber(Wait::returned);
}

inline void resume_fiber(unsigned index) {
  Machine& m = machine();
  m.current = index;
#if defined(__SANITIZE_ADDRESS__)
  void* fake = nullptr;
  __sanitizer_start_switch_fiber(&fake, m.fibers[index].stack.data(), kStackBytes);
#endif
  swapcontext(&m.scheduler, &m.fibers[index].context);
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
#endif
}

// Release whoever may go on; false when every thread has returned.
inline bool release_waiting() {
  Machine& m = machine();
  const unsigned count = static_cast<unsigned>(m.fibers.size());
  unsigned returned = 0, at_block = 0;
  bool released = false;
  for (unsigned begin = 0; begin < count; begin += kWarp) {
    const unsigned end = begin + kWarp < count ? begin + kWarp : count;
    unsigned at_warp = 0, warp_returned = 0;
    for (unsigned i = begin; i < end; ++i) {
      at_warp += m.fibers[i].state == Wait::warp;
      warp_returned += m.fibers[i].state == Wait::returned;
      at_block += m.fibers[i].state == Wait::block;
    }
    returned += warp_returned;
    if (at_warp == end - begin) {
      for (unsigned i = begin; i < end; ++i) m.fibers[i].state = Wait::runnable;
      released = true;
    } else if (at_warp > 0) {
      throw std::runtime_error("divergent warp exchange: " + std::to_string(at_warp) + " of " +
                               std::to_string(end - begin) + " lanes take part");
    }
  }
  if (released) return true;
  if (returned == count) return false;
  if (at_block != count) {
    throw std::runtime_error("divergent barrier: " + std::to_string(returned) +
                             " threads returned, " + std::to_string(at_block) + " wait");
  }
  for (Fiber& fiber : m.fibers) fiber.state = Wait::runnable;
  return true;
}

inline void run_block() {
  Machine& m = machine();
  const unsigned count = static_cast<unsigned>(m.fibers.size());
  if (!m.shared.empty()) std::memset(m.shared.data(), 0xCD, m.shared.size());
  for (Fiber& fiber : m.fibers) {
    fiber.state = Wait::runnable;
    fiber.exchanges = 0;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.data();
    fiber.context.uc_stack.ss_size = kStackBytes;
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, fiber_main, 0);
  }
  do {
    for (unsigned i = 0; i < count; ++i) {
      const unsigned index = m.reverse ? count - 1 - i : i;
      if (m.fibers[index].state == Wait::runnable) resume_fiber(index);
    }
  } while (release_waiting());
}

inline void launch(dim3 grid, dim3 block, size_t shared_bytes, std::function<void()> body) {
  if (block.y != 1 || block.z != 1 || block.x == 0 || block.x > 1024 || shared_bytes > 48 * 1024 ||
      grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.y > kMaxGrid || grid.z > kMaxGrid) {
    throw std::runtime_error("launch outside of what CUDA or the host runner supports");
  }
  Machine& m = machine();
  m.grid = grid;
  m.block = block;
  m.body = std::move(body);
  m.shared.assign(shared_bytes, 0);
  m.reverse = reverse_threads();
  m.fibers.resize(block.x);
  for (Fiber& fiber : m.fibers) fiber.stack.resize(kStackBytes);
  for (unsigned z = 0; z < grid.z; ++z)
    for (unsigned y = 0; y < grid.y; ++y)
      for (unsigned x = 0; x < grid.x; ++x) {
        m.block_index = dim3(x, y, z);
        run_block();
      }
}

// Publish `value` and read what lane `source` published; all lanes of the warp must take part.
template <typename T>
inline T exchange(T value, unsigned source) {
  static_assert(sizeof(T) <= sizeof(uint64_t), "a warp exchange moves at most 8 bytes");
  Machine& m = machine();
  Fiber& fiber = m.fibers[m.current];
  const unsigned self = m.current, slot = fiber.exchanges++ & 1u;
  std::memcpy(&fiber.slots[slot], &value, sizeof(T));
  yield_fiber(Wait::warp);
  const unsigned begin = self / kWarp * kWarp;
  const unsigned lane = begin + source < m.fibers.size() && source < kWarp ? begin + source : self;
  T result;
  std::memcpy(&result, &m.fibers[lane].slots[slot], sizeof(T));
  return result;
}

}  // namespace pyxai::host_run

// The CUDA vocabulary that kernels may use.
#define __device__
#define __host__
#define __restrict__ __restrict
#define __launch_bounds__(...)
#define threadIdx (dim3(::pyxai::host_run::machine().current, 0, 0))
#define blockIdx (::pyxai::host_run::machine().block_index)
#define blockDim (::pyxai::host_run::machine().block)
#define gridDim (::pyxai::host_run::machine().grid)

static inline void __syncthreads() {
  ::pyxai::host_run::yield_fiber(::pyxai::host_run::Wait::block);
}

template <typename T>
static inline T __shfl_sync(unsigned, T value, int source) {
  return ::pyxai::host_run::exchange(value, static_cast<unsigned>(source) % ::pyxai::kWarp);
}
template <typename T>
static inline T __shfl_xor_sync(unsigned, T value, int lanes) {
  return ::pyxai::host_run::exchange(value,
                                     (threadIdx.x % ::pyxai::kWarp) ^ static_cast<unsigned>(lanes));
}
template <typename T>
static inline T __shfl_down_sync(unsigned, T value, unsigned lanes) {
  return ::pyxai::host_run::exchange(value, threadIdx.x % ::pyxai::kWarp + lanes);
}
template <typename T>
static inline T __shfl_up_sync(unsigned, T value, unsigned lanes) {
  return ::pyxai::host_run::exchange(value, threadIdx.x % ::pyxai::kWarp - lanes);
}
template <typename T>
static inline T atomicAdd(T* address, T value) {
  const T old = *address;
  *address = old + value;
  return old;
}
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
template <typename T>
static inline void __stcs(T* address, T value) {
  *address = value;
}
static inline int __popc(unsigned bits) { return __builtin_popcount(bits); }
