#include "path_moments.h"

#include "arguments.h"
#include "dispatch.h"
#include "ops.h"

namespace pyxai {

void path_moments(const at::Tensor& grads, const at::Tensor& weights, at::Tensor& out,
                  const std::string& backend) {
  check_batch(grads, "grads");
  PathMomentsParams p{};
  p.dtype = dtype_of(grads);
  p.n_nodes = grads.size(0);
  p.total = grads.size(1);
  p.grads = grads.const_data_ptr();
  check_weights(weights, p.n_nodes, grads);
  p.weights = weights.const_data_ptr<double>();
  p.out = output_pointer(out, accumulate_type(grads), {2, p.total}, grads);
  if (grads.numel() == 0) return;
  PYXAI_DISPATCH(path_moments, grads, backend, p);
}

}  // namespace pyxai
