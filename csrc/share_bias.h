// out = l + w b with w = |v| / (|v| + |V - v|), v the judged part of the value V and l what the
// bias b is added to. Both parts nothing but rounding: w is given. l judges itself and V - l is
// nothing but rounding: out = V + b.
#pragma once

#include "op.h"

namespace pyxai {

// One value per element, shared by the rows or not.
struct SharedView {
  const void* data;  // [1 or rows, size], dtype of the op
  int64_t stride;    // elements between two rows, 0 if shared
};

struct ShareBiasParams {
  DType dtype;           // of all values, f32 or f64
  int64_t rows, size;    // sizes of linear; a row is one group of one example
  const void* linear;    // [rows, size], l in units of the value
  SharedView judged;     // v, any unit; null: linear
  SharedView total;      // V, unit of judged
  SharedView bias;       // b, unit of linear
  SharedView magnitude;  // sum of the absolute terms of V; 0: it is exact
  SharedView rounding;   // [1 or rows, 1], error of a sum whose terms' magnitude is 1
  SharedView ties;       // w where both parts are at most twice the rounding, in [0, 1]
  void* out;             // [rows, size], unit of linear
  bool* tied;            // [1], set if there are ties
};

PYXAI_DECLARE_OP(share_bias, ShareBiasParams)

}  // namespace pyxai
