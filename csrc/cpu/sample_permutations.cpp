#include "../sample_permutations.h"

#include "../sample_permutations_element.h"
#include "parallel.h"

namespace pyxai::cpu {

void sample_permutations(const SamplePermutationsParams& p, void*) {
  parallel_items(p.batch * p.n_permutations, p.n_players, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      PhiloxWords words = philox_words(p.key, order_example(p, i), order_sample(p, i));
      sample_permutation(p, i, words);
    }
  });
}

void permutation_prefixes(const PermutationPrefixesParams& p, void*) {
  parallel_items(p.rows, (p.n_players + 1) * p.n_words, [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r)
      for (int64_t w = 0; w < p.n_words; ++w) prefix_words(p, r, w);
  });
}

}  // namespace pyxai::cpu
