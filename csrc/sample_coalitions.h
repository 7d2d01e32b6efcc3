// out[b, s] = random subset of the players, packed, made of the row (seed, stream, example_ids[b],
// start + s): each player with probability p, or a uniform subset of a given or random size.
#pragma once

#include "op.h"
#include "philox.h"

namespace pyxai {

enum class CoalitionLaw : int32_t { bernoulli, fixed_size, kernel };

struct SampleCoalitionsParams {
  CoalitionLaw law;            // what a coalition is drawn from
  PhiloxKey key;               // made of seed and stream
  bool paired;                 // sample 2k + 1 is the complement of sample 2k
  const int64_t* example_ids;  // [batch], names of the examples
  int64_t batch, n_samples;    // rows of out
  int64_t start;               // index of the first sample
  int64_t n_players;           // at least 1
  int64_t n_words;             // words of a packed mask
  // bernoulli: p * 2^32; fixed_size: the size; of sample s of example b, by the strides.
  // kernel: cumulated probabilities of sizes 0 .. n_players, times 2^53.
  const int64_t* table;
  int64_t table_batch_stride;   // elements between two examples, 0 if shared
  int64_t table_sample_stride;  // elements between two samples, 0 if shared
  int32_t* out;                 // [batch, n_samples, n_words], packed
};

PYXAI_DECLARE_OP(sample_coalitions, SampleCoalitionsParams)

}  // namespace pyxai
