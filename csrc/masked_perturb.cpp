#include "masked_perturb.h"

#include "arguments.h"
#include "dispatch.h"
#include "ops.h"

namespace pyxai {
namespace {

uint64_t bits_of(double value, DType dtype) {
  uint64_t bits = 0;
  PYXAI_VISIT_DTYPE(dtype, {
    scalar_t element;
    store(&element, static_cast<accumulate_t<scalar_t>>(value));
    memcpy(&bits, &element, sizeof(element));
  });
  return bits;
}

}  // namespace

void masked_perturb(const at::Tensor& inputs, const Baselines& baselines, int64_t n_draws,
                    const at::Tensor& masks, const std::optional<at::Tensor>& players,
                    at::Tensor& out, const std::string& backend) {
  check_batch(inputs, "inputs");
  TORCH_CHECK_VALUE(n_draws >= 1, "n_draws must be at least 1, got ", n_draws);
  MaskedPerturbParams p{};
  p.element_bytes = static_cast<int>(inputs.element_size());
  p.inputs = inputs.const_data_ptr();
  p.baselines = baseline_view(baselines, inputs, n_draws);
  p.baseline_bits = bits_of(p.baselines.value, dtype_of(inputs));
  p.masks = mask_view(masks, inputs);
  p.players = player_view(players, inputs);
  TORCH_CHECK_VALUE(players || 32 * p.masks.n_words >= inputs.size(1), "masks must have a bit for ",
                    inputs.size(1), " players, got ", p.masks.n_words, " words");
  p.n_masks = masks.size(1);
  p.n_draws = n_draws;
  p.batch = inputs.size(0);
  p.features = inputs.size(1);
  p.out = output_pointer(out, inputs.scalar_type(), {p.batch, p.n_masks, p.n_draws, p.features},
                         inputs);
  if (out.numel() == 0) return;
  PYXAI_DISPATCH(masked_perturb, inputs, backend, p);
}

}  // namespace pyxai
