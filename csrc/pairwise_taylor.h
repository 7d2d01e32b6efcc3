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
  DType dtype;         // of empty, single and pairs
  bool from_input;     // players are taken from the full coalition, not added to the empty one
  const void* empty;   // [batch], value of the empty (full) coalition, in output units
  const void* single;  // [batch, n_players], with one player added (taken away)
  const void* pairs;   // [batch, n_players (n_players - 1) / 2], with two, row-major for i < j
  int64_t batch, n_players;  // sizes of single
  double* out;               // [batch, n_players, n_players], effects in output units
};

struct PairwiseTaylorHessianParams {
  DType dtype;          // of hessian and delta
  bool products;        // rows are H d_p of players p, not rows of H
  bool accumulate;      // add to out, do not overwrite it
  const void* hessian;  // [batch, n_rows, features], in output units per input unit squared (H d_p:
                        // per input unit)
  const void* delta;    // [batch, features], input minus baseline, in input units
  PlayerView players;   // who owns a feature
  SegmentView segments;     // the same map turned around, read by CUDA only; null with null players
  int64_t batch, features;  // sizes of delta
  int64_t n_rows;           // rows given
  int64_t row_start;        // feature (products: player) of the first row
  int64_t n_players;        // without players: features
  double* out;              // [batch, n_players, n_players], in output units
};

PYXAI_DECLARE_OP(pairwise_taylor_values, PairwiseTaylorValuesParams)
PYXAI_DECLARE_OP(pairwise_taylor_hessian, PairwiseTaylorHessianParams)

}  // namespace pyxai
