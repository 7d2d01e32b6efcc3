// out[b, s, i] = number i of the row (seed, stream, example_ids[b], start + s): raw words, uniform
// on [0, 1), or standard normal.
#pragma once

#include "op.h"
#include "philox.h"

namespace pyxai {

enum class Distribution : int32_t { bits, uniform, normal };

struct PhiloxRandomParams {
  DType dtype;                 // f32 or f64; not read for bits, which come as int32
  Distribution distribution;   // of each number
  PhiloxKey key;               // made of seed and stream
  const int64_t* example_ids;  // [batch], names of the examples
  int64_t batch, n_samples;    // rows of out
  int64_t start;               // index of the first sample
  int64_t elements;            // numbers of a row
  void* out;                   // [batch, n_samples, elements]
};

PYXAI_DECLARE_OP(philox_random, PhiloxRandomParams)

}  // namespace pyxai
