// How one row of random words becomes an order, and an order the sets of its first players.
#pragma once

#include "masks.h"
#include "sample_permutations.h"

namespace pyxai {
namespace {

PYXAI_HD void swap_entries(int32_t* row, int64_t i, int64_t j) {
  const int32_t entry = row[i];
  row[i] = row[j];
  row[j] = entry;
}

// Whether order `index` of the output is the reverse of the one before it.
PYXAI_HD bool order_is_reverse(const SamplePermutationsParams& p, int64_t index) {
  return p.antithetic && ((p.start + index % p.n_permutations) & 1) != 0;
}

// The example and the sample whose words order `index` is made of.
PYXAI_HD int64_t order_example(const SamplePermutationsParams& p, int64_t index) {
  return p.example_ids[index / p.n_permutations];
}
PYXAI_HD int64_t order_sample(const SamplePermutationsParams& p, int64_t index) {
  return p.start + index % p.n_permutations - (order_is_reverse(p, index) ? 1 : 0);
}

// Order `index` of the output: the shuffle of R. A. Fisher and F. Yates, as in D. E. Knuth, "The
// Art of Computer Programming" 2, section 3.4.2, algorithm P.
template <typename Words>
PYXAI_HD void sample_permutation(const SamplePermutationsParams& p, int64_t index, Words& words) {
  int32_t* row = p.out + index * p.n_players;
  for (int64_t i = 0; i < p.n_players; ++i) row[i] = static_cast<int32_t>(i);
  for (int64_t last = p.n_players - 1; last > 0; --last)
    swap_entries(row, last, next_below(words, static_cast<uint32_t>(last + 1)));
  if (order_is_reverse(p, index))
    for (int64_t i = 0; i < p.n_players / 2; ++i) swap_entries(row, i, p.n_players - 1 - i);
}

// Word w of all prefixes of order r; players out of range belong to no word.
PYXAI_HD void prefix_words(const PermutationPrefixesParams& p, int64_t r, int64_t w) {
  const int32_t* order = p.permutations + r * p.n_players;
  uint32_t* out = reinterpret_cast<uint32_t*>(p.out) + r * (p.n_players + 1) * p.n_words + w;
  uint32_t word = 0;
  *out = word;
  for (int64_t j = 0; j < p.n_players; ++j) {
    const int64_t player = static_cast<uint32_t>(order[j]);
    if (mask_word(player) == w) word |= mask_bit(player);
    out[(j + 1) * p.n_words] = word;
  }
}

}  // namespace
}  // namespace pyxai
