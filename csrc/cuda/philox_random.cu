#include "../launch.h"
#include "../philox_random.h"
#include "../philox_random_element.h"

namespace pyxai::PYXAI_BACKEND_NS {
namespace {

// One thread makes one block of words.
template <Distribution kDistribution, typename T>
PYXAI_KERNEL philox_random_kernel(PhiloxRandomParams p) {
  constexpr int64_t per_block = kNumbersPerBlock<T>;
  const int64_t row_blocks = (p.elements + per_block - 1) / per_block;
  const int64_t count = p.batch * p.n_samples * row_blocks;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += static_cast<int64_t>(gridDim.x) * blockDim.x) {
    const int64_t row = i / row_blocks, block = i % row_blocks;
    const PhiloxBlock words =
        philox(philox_counter(p.example_ids[row / p.n_samples], p.start + row % p.n_samples, block),
               p.key);
    T numbers[per_block];
    random_lane<kDistribution>(words, numbers);
    T* out = static_cast<T*>(p.out) + row * p.elements;
    for (int64_t k = 0; k < per_block; ++k)
      if (block * per_block + k < p.elements) out[block * per_block + k] = numbers[k];
  }
}

template <Distribution kDistribution, typename T>
void launch_philox_random(const PhiloxRandomParams& p, void* stream) {
  constexpr int64_t per_block = kNumbersPerBlock<T>;
  const int64_t blocks = p.batch * p.n_samples * ((p.elements + per_block - 1) / per_block);
  const auto kernel = philox_random_kernel<kDistribution, T>;
  PYXAI_LAUNCH(kernel, grid_for(blocks), kBlock, 0, stream, p);
}

}  // namespace

void philox_random(const PhiloxRandomParams& p, void* stream) {
  const bool wide = p.dtype == DType::f64;
  if (p.distribution == Distribution::bits)
    launch_philox_random<Distribution::bits, int32_t>(p, stream);
  else if (p.distribution == Distribution::uniform)
    wide ? launch_philox_random<Distribution::uniform, double>(p, stream)
         : launch_philox_random<Distribution::uniform, float>(p, stream);
  else
    wide ? launch_philox_random<Distribution::normal, double>(p, stream)
         : launch_philox_random<Distribution::normal, float>(p, stream);
}

}  // namespace pyxai::PYXAI_BACKEND_NS
