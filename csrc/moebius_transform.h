// Moebius: out[m] = sum over subsets k of m of (-1)^(|m| - |k|) values[k]; zeta, its inverse:
// out[m] = sum over subsets k of m of values[k]. A set of players is a number, bit i is player i.
#pragma once

#include "op.h"

namespace pyxai {

struct MoebiusTransformParams {
  DType dtype;  // f32 or f64
  bool zeta;
  int64_t n_tables, n_players;
  const void* values;  // [n_tables, 2^n_players]
  void* out;           // the same shape; may be `values`
};

PYXAI_DECLARE_OP(moebius_transform, MoebiusTransformParams)

}  // namespace pyxai
