// out[b, s] = random subset of the players, packed, made of the row (seed, stream, example_ids[b],
// start + s): each player with probability p, or a uniform subset of a given or random size.
#pragma once

#include "op.h"
#include "philox.h"

namespace pyxai {

enum class CoalitionLaw : int32_t { bernoulli, fixed_size, kernel };

struct SampleCoalitionsParams {
  CoalitionLaw law;
  PhiloxKey key;
  bool paired;                 // sample 2k + 1 is the complement of sample 2k
  const int64_t* example_ids;  // [batch]
  int64_t batch, n_samples, start;
  int64_t n_players, n_words;
  // bernoulli: p * 2^32; fixed_size: the size; of sample s of example b.
  // kernel: cumulated probabilities of sizes 0 .. n_players, times 2^53.
  const int64_t* table;
  int64_t table_batch_stride, table_sample_stride;
  int32_t* out;  // [batch, n_samples, n_words]
};

PYXAI_DECLARE_OP(sample_coalitions, SampleCoalitionsParams)

}  // namespace pyxai
