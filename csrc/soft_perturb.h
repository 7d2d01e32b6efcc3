// out[b, m, d, f] = baselines + w (inputs - baselines), w = weights[b, m, player of f]; and the
// gradients of it with respect to weights, inputs and baselines.
#pragma once

#include "op.h"
#include "segments.h"
#include "views.h"

namespace pyxai {

struct SoftPerturbParams {
  DType dtype;         // of inputs, baselines, weights, out and grads
  const void* inputs;  // [batch, features]
  BaselineView baselines;
  const void* weights;     // [1 or batch, n_masks, n_players]
  int64_t weights_stride;  // elements between the weights of two examples, 0 if shared
  PlayerView players;
  SegmentView segments;  // the same map turned around, for CUDA's sums; null with null players
  int64_t n_players, n_masks, n_draws, batch, features;
  void* out;             // forward: [batch, n_masks, n_draws, features]
  const void* grads;     // backward: gradient of out
  void* grad_weights;    // [batch, n_masks, n_players], accumulation type; null: not asked for
  void* grad_inputs;     // [batch, features], accumulation type; null: not asked for
  void* grad_baselines;  // [batch, n_draws, features], accumulation type; null: not asked for
};

PYXAI_DECLARE_OP(soft_perturb, SoftPerturbParams)
PYXAI_DECLARE_OP(soft_perturb_backward, SoftPerturbParams)

}  // namespace pyxai
