#include "path_accumulate.h"

#include <ATen/core/Tensor.h>

#include "checks.h"
#include "dispatch.h"
#include "ops.h"

namespace pyxai {

void path_accumulate(const at::Tensor& grads, const at::Tensor& weights, const at::Tensor& inputs,
                     const c10::optional<at::Tensor>& baselines, double baseline_value,
                     const c10::optional<at::Tensor>& players,
                     const c10::optional<at::Tensor>& selected, bool multiply_by_inputs,
                     at::Tensor& out, const std::string& backend) {
  TORCH_CHECK_VALUE(grads.dim() == 3, "grads must have 3 dimensions, got ", grads.dim());
  PathAccumulateParams p{};
  p.dtype = dtype_of(grads);
  p.n_nodes = grads.size(0);
  p.batch = grads.size(1);
  p.features = grads.size(2);
  check_contiguous(grads, "grads");
  check_dtype(weights, at::kDouble, "weights");
  check_shape(weights, {p.n_nodes}, "weights");
  check_contiguous(weights, "weights");
  check_dtype(inputs, grads.scalar_type(), "inputs");
  check_shape(inputs, {p.batch, p.features}, "inputs");
  check_contiguous(inputs, "inputs");
  check_dtype(out, p.dtype == DType::f64 ? at::kDouble : at::kFloat, "out");
  check_shape(out, {p.batch, p.features}, "out");
  check_contiguous(out, "out");
  for (const at::Tensor* tensor : {&weights, &inputs, const_cast<const at::Tensor*>(&out)})
    check_same_device(*tensor, grads, "every tensor");
  p.grads = grads.const_data_ptr();
  p.weights = weights.const_data_ptr<double>();
  p.inputs = multiply_by_inputs ? inputs.const_data_ptr() : nullptr;
  p.baseline_value = baseline_value;
  if (baselines) {
    check_baselines(*baselines, inputs);
    p.baselines = baselines->const_data_ptr();
    p.baseline_stride = baselines->size(0) == 1 ? 0 : p.features;
  }
  if (players) {
    check_players(*players, inputs);
    p.players = players->const_data_ptr<int32_t>();
    p.players_stride = players->size(0) == 1 ? 0 : p.features;
  }
  if (selected) {
    check_packed(*selected, inputs, "selected");
    p.selected = selected->const_data_ptr<int32_t>();
    p.n_words = selected->size(1);
  }
  p.out = out.data_ptr();
  if (p.batch == 0 || p.features == 0) return;
  PYXAI_DISPATCH(path_accumulate, grads, backend, p);
}

}  // namespace pyxai
