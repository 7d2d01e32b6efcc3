#include "../launch.h"
#include "../sample_coalitions.h"
#include "../sample_coalitions_element.h"

namespace pyxai::PYXAI_BACKEND_NS {
namespace {

PYXAI_KERNEL sample_coalitions_kernel(SampleCoalitionsParams p) {
  const int64_t count = p.batch * p.n_samples;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += static_cast<int64_t>(gridDim.x) * blockDim.x) {
    PhiloxWords words = philox_words(p.key, row_example(p, i), row_sample(p, i));
    sample_coalition(p, i, words);
  }
}

}  // namespace

void sample_coalitions(const SampleCoalitionsParams& p, void* stream) {
  PYXAI_LAUNCH(sample_coalitions_kernel, grid_for(p.batch * p.n_samples), kBlock, 0, stream, p);
}

}  // namespace pyxai::PYXAI_BACKEND_NS
