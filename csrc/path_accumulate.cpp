#include "path_accumulate.h"

#include "arguments.h"
#include "dispatch.h"
#include "ops.h"

namespace pyxai {

void path_accumulate(const at::Tensor& grads, const at::Tensor& weights, const at::Tensor& inputs,
                     const Baselines& baselines, const std::optional<at::Tensor>& players,
                     const std::optional<at::Tensor>& selected, bool multiply_by_inputs,
                     at::Tensor& out, const std::string& backend) {
  check_batch(inputs, "inputs");
  PathAccumulateParams p{};
  p.dtype = dtype_of(inputs);
  p.n_nodes = weights.numel();
  p.batch = inputs.size(0);
  p.features = inputs.size(1);
  check_path(grads, weights, inputs);
  p.grads = grads.const_data_ptr();
  p.weights = weights.const_data_ptr<double>();
  p.inputs = inputs.const_data_ptr();
  p.multiply_by_inputs = multiply_by_inputs;
  p.baselines = baseline_view(baselines, inputs);
  p.players = player_view(players, inputs);
  p.selected = selected_view(selected, inputs);
  p.out = output_pointer(out, accumulate_type(inputs), {p.batch, p.features}, inputs);
  if (out.numel() == 0) return;
  PYXAI_DISPATCH(path_accumulate, inputs, backend, p);
}

}  // namespace pyxai
