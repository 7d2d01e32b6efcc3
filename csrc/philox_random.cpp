#include "philox_random.h"

#include <ATen/core/Tensor.h>

#include "checks.h"
#include "dispatch.h"
#include "ops.h"

namespace pyxai {

void philox_random(const at::Tensor& example_ids, int64_t seed, int64_t stream, int64_t start,
                   const std::string& distribution, at::Tensor& out, const std::string& backend) {
  TORCH_CHECK_VALUE(out.dim() == 3, "out must have 3 dimensions, got ", out.dim());
  PhiloxRandomParams p{};
  if (distribution == "bits") {
    check_dtype(out, at::kInt, "out");
    p.distribution = Distribution::bits;
  } else {
    TORCH_CHECK_VALUE(distribution == "uniform" || distribution == "normal",
                      "distribution must be 'bits', 'uniform' or 'normal', got ", distribution);
    TORCH_CHECK_TYPE(out.scalar_type() == at::kFloat || out.scalar_type() == at::kDouble,
                     "out must have dtype float32 or float64, got ", out.scalar_type());
    p.distribution = distribution == "normal" ? Distribution::normal : Distribution::uniform;
    p.dtype = dtype_of(out);
  }
  check_dtype(example_ids, at::kLong, "example_ids");
  check_shape(example_ids, {out.size(0)}, "example_ids");
  check_contiguous(example_ids, "example_ids");
  check_same_device(example_ids, out, "example_ids");
  check_contiguous(out, "out");
  p.key = philox_key(static_cast<uint64_t>(seed), static_cast<uint32_t>(stream));
  p.example_ids = example_ids.const_data_ptr<int64_t>();
  p.batch = out.size(0);
  p.n_samples = out.size(1);
  p.start = start;
  p.elements = out.size(2);
  p.out = out.data_ptr();
  if (out.numel() == 0) return;
  PYXAI_DISPATCH(philox_random, out, backend, p);
}

}  // namespace pyxai
