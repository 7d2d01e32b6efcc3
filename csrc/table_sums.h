// For each row w of weights, over all sets m of the table:
//   total  = sum of w[|m|] (values[m] - values[0]),
//   player = the same over the m that contain player i,
//   pair   = the same over the m that contain players i < j.
#pragma once

#include "op.h"

namespace pyxai {

constexpr int kMaxWeightRows = 8;

struct TableSumsParams {
  DType dtype;         // of values, f32 or f64
  const void* values;  // [n_tables, 2^n_players]
  int64_t n_tables, n_players;
  const double* weights;  // [n_rows, n_players + 1]
  int32_t n_rows;
  int32_t order[kMaxWeightRows];   // 0: total; 1: also players; 2: also pairs, row-major
  int64_t column[kMaxWeightRows];  // where the results of a row begin in `out`
  int64_t width;
  double* out;  // [n_tables, width]
  // Work space, see table_sums_element.h: [n_tables, n_rows, groups, chunk] and
  // [n_tables, n_rows, chunks, kChunkBits + 1].
  double* chunk_sums;
  double* chunk_parts;
};

PYXAI_DECLARE_OP(table_sums, TableSumsParams)

}  // namespace pyxai
