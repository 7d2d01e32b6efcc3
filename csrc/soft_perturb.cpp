#include "soft_perturb.h"

#include "arguments.h"
#include "dispatch.h"
#include "ops.h"

namespace pyxai {
namespace {

SoftPerturbParams soft_params(const at::Tensor& inputs, const Baselines& baselines, int64_t n_draws,
                              const at::Tensor& weights, const std::optional<at::Tensor>& players) {
  check_batch(inputs, "inputs");
  TORCH_CHECK_VALUE(n_draws >= 1, "n_draws must be at least 1, got ", n_draws);
  check_dtype(weights, inputs.scalar_type(), "weights");
  check_same_device(weights, inputs, "weights");
  check_contiguous(weights, "weights");
  TORCH_CHECK_VALUE(
      weights.dim() == 3 && (weights.size(0) == 1 || weights.size(0) == inputs.size(0)),
      "weights must have shape [1 or ", inputs.size(0), ", n_masks, n_players], got ",
      weights.sizes());
  SoftPerturbParams p{};
  p.dtype = dtype_of(inputs);
  p.inputs = inputs.const_data_ptr();
  p.baselines = baseline_view(baselines, inputs, n_draws);
  p.weights = weights.const_data_ptr();
  p.n_masks = weights.size(1);
  p.n_players = weights.size(2);
  p.weights_stride = weights.size(0) == 1 ? 0 : p.n_masks * p.n_players;
  p.players = player_view(players, inputs);
  p.n_draws = n_draws;
  p.batch = inputs.size(0);
  p.features = inputs.size(1);
  TORCH_CHECK_VALUE(players || p.n_players == p.features, "weights must have ", p.features,
                    " players, got ", p.n_players);
  return p;
}

void* optional_output(const std::optional<at::Tensor>& out, at::ScalarType dtype,
                      std::initializer_list<int64_t> shape, const at::Tensor& inputs,
                      const char* name) {
  return out ? output_pointer(*out, dtype, shape, inputs, name) : nullptr;
}

}  // namespace

void soft_perturb(const at::Tensor& inputs, const Baselines& baselines, int64_t n_draws,
                  const at::Tensor& weights, const std::optional<at::Tensor>& players,
                  at::Tensor& out, const std::string& backend) {
  SoftPerturbParams p = soft_params(inputs, baselines, n_draws, weights, players);
  p.out = output_pointer(out, inputs.scalar_type(), {p.batch, p.n_masks, p.n_draws, p.features},
                         inputs);
  if (out.numel() == 0) return;
  PYXAI_DISPATCH(soft_perturb, inputs, backend, p);
}

void soft_perturb_backward(const at::Tensor& grads, const at::Tensor& inputs,
                           const Baselines& baselines, int64_t n_draws, const at::Tensor& weights,
                           const std::optional<at::Tensor>& players,
                           const std::optional<Segments>& segments,
                           const std::optional<at::Tensor>& grad_weights,
                           const std::optional<at::Tensor>& grad_inputs,
                           const std::optional<at::Tensor>& grad_baselines,
                           const std::string& backend) {
  SoftPerturbParams p = soft_params(inputs, baselines, n_draws, weights, players);
  check_dtype(grads, inputs.scalar_type(), "grads");
  check_shape(grads, {p.batch, p.n_masks, p.n_draws, p.features}, "grads");
  check_same_device(grads, inputs, "grads");
  check_contiguous(grads, "grads");
  p.grads = grads.const_data_ptr();
  p.segments = segment_view(segments, p.n_players, inputs);
  const at::ScalarType type = accumulate_type(inputs);
  p.grad_weights = optional_output(grad_weights, type, {p.batch, p.n_masks, p.n_players}, inputs,
                                   "grad_weights");
  p.grad_inputs = optional_output(grad_inputs, type, {p.batch, p.features}, inputs, "grad_inputs");
  p.grad_baselines = optional_output(grad_baselines, type, {p.batch, p.n_draws, p.features}, inputs,
                                     "grad_baselines");
  TORCH_CHECK_VALUE(
      resolve_backend(inputs, backend) == Backend::cpu || !grad_weights || !players || segments,
      "segments must be given with players, got None");
  if (grads.numel() == 0) return;
  PYXAI_DISPATCH(soft_perturb_backward, inputs, backend, p);
}

}  // namespace pyxai
