#include "path_points.h"

#include "arguments.h"
#include "dispatch.h"
#include "ops.h"

namespace pyxai {
namespace {

// Paths that start at rows of the baselines, side by side for each input; all features move.
void set_rows(PathPointsParams& p, const at::Tensor& inputs, const Baselines& baselines,
              const at::Tensor& rows) {
  const at::Tensor* table = std::get_if<at::Tensor>(&baselines);
  TORCH_CHECK_VALUE(table != nullptr, "baselines must be a tensor with rows, got a number");
  check_dtype(*table, inputs.scalar_type(), "baselines");
  check_same_device(*table, inputs, "baselines");
  check_contiguous(*table, "baselines");
  TORCH_CHECK_VALUE(table->dim() == 2 && table->size(0) > 0 && table->size(1) == p.features,
                    "baselines must have shape [n_rows, ", p.features, "], got ", table->sizes());
  const int64_t n_paths = rows.numel();
  TORCH_CHECK_VALUE(n_paths == 0 || (p.batch > 0 && n_paths % p.batch == 0),
                    "rows must be a multiple of ", p.batch, " inputs, got ", n_paths);
  p.repeats = n_paths == 0 ? 1 : n_paths / p.batch;
  p.batch = n_paths;
  p.baselines = {table->const_data_ptr(), 0.0, p.features};
  p.rows = row_view(rows, {n_paths}, table->size(0), inputs);
}

}  // namespace

void path_points(const at::Tensor& inputs, const Baselines& baselines, const at::Tensor& nodes,
                 const std::optional<at::Tensor>& rows, const std::optional<at::Tensor>& players,
                 const std::optional<at::Tensor>& selected, at::Tensor& out,
                 const std::string& backend) {
  check_batch(inputs, "inputs");
  PathPointsParams p{};
  p.dtype = dtype_of(inputs);
  p.inputs = inputs.const_data_ptr();
  p.batch = inputs.size(0);
  p.features = inputs.size(1);
  p.repeats = 1;
  if (rows) {
    set_rows(p, inputs, baselines, *rows);
  } else {
    p.baselines = baseline_view(baselines, inputs);
    p.players = player_view(players, inputs);
    p.selected = selected_view(selected, inputs);
  }
  check_dtype(nodes, at::kDouble, "nodes");
  check_same_device(nodes, inputs, "nodes");
  check_contiguous(nodes, "nodes");
  // Paths have nodes of their own with rows only.
  const int64_t own = rows ? p.batch : 1;
  TORCH_CHECK_VALUE(nodes.dim() == 2 && (nodes.size(1) == 1 || nodes.size(1) == own),
                    "nodes must have shape [n_nodes, 1 or ", own, "], got ", nodes.sizes());
  p.n_nodes = nodes.size(0);
  p.nodes = nodes.const_data_ptr<double>();
  p.nodes_stride = nodes.size(1) == 1 ? 0 : 1;
  p.out = output_pointer(out, inputs.scalar_type(), {p.n_nodes, p.batch, p.features}, inputs);
  if (out.numel() == 0) return;
  PYXAI_DISPATCH(path_points, inputs, backend, p);
}

}  // namespace pyxai
