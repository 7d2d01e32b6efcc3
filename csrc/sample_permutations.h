// permutations[b, s] = uniform order of the players, made of the row (seed, stream, example_ids[b],
// start + s); prefixes[r, j] = the set of the first j players of order r, packed.
#pragma once

#include "op.h"
#include "philox.h"

namespace pyxai {

struct SamplePermutationsParams {
  PhiloxKey key;                  // made of seed and stream
  bool antithetic;                // permutation 2k + 1 is the reverse of permutation 2k
  const int64_t* example_ids;     // [batch], names of the examples
  int64_t batch, n_permutations;  // rows of out
  int64_t start;                  // index of the first permutation
  int64_t n_players;              // length of a permutation
  int32_t* out;                   // [batch, n_permutations, n_players], players in order
};

struct PermutationPrefixesParams {
  const int32_t* permutations;  // [rows, n_players], players in order
  int64_t rows, n_players;      // sizes of permutations
  int64_t n_words;              // words of a packed mask
  int32_t* out;                 // [rows, n_players + 1, n_words], packed
};

PYXAI_DECLARE_OP(sample_permutations, SamplePermutationsParams)
PYXAI_DECLARE_OP(permutation_prefixes, PermutationPrefixesParams)

}  // namespace pyxai
