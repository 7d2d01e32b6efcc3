#include "../launch.h"
#include "../masked_perturb.h"
#include "../masked_perturb_element.h"

namespace pyxai::PYXAI_BACKEND_NS {
namespace {

template <typename Bits>
PYXAI_KERNEL masked_perturb_kernel(MaskedPerturbParams p) {
  const int64_t count = p.batch * p.n_masks * p.n_draws * p.features;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += static_cast<int64_t>(gridDim.x) * blockDim.x) {
    const int64_t f = i % p.features, row = i / p.features, d = row % p.n_draws;
    const int64_t m = row / p.n_draws % p.n_masks, b = row / p.n_draws / p.n_masks;
    const Bits baseline =
        p.baselines != nullptr
            ? static_cast<const Bits*>(p.baselines)[b * p.baseline_stride + d * p.features + f]
            : static_cast<Bits>(p.baseline_bits);
    const bool keep = mask_keeps(p.masks + b * p.masks_stride + m * p.n_words, p.n_words,
                                 player_of(p.players, p.players_stride, b, f));
    static_cast<Bits*>(p.out)[i] = masked_perturb_element(
        keep, static_cast<const Bits*>(p.inputs)[b * p.features + f], baseline);
  }
}

}  // namespace

void masked_perturb(const MaskedPerturbParams& p, void* stream) {
  const unsigned grid = grid_for(p.batch * p.n_masks * p.n_draws * p.features);
  PYXAI_VISIT_BITS(p.element_bytes,
                   PYXAI_LAUNCH(masked_perturb_kernel<bits_t>, grid, kBlock, 0, stream, p));
}

}  // namespace pyxai::PYXAI_BACKEND_NS
