// Moebius: out[m] = sum over subsets k of m of (-1)^(|m| - |k|) values[k]; zeta, its inverse:
// out[m] = sum over subsets k of m of values[k]. A set of players is a number, bit i is player i.
#pragma once

#include "op.h"

namespace pyxai {

struct MoebiusTransformParams {
  DType dtype;         // of values and out, f32 or f64
  bool zeta;           // add up subsets, the inverse of the Moebius transform
  int64_t n_tables;    // transformed one by one
  int64_t n_players;   // of each table
  const void* values;  // [n_tables, 2^n_players], any unit
  void* out;           // the same shape, unit and dtype; may be `values`
};

PYXAI_DECLARE_OP(moebius_transform, MoebiusTransformParams)

}  // namespace pyxai
