// Kernels with one mistake each, for the tests of the host runner: it must not let them pass.
#include "selftest.h"

#include <stdexcept>

#include "../launch.h"

namespace pyxai::host_run {
namespace {

// Each thread reads its neighbour's value, with or without waiting for it.
PYXAI_KERNEL neighbour_kernel(const float* in, float* out, int count, bool barrier) {
  PYXAI_DYNAMIC_SHARED(float, shared);
  const int i = static_cast<int>(threadIdx.x);
  shared[i] = in[i];
  if (barrier) __syncthreads();
  out[i] = shared[(i + 1) % count];
}

PYXAI_KERNEL divergent_barrier_kernel() {
  if (threadIdx.x < 16) return;
  __syncthreads();
}

PYXAI_KERNEL divergent_exchange_kernel(int* out) {
  if (threadIdx.x % 2 == 0) *out = __shfl_xor_sync(0xffffffffu, 1, 1);
}

// All threads write one address: the last one wins, whichever that is.
PYXAI_KERNEL race_kernel(float* out) { out[0] = static_cast<float>(threadIdx.x); }

// Sum over a warp by exchanges and over the block by atomicAdd: no mistake.
PYXAI_KERNEL sum_kernel(const float* in, float* out) {
  float value = in[blockIdx.x * blockDim.x + threadIdx.x];
  for (int width = 16; width > 0; width /= 2) value += __shfl_xor_sync(0xffffffffu, value, width);
  if (threadIdx.x % 32 == 0) atomicAdd(out, value);
}

}  // namespace

void selftest(const std::string& name, const float* in, float* out, int count) {
  const size_t bytes = static_cast<size_t>(count) * sizeof(float);
  if (name == "neighbour")
    PYXAI_LAUNCH(neighbour_kernel, 1, count, bytes, nullptr, in, out, count, true);
  else if (name == "missing_barrier")
    PYXAI_LAUNCH(neighbour_kernel, 1, count, bytes, nullptr, in, out, count, false);
  else if (name == "divergent_barrier")
    PYXAI_LAUNCH(divergent_barrier_kernel, 1, 64, 0, nullptr);
  else if (name == "divergent_exchange") {
    int result = 0;
    PYXAI_LAUNCH(divergent_exchange_kernel, 1, 32, 0, nullptr, &result);
  } else if (name == "race")
    PYXAI_LAUNCH(race_kernel, 1, 64, 0, nullptr, out);
  else if (name == "sum")
    PYXAI_LAUNCH(sum_kernel, count / 64, 64, 0, nullptr, in, out);
  else if (name == "block_too_large")
    PYXAI_LAUNCH(race_kernel, 1, 2048, 0, nullptr, out);
  else
    throw std::invalid_argument("no such self-test: " + name);
}

}  // namespace pyxai::host_run
