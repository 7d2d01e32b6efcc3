// values:  out[b, i, j] = v(ij) - v(i) - v(j) + v(), symmetric, and on the diagonal what player i
// does
//          alone;
// hessian: out[b, p, q] (+)= sum over features i of p and j of q of H[b, i, j] d[b, i] d[b, j].
#pragma once

#include "op.h"
#include "segments.h"
#include "views.h"

namespace pyxai {

struct PairwiseTaylorValuesParams {
  DType dtype;         // of the values
  bool from_input;     // players are taken from the full coalition, not added to the empty one
  const void* empty;   // [batch] value of the empty (full) coalition
  const void* single;  // [batch, n_players] with one player added (taken away)
  const void* pairs;   // [batch, n_players (n_players - 1) / 2] with two, row-major for i < j
  int64_t batch, n_players;
  double* out;  // [batch, n_players, n_players]
};

struct PairwiseTaylorHessianParams {
  DType dtype;          // of hessian and delta
  bool products;        // rows are H d_p of players p, not rows of H
  bool accumulate;      // add to out, do not overwrite it
  const void* hessian;  // [batch, n_rows, features]
  const void* delta;    // [batch, features]
  PlayerView players;
  SegmentView segments;  // the same map turned around, read by CUDA only; null with null players
  int64_t batch, n_rows, row_start, features, n_players;
  double* out;  // [batch, n_players, n_players]
};

PYXAI_DECLARE_OP(pairwise_taylor_values, PairwiseTaylorValuesParams)
PYXAI_DECLARE_OP(pairwise_taylor_hessian, PairwiseTaylorHessianParams)

}  // namespace pyxai
