#include "masked_perturb.h"

#include <ATen/core/Tensor.h>

#include "checks.h"
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

void masked_perturb(const at::Tensor& inputs, const c10::optional<at::Tensor>& baselines,
                    double baseline_value, int64_t n_draws, const at::Tensor& masks,
                    const c10::optional<at::Tensor>& players, at::Tensor& out,
                    const std::string& backend) {
  TORCH_CHECK_VALUE(inputs.dim() == 2, "inputs must have 2 dimensions, got ", inputs.dim());
  MaskedPerturbParams p{};
  p.element_bytes = static_cast<int>(inputs.element_size());
  p.batch = inputs.size(0);
  p.features = inputs.size(1);
  p.n_draws = n_draws;
  check_contiguous(inputs, "inputs");
  p.inputs = inputs.const_data_ptr();
  p.baseline_bits = bits_of(baseline_value, dtype_of(inputs));
  if (baselines) {
    check_draws(*baselines, n_draws, inputs);
    p.baselines = baselines->const_data_ptr();
    p.baseline_stride = baselines->size(0) == 1 ? 0 : n_draws * p.features;
  }
  check_mask_table(masks, inputs, "masks");
  p.n_masks = masks.size(1);
  p.n_words = masks.size(2);
  p.masks = masks.const_data_ptr<int32_t>();
  p.masks_stride = masks.size(0) == 1 ? 0 : p.n_masks * p.n_words;
  if (players) {
    check_players(*players, inputs);
    p.players = players->const_data_ptr<int32_t>();
    p.players_stride = players->size(0) == 1 ? 0 : p.features;
  }
  check_dtype(out, inputs.scalar_type(), "out");
  check_shape(out, {p.batch, p.n_masks, p.n_draws, p.features}, "out");
  check_same_device(out, inputs, "out");
  check_contiguous(out, "out");
  p.out = out.data_ptr();
  if (out.numel() == 0) return;
  PYXAI_DISPATCH(masked_perturb, inputs, backend, p);
}

}  // namespace pyxai
