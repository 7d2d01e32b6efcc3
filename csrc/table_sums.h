// For each row w of weights, over all sets m of the table:
//   total  = sum of w[|m|] (values[m] - values[0]),
//   player = the same over the m that contain player i,
//   pair   = the same over the m that contain players i < j.
#pragma once

#include "op.h"
#include "sizes.h"

namespace pyxai {

struct TableSumsParams {
  DType dtype;                     // of values, f32 or f64
  const void* values;              // [n_tables, 2^n_players], in output units
  int64_t n_tables;                // in this piece of the call
  int64_t n_players;               // of each table
  const double* weights;           // [n_rows, n_players + 1], weight of a set by its size
  int32_t n_rows;                  // at most kMaxWeightRows
  int32_t order[kMaxWeightRows];   // of each row, 0: total; 1: also players; 2: also pairs
  int64_t column[kMaxWeightRows];  // where the results of each row begin in `out`
  int64_t width;                   // results of a table, over all rows; pairs row-major
  double* out;                     // [n_tables, width], unit of values times that of weights
  // Work space, see table_sums_element.h.
  double* chunk_sums;   // [n_tables, n_rows, groups, chunk]
  double* chunk_parts;  // [n_tables, n_rows, chunks, kChunkBits + 1]
};

PYXAI_DECLARE_OP(table_sums, TableSumsParams)

}  // namespace pyxai
