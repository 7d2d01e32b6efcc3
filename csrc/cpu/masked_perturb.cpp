#include "../masked_perturb.h"

#include <ATen/Parallel.h>

#include "../masked_perturb_element.h"

namespace pyxai::cpu {
namespace {

template <typename Bits>
void perturb_row(const MaskedPerturbParams& p, int64_t row) {
  const int64_t d = row % p.n_draws, m = row / p.n_draws % p.n_masks,
                b = row / p.n_draws / p.n_masks;
  const Bits* inputs = static_cast<const Bits*>(p.inputs) + b * p.features;
  const Bits* baselines = static_cast<const Bits*>(p.baselines);
  if (baselines != nullptr) baselines += b * p.baseline_stride + d * p.features;
  const int32_t* mask = p.masks + b * p.masks_stride + m * p.n_words;
  Bits* out = static_cast<Bits*>(p.out) + row * p.features;
  for (int64_t f = 0; f < p.features; ++f) {
    const bool keep = mask_keeps(mask, p.n_words, player_of(p.players, p.players_stride, b, f));
    const Bits baseline = baselines != nullptr ? baselines[f] : static_cast<Bits>(p.baseline_bits);
    out[f] = masked_perturb_element(keep, inputs[f], baseline);
  }
}

}  // namespace

void masked_perturb(const MaskedPerturbParams& p, void*) {
  at::parallel_for(0, p.batch * p.n_masks * p.n_draws, 1, [&](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; ++row)
      PYXAI_VISIT_BITS(p.element_bytes, perturb_row<bits_t>(p, row));
  });
}

}  // namespace pyxai::cpu
