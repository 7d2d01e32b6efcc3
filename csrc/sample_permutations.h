// permutations[b, s] = uniform order of the players, made of the row (seed, stream, example_ids[b],
// start + s); prefixes[r, j] = the set of the first j players of order r, packed.
#pragma once

#include "op.h"
#include "philox.h"

namespace pyxai {

struct SamplePermutationsParams {
  PhiloxKey key;
  bool antithetic;             // permutation 2k + 1 is the reverse of permutation 2k
  const int64_t* example_ids;  // [batch]
  int64_t batch, n_permutations, start, n_players;
  int32_t* out;  // [batch, n_permutations, n_players]
};

struct PermutationPrefixesParams {
  const int32_t* permutations;  // [rows, n_players]
  int64_t rows, n_players, n_words;
  int32_t* out;  // [rows, n_players + 1, n_words]
};

PYXAI_DECLARE_OP(sample_permutations, SamplePermutationsParams)
PYXAI_DECLARE_OP(permutation_prefixes, PermutationPrefixesParams)

}  // namespace pyxai
