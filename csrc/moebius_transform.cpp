#include "moebius_transform.h"

#include <ATen/core/Tensor.h>

#include "checks.h"
#include "dispatch.h"
#include "ops.h"

namespace pyxai {

void moebius_transform(const at::Tensor& values, bool zeta, at::Tensor& out,
                       const std::string& backend) {
  TORCH_CHECK_VALUE(values.dim() == 2, "values must have 2 dimensions, got ", values.dim());
  const int64_t n_sets = values.size(1);
  TORCH_CHECK_VALUE(n_sets > 0 && (n_sets & (n_sets - 1)) == 0,
                    "values must have a power of two of columns, got ", n_sets);
  TORCH_CHECK_TYPE(values.scalar_type() == at::kFloat || values.scalar_type() == at::kDouble,
                   "values must have dtype float32 or float64, got ", values.scalar_type());
  check_contiguous(values, "values");
  check_dtype(out, values.scalar_type(), "out");
  check_shape(out, {values.size(0), n_sets}, "out");
  check_contiguous(out, "out");
  check_same_device(out, values, "out");
  MoebiusTransformParams p{};
  p.dtype = dtype_of(values);
  p.zeta = zeta;
  p.n_tables = values.size(0);
  while ((int64_t{1} << p.n_players) < n_sets) ++p.n_players;
  p.values = values.const_data_ptr();
  p.out = out.data_ptr();
  if (values.numel() == 0) return;
  PYXAI_DISPATCH(moebius_transform, values, backend, p);
}

}  // namespace pyxai
