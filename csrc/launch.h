// How a kernel source meets its backend: real CUDA under nvcc, fibers on the host in test builds.
// `.cu` files include this and no torch header.
#pragma once

#include "dtype.h"
#include "sizes.h"

#ifdef __CUDACC__

#include <cuda_runtime.h>

#define PYXAI_BACKEND_NS cuda
#define PYXAI_KERNEL static __global__ void
#define PYXAI_LAUNCH(kernel, grid, block, shared_bytes, stream, ...) \
  kernel<<<(grid), (block), (shared_bytes), static_cast<cudaStream_t>(stream)>>>(__VA_ARGS__)
// `extern` arrays of one name must agree in type, so shared memory is raw bytes that kernels cast.
#define PYXAI_DYNAMIC_SHARED(type, name)                               \
  extern __shared__ __align__(16) unsigned char pyxai_shared_memory[]; \
  type* name = reinterpret_cast<type*>(pyxai_shared_memory)

#else

#include "host_run/runtime.h"

#define PYXAI_BACKEND_NS host_run
#define PYXAI_KERNEL static void
#define PYXAI_LAUNCH(kernel, grid, block, shared_bytes, stream, ...) \
  (static_cast<void>(stream),                                        \
   ::pyxai::host_run::launch(grid, block, shared_bytes, [&] { kernel(__VA_ARGS__); }))
#define PYXAI_DYNAMIC_SHARED(type, name) \
  type* name = reinterpret_cast<type*>(::pyxai::host_run::shared_memory())

#endif

namespace pyxai::PYXAI_BACKEND_NS {
namespace {

// Blocks for `count` items, bounded; callers return early on an empty input.
static inline unsigned grid_for(int64_t count, int64_t per_block = kBlock) {
  const int64_t blocks = (count + per_block - 1) / per_block;
  return static_cast<unsigned>(blocks < kMaxGrid ? blocks : kMaxGrid);
}

}  // namespace
}  // namespace pyxai::PYXAI_BACKEND_NS
