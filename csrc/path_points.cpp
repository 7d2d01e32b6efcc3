#include "path_points.h"

#include "arguments.h"
#include "dispatch.h"
#include "ops.h"

namespace pyxai {

void path_points(const at::Tensor& inputs, const Baselines& baselines, const at::Tensor& nodes,
                 const std::optional<at::Tensor>& players,
                 const std::optional<at::Tensor>& selected, at::Tensor& out,
                 const std::string& backend) {
  check_batch(inputs, "inputs");
  TORCH_CHECK_VALUE(nodes.dim() == 1, "nodes must have 1 dimension, got ", nodes.dim());
  check_dtype(nodes, at::kDouble, "nodes");
  check_same_device(nodes, inputs, "nodes");
  check_contiguous(nodes, "nodes");
  PathPointsParams p{};
  p.dtype = dtype_of(inputs);
  p.inputs = inputs.const_data_ptr();
  p.baselines = baseline_view(baselines, inputs);
  p.nodes = nodes.const_data_ptr<double>();
  p.players = player_view(players, inputs);
  p.selected = selected_view(selected, inputs);
  p.n_nodes = nodes.size(0);
  p.batch = inputs.size(0);
  p.features = inputs.size(1);
  p.out = output_pointer(out, inputs.scalar_type(), {p.n_nodes, p.batch, p.features}, inputs);
  if (out.numel() == 0) return;
  PYXAI_DISPATCH(path_points, inputs, backend, p);
}

}  // namespace pyxai
