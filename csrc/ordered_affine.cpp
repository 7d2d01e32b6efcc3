#include "ordered_affine.h"

#include <algorithm>

#include "affine_arguments.h"
#include "dispatch.h"
#include "ops.h"

namespace pyxai {
namespace {

void check_players(const at::Tensor& orders, int64_t n_players) {
  const int32_t* players = orders.const_data_ptr<int32_t>();
  int32_t low = 0, high = -1;
  for (int64_t i = 0; i < orders.numel(); ++i) {
    low = std::min(low, players[i]);
    high = std::max(high, players[i]);
  }
  TORCH_CHECK_VALUE(low >= 0 && high < n_players, "orders must hold players from 0 to below ",
                    n_players, ", got ", low < 0 ? low : high);
}

}  // namespace

void ordered_affine(const at::Tensor& start, const at::Tensor& parts,
                    const std::optional<at::Tensor>& orders, bool relu, at::Tensor& out,
                    const std::string& backend) {
  OrderedAffineParams p{};
  static_cast<AffineView&>(p) = affine_view(start, parts, relu);
  p.n_orders = 1;
  p.n_steps = p.n_players;
  if (orders) {
    check_dtype(*orders, at::kInt, "orders");
    check_same_device(*orders, start, "orders");
    check_contiguous(*orders, "orders");
    TORCH_CHECK_VALUE(orders->dim() == 2, "orders must have 2 dimensions, got ", orders->dim());
    // On a GPU a look would wait for the device; its kernel, and so host_run, leaves them out.
    if (backend == "cpu" && orders->device().is_cpu()) check_players(*orders, p.n_players);
    p.n_orders = orders->size(0);
    p.n_steps = orders->size(1);
    p.orders = orders->const_data_ptr<int32_t>();
  }
  if (!take_blocks(&p, out, {p.batch, p.n_orders, p.n_steps, p.size}, start)) return;
  PYXAI_DISPATCH(ordered_affine, start, backend, p);
}

}  // namespace pyxai
