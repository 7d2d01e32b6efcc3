// out[k, g, i] += sum_s weights[s] (v[g, s, i] - origin[g, i])^(k + 1), k < order, where v is the
// gradient or, with inputs, (inputs - baselines) times the gradient.
#pragma once

#include "op.h"
#include "views.h"

namespace pyxai {

constexpr int kMaxMoments = 4;

struct PathMomentsParams {
  DType dtype;            // of grads, inputs and baselines
  const void* grads;      // [n_groups, n_nodes, total], any unit
  const double* weights;  // [n_nodes], no unit
  const void* inputs;     // [n_groups, 1 or n_nodes, total], in input units; null: no factor
  int64_t inputs_stride;  // elements between the inputs of two nodes, 0 if a group has one
  const void* baselines;  // [n_rows, total], in input units; null with null inputs
  RowView rows;           // [n_groups, n_nodes], row of baselines; null with null inputs
  const void* origin;     // [n_groups, total], accumulation type, in the unit of v; null: 0
  int32_t order;          // 1 .. kMaxMoments
  int64_t n_groups;       // examples, or 1 where nodes come before examples
  int64_t n_nodes;        // samples of a group, in this chunk of them
  int64_t total;          // elements of a sample
  void* out;              // [order, n_groups, total], accumulation type, powers of the unit of v
};

PYXAI_DECLARE_OP(path_moments, PathMomentsParams)

}  // namespace pyxai
