// out[b, o, k, h] = act(start[b, h] + sum over j <= k of parts[b, orders[o, j], h]).
#pragma once

#include "affine.h"
#include "op.h"

namespace pyxai {

struct OrderedAffineParams : AffineView {
  int64_t n_orders, n_steps;  // rows of an example
  const int32_t* orders;  // [n_orders, n_steps] players, on a GPU unknown ones too; null: all once
};

PYXAI_DECLARE_OP(ordered_affine, OrderedAffineParams)

}  // namespace pyxai
