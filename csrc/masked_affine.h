// out[b, m, h] = act(start[b, h] + sum of scales[b, i] * parts[b, i, h] over the players i of mask
// m).
#pragma once

#include "op.h"
#include "views.h"

namespace pyxai {

struct MaskedAffineParams {
  DType dtype;              // of all values, f32 or f64
  int64_t batch, n_masks;   // rows of the result
  int64_t n_players, size;  // terms of a sum, columns of a row
  bool relu;                // act: max(0, x), NaN stays; else the identity
  const void* start;        // [batch, size], in units of out
  const void* parts;        // [1 or batch, n_players, size], in units of out / scales
  int64_t parts_stride;     // elements between the parts of two examples, 0 if shared
  const void* scales;       // [batch, n_players]; null: 1
  bool alone;               // mask m is player m
  MaskView masks;           // shared or per example; not read if alone, or without players
  void* out;                // [batch, n_masks, size], a block of rows for each example
  int64_t out_stride;       // elements between the rows of two examples
};

PYXAI_DECLARE_OP(masked_affine, MaskedAffineParams)

}  // namespace pyxai
