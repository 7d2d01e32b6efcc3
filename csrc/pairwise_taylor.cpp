#include "pairwise_taylor.h"

#include "arguments.h"
#include "dispatch.h"
#include "ops.h"

namespace pyxai {

void pairwise_taylor_values(const at::Tensor& empty, const at::Tensor& single,
                            const at::Tensor& pairs, bool from_input, at::Tensor& out,
                            const std::string& backend) {
  check_batch(single, "single");
  PairwiseTaylorValuesParams p{};
  p.dtype = dtype_of(single);
  p.from_input = from_input;
  p.batch = single.size(0);
  p.n_players = single.size(1);
  check_dtype(empty, single.scalar_type(), "empty");
  check_shape(empty, {p.batch}, "empty");
  check_contiguous(empty, "empty");
  check_same_device(empty, single, "empty");
  check_dtype(pairs, single.scalar_type(), "pairs");
  check_shape(pairs, {p.batch, p.n_players * (p.n_players - 1) / 2}, "pairs");
  check_contiguous(pairs, "pairs");
  check_same_device(pairs, single, "pairs");
  p.empty = empty.const_data_ptr();
  p.single = single.const_data_ptr();
  p.pairs = pairs.const_data_ptr();
  p.out = static_cast<double*>(
      output_pointer(out, at::kDouble, {p.batch, p.n_players, p.n_players}, single));
  if (out.numel() == 0) return;
  PYXAI_DISPATCH(pairwise_taylor_values, single, backend, p);
}

void pairwise_taylor_hessian(const at::Tensor& hessian, const at::Tensor& delta,
                             const std::optional<at::Tensor>& players,
                             const std::optional<Segments>& segments, int64_t n_players,
                             int64_t row_start, bool products, bool accumulate, at::Tensor& out,
                             const std::string& backend) {
  check_batch(delta, "delta");
  TORCH_CHECK_VALUE(hessian.dim() == 3, "hessian must have 3 dimensions, got ", hessian.dim());
  PairwiseTaylorHessianParams p{};
  p.dtype = dtype_of(delta);
  p.products = products;
  p.accumulate = accumulate;
  p.batch = delta.size(0);
  p.n_rows = hessian.size(1);
  p.row_start = row_start;
  p.features = delta.size(1);
  p.n_players = n_players;
  check_dtype(hessian, delta.scalar_type(), "hessian");
  check_shape(hessian, {p.batch, p.n_rows, p.features}, "hessian");
  check_contiguous(hessian, "hessian");
  check_same_device(hessian, delta, "hessian");
  const int64_t all_rows = products ? n_players : p.features;
  TORCH_CHECK_VALUE(row_start >= 0 && row_start + p.n_rows <= all_rows, "rows must be in 0..",
                    all_rows, ", got ", row_start, "..", row_start + p.n_rows);
  TORCH_CHECK_VALUE(players || n_players == p.features, "n_players must be ", p.features,
                    " without players, got ", n_players);
  p.hessian = hessian.const_data_ptr();
  p.delta = delta.const_data_ptr();
  p.players = player_view(players, delta);
  p.segments = segment_view(segments, n_players, delta);
  p.out = static_cast<double*>(
      output_pointer(out, at::kDouble, {p.batch, n_players, n_players}, delta));
  if (out.numel() == 0) return;
  const Backend where = resolve_backend(delta, backend);
  TORCH_CHECK_VALUE(where == Backend::cpu || !players || segments,
                    "segments must be given with players, got None");
  PYXAI_DISPATCH(pairwise_taylor_hessian, delta, backend, p);
}

}  // namespace pyxai
