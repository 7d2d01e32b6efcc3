// out[b, m, d, f] = inputs[b, f] where mask m keeps the player of f, else baselines[b, d, f].
#pragma once

#include "op.h"
#include "views.h"

namespace pyxai {

struct MaskedPerturbParams {
  int element_bytes;        // 2, 4 or 8: values are copied, never computed with
  const void* inputs;       // [batch, features], in input units; shown where a mask keeps
  BaselineView baselines;   // shown elsewhere; with n_draws rows per example
  uint64_t baseline_bits;   // baselines.value as an element; not read unless baselines.data is null
  MaskView masks;           // n_masks, shared or per example; never null
  PlayerView players;       // whose bit decides over a feature
  int64_t n_masks;          // rows per example and draw
  int64_t n_draws;          // baselines per example, at least 1
  int64_t batch, features;  // sizes of inputs
  void* out;                // [batch, n_masks, n_draws, features], elements of inputs
};

PYXAI_DECLARE_OP(masked_perturb, MaskedPerturbParams)

}  // namespace pyxai

// Run the statement with `bits_t` bound to the unsigned type of `bytes`.
#define PYXAI_VISIT_BITS(bytes, ...) \
  do {                               \
    switch (bytes) {                 \
      case 2: {                      \
        using bits_t = uint16_t;     \
        __VA_ARGS__;                 \
        break;                       \
      }                              \
      case 4: {                      \
        using bits_t = uint32_t;     \
        __VA_ARGS__;                 \
        break;                       \
      }                              \
      default: {                     \
        using bits_t = uint64_t;     \
        __VA_ARGS__;                 \
        break;                       \
      }                              \
    }                                \
  } while (false)
