#include "share_bias.h"

#include "checks.h"
#include "dispatch.h"
#include "ops.h"

namespace pyxai {
namespace {

SharedView shared_view(const at::Tensor& values, const at::Tensor& linear, int64_t size,
                       const char* name) {
  check_dtype(values, linear.scalar_type(), name);
  check_rows(values, linear, size, name);
  return {values.const_data_ptr(), values.size(0) == 1 ? 0 : size};
}

}  // namespace

void share_bias(const at::Tensor& linear, const std::optional<at::Tensor>& judged,
                const at::Tensor& total, const at::Tensor& bias, const at::Tensor& magnitude,
                const at::Tensor& rounding, const at::Tensor& ties, at::Tensor& out,
                at::Tensor& tied, const std::string& backend) {
  TORCH_CHECK_VALUE(linear.dim() == 2, "linear must have 2 dimensions, got ", linear.dim());
  TORCH_CHECK_TYPE(linear.scalar_type() == at::kFloat || linear.scalar_type() == at::kDouble,
                   "linear must have dtype float32 or float64, got ", linear.scalar_type());
  check_contiguous(linear, "linear");
  ShareBiasParams p{};
  p.dtype = dtype_of(linear);
  p.rows = linear.size(0);
  p.size = linear.size(1);
  p.linear = linear.const_data_ptr();
  if (judged) p.judged = shared_view(*judged, linear, p.size, "judged");
  p.total = shared_view(total, linear, p.size, "total");
  p.bias = shared_view(bias, linear, p.size, "bias");
  p.magnitude = shared_view(magnitude, linear, p.size, "magnitude");
  p.rounding = shared_view(rounding, linear, 1, "rounding");
  p.ties = shared_view(ties, linear, p.size, "ties");
  check_dtype(out, linear.scalar_type(), "out");
  check_shape(out, {p.rows, p.size}, "out");
  check_contiguous(out, "out");
  check_same_device(out, linear, "out");
  p.out = out.data_ptr();
  check_dtype(tied, at::kBool, "tied");
  check_shape(tied, {1}, "tied");
  check_same_device(tied, linear, "tied");
  p.tied = tied.data_ptr<bool>();
  if (linear.numel() == 0) return;
  PYXAI_DISPATCH(share_bias, linear, backend, p);
}

}  // namespace pyxai
