// out[b, m, h] = act(start[b, h] + sum of scales[b, i] * parts[b, i, h] over the players i of mask
// m).
#pragma once

#include "affine.h"
#include "op.h"
#include "views.h"

namespace pyxai {

struct MaskedAffineParams : AffineView {
  int64_t n_masks;     // rows of an example
  const void* scales;  // [batch, n_players], any unit; null: 1
  bool alone;          // mask m is player m
  MaskView masks;      // shared or per example; not read if alone, or without players
};

PYXAI_DECLARE_OP(masked_affine, MaskedAffineParams)

}  // namespace pyxai
