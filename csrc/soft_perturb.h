// out[b, m, d, f] = baselines + w (inputs - baselines), w = weights[b, m, player of f]; and the
// gradients of it with respect to weights, inputs and baselines.
#pragma once

#include "op.h"
#include "segments.h"
#include "views.h"

namespace pyxai {

struct SoftPerturbParams {
  DType dtype;              // of inputs, baselines, weights, grads and of the forward out
  const void* inputs;       // [batch, features], shown at weight 1, in input units
  BaselineView baselines;   // shown at weight 0; with n_draws rows per example
  const void* weights;      // [1 or batch, n_masks, n_players], no unit
  int64_t weights_stride;   // elements between the weights of two examples, 0 if shared
  PlayerView players;       // whose weight a feature has; features of nobody sit at the input
  SegmentView segments;     // the same map turned around, for CUDA's sums; null with null players
  int64_t n_players;        // without players: features
  int64_t n_masks;          // rows per example and draw
  int64_t n_draws;          // baselines per example, at least 1
  int64_t batch, features;  // sizes of inputs
  void* out;                // forward: [batch, n_masks, n_draws, features]; backward: null
  const void* grads;        // backward: gradient of out, its shape; forward: null
  void* grad_weights;       // [batch, n_masks, n_players], accumulation type; null: not asked for
  void* grad_inputs;        // [batch, features], accumulation type; null: not asked for
  void* grad_baselines;     // [batch, n_draws, features], accumulation type; null: not asked for
};

PYXAI_DECLARE_OP(soft_perturb, SoftPerturbParams)
PYXAI_DECLARE_OP(soft_perturb_backward, SoftPerturbParams)

}  // namespace pyxai
