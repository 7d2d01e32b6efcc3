#include "../sample_coalitions.h"

#include <ATen/Parallel.h>

#include "../sample_coalitions_element.h"

namespace pyxai::cpu {

void sample_coalitions(const SampleCoalitionsParams& p, void*) {
  at::parallel_for(0, p.batch * p.n_samples, 256, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      PhiloxWords words = philox_words(p.key, row_example(p, i), row_sample(p, i));
      sample_coalition(p, i, words);
    }
  });
}

}  // namespace pyxai::cpu
