#include "path_points.h"

#include <ATen/core/Tensor.h>

#include "checks.h"
#include "dispatch.h"
#include "ops.h"

namespace pyxai {

void path_points(const at::Tensor& inputs, const c10::optional<at::Tensor>& baselines,
                 double baseline_value, const at::Tensor& nodes,
                 const c10::optional<at::Tensor>& players,
                 const c10::optional<at::Tensor>& selected, at::Tensor& out,
                 const std::string& backend) {
  TORCH_CHECK_VALUE(inputs.dim() == 2, "inputs must have 2 dimensions, got ", inputs.dim());
  TORCH_CHECK_VALUE(nodes.dim() == 1, "nodes must have 1 dimension, got ", nodes.dim());
  PathPointsParams p{};
  p.dtype = dtype_of(inputs);
  p.n_nodes = nodes.size(0);
  p.batch = inputs.size(0);
  p.features = inputs.size(1);
  check_contiguous(inputs, "inputs");
  p.inputs = inputs.const_data_ptr();
  check_dtype(nodes, at::kDouble, "nodes");
  check_same_device(nodes, inputs, "nodes");
  check_contiguous(nodes, "nodes");
  p.nodes = nodes.const_data_ptr<double>();
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
  check_dtype(out, inputs.scalar_type(), "out");
  check_shape(out, {p.n_nodes, p.batch, p.features}, "out");
  check_same_device(out, inputs, "out");
  check_contiguous(out, "out");
  p.out = out.data_ptr();
  if (out.numel() == 0) return;
  PYXAI_DISPATCH(path_points, inputs, backend, p);
}

}  // namespace pyxai
