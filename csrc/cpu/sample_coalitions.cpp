#include "../sample_coalitions.h"

#include "../sample_coalitions_element.h"
#include "parallel.h"

namespace pyxai::cpu {

void sample_coalitions(const SampleCoalitionsParams& p, void*) {
  parallel_items(p.batch * p.n_samples, p.n_players, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      PhiloxWords words = philox_words(p.key, row_example(p, i), row_sample(p, i));
      sample_coalition(p, i, words);
    }
  });
}

}  // namespace pyxai::cpu
