// out[b, s, i] = number i of the row (seed, stream, example_ids[b], start + s): raw words, uniform
// on [0, 1), or standard normal.
#pragma once

#include "op.h"
#include "philox.h"

namespace pyxai {

enum class Distribution : int32_t { bits, uniform, normal };

struct PhiloxRandomParams {
  DType dtype;  // f32 or f64; bits come as int32
  Distribution distribution;
  PhiloxKey key;
  const int64_t* example_ids;                 // [batch]
  int64_t batch, n_samples, start, elements;  // elements of a row
  void* out;                                  // [batch, n_samples, elements]
};

PYXAI_DECLARE_OP(philox_random, PhiloxRandomParams)

}  // namespace pyxai
