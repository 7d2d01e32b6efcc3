// out[b, m, d, f] = inputs[b, f] where mask m keeps the player of f, else baselines[b, d, f].
#pragma once

#include "op.h"

namespace pyxai {

struct MaskedPerturbParams {
  int element_bytes;      // 2, 4 or 8: values are copied, never computed with
  const void* inputs;     // [batch, features]
  const void* baselines;  // [batch or 1, n_draws, features]; null: baseline_bits
  uint64_t baseline_bits;
  int64_t baseline_stride;  // elements between the baselines of two examples, 0 if shared
  const int32_t* masks;     // [batch or 1, n_masks, n_words] packed
  int64_t masks_stride;     // words between the masks of two examples, 0 if shared
  const int32_t* players;   // [batch or 1, features]; null: player = feature
  int64_t players_stride;   // elements between the maps of two examples, 0 if shared
  int64_t n_words, n_masks, n_draws, batch, features;
  void* out;  // [batch, n_masks, n_draws, features]
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
