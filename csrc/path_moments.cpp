#include "path_moments.h"

#include "arguments.h"
#include "dispatch.h"
#include "ops.h"

namespace pyxai {
namespace {

// The factor (inputs - baselines) of each gradient.
void set_ways(PathMomentsParams& p, const at::Tensor& grads, const at::Tensor& inputs,
              const std::optional<at::Tensor>& baselines, const std::optional<at::Tensor>& rows) {
  TORCH_CHECK_VALUE(baselines && rows, "baselines and rows must be given with inputs, got None");
  for (const auto& [tensor, name] :
       {std::pair(&inputs, "inputs"), std::pair(&*baselines, "baselines")}) {
    check_dtype(*tensor, grads.scalar_type(), name);
    check_same_device(*tensor, grads, name);
    check_contiguous(*tensor, name);
  }
  TORCH_CHECK_VALUE(inputs.dim() == 3 && inputs.size(0) == p.n_groups &&
                        inputs.size(2) == p.total &&
                        (inputs.size(1) == 1 || inputs.size(1) == p.n_nodes),
                    "inputs must have shape [", p.n_groups, ", 1 or ", p.n_nodes, ", ", p.total,
                    "], got ", inputs.sizes());
  TORCH_CHECK_VALUE(
      baselines->dim() == 2 && baselines->size(0) > 0 && baselines->size(1) == p.total,
      "baselines must have shape [n_rows, ", p.total, "], got ", baselines->sizes());
  p.inputs = inputs.const_data_ptr();
  p.inputs_stride = inputs.size(1) == 1 ? 0 : p.total;
  p.baselines = baselines->const_data_ptr();
  p.rows = row_view(*rows, {p.n_groups, p.n_nodes}, baselines->size(0), grads);
}

}  // namespace

void path_moments(const at::Tensor& grads, const at::Tensor& weights,
                  const std::optional<at::Tensor>& inputs,
                  const std::optional<at::Tensor>& baselines, const std::optional<at::Tensor>& rows,
                  const std::optional<at::Tensor>& origin, at::Tensor& out,
                  const std::string& backend) {
  TORCH_CHECK_VALUE(grads.dim() == 3, "grads must have 3 dimensions, got ", grads.dim());
  check_contiguous(grads, "grads");
  PathMomentsParams p{};
  p.dtype = dtype_of(grads);
  p.n_groups = grads.size(0);
  p.n_nodes = grads.size(1);
  p.total = grads.size(2);
  p.grads = grads.const_data_ptr();
  check_weights(weights, p.n_nodes, grads);
  p.weights = weights.const_data_ptr<double>();
  if (inputs) set_ways(p, grads, *inputs, baselines, rows);
  if (origin)
    p.origin =
        output_pointer(*origin, accumulate_type(grads), {p.n_groups, p.total}, grads, "origin");
  TORCH_CHECK_VALUE(out.dim() == 3 && out.size(0) >= 1 && out.size(0) <= kMaxMoments,
                    "out must have shape [1 to ", kMaxMoments, ", n_groups, total], got ",
                    out.sizes());
  p.order = static_cast<int32_t>(out.size(0));
  p.out = output_pointer(out, accumulate_type(grads), {p.order, p.n_groups, p.total}, grads);
  if (grads.numel() == 0) return;
  PYXAI_DISPATCH(path_moments, grads, backend, p);
}

}  // namespace pyxai
