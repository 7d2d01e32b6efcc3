#include "../launch.h"
#include "../sample_permutations.h"
#include "../sample_permutations_element.h"

namespace pyxai::PYXAI_BACKEND_NS {
namespace {

PYXAI_KERNEL sample_permutations_kernel(SamplePermutationsParams p) {
  const int64_t count = p.batch * p.n_permutations;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += static_cast<int64_t>(gridDim.x) * blockDim.x) {
    PhiloxWords words = philox_words(p.key, order_example(p, i), order_sample(p, i));
    sample_permutation(p, i, words);
  }
}

PYXAI_KERNEL permutation_prefixes_kernel(PermutationPrefixesParams p) {
  const int64_t count = p.rows * p.n_words;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += static_cast<int64_t>(gridDim.x) * blockDim.x)
    prefix_words(p, i / p.n_words, i % p.n_words);
}

}  // namespace

void sample_permutations(const SamplePermutationsParams& p, void* stream) {
  const unsigned grid = grid_for(p.batch * p.n_permutations);
  PYXAI_LAUNCH(sample_permutations_kernel, grid, kBlock, 0, stream, p);
}

void permutation_prefixes(const PermutationPrefixesParams& p, void* stream) {
  const unsigned grid = grid_for(p.rows * p.n_words);
  PYXAI_LAUNCH(permutation_prefixes_kernel, grid, kBlock, 0, stream, p);
}

}  // namespace pyxai::PYXAI_BACKEND_NS
