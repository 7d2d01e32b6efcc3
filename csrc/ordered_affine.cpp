#include "ordered_affine.h"

#include "affine_arguments.h"
#include "dispatch.h"
#include "ops.h"

namespace pyxai {

void ordered_affine(const at::Tensor& start, const at::Tensor& parts,
                    const std::optional<at::Tensor>& orders, bool relu, at::Tensor& out,
                    const std::string& backend) {
  OrderedAffineParams p{};
  static_cast<AffineParams&>(p) = affine_params(start, parts, relu);
  p.n_orders = 1;
  p.n_steps = p.n_players;
  if (orders) {
    check_dtype(*orders, at::kInt, "orders");
    check_same_device(*orders, start, "orders");
    check_contiguous(*orders, "orders");
    TORCH_CHECK_VALUE(orders->dim() == 2, "orders must have 2 dimensions, got ", orders->dim());
    p.n_orders = orders->size(0);
    p.n_steps = orders->size(1);
    p.orders = orders->const_data_ptr<int32_t>();
  }
  if (!take_blocks(&p, out, {p.batch, p.n_orders, p.n_steps, p.size}, start)) return;
  PYXAI_DISPATCH(ordered_affine, start, backend, p);
}

}  // namespace pyxai
