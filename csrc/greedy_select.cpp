#include "greedy_select.h"

#include "checks.h"
#include "dispatch.h"
#include "ops.h"

namespace pyxai {

void greedy_select(const at::Tensor& sums, at::Tensor& selected, int64_t n_select, bool absolute,
                   at::Tensor& indices, at::Tensor& scores, at::Tensor& scratch,
                   const std::string& backend) {
  TORCH_CHECK_VALUE(sums.dim() == 2, "sums must have 2 dimensions, got ", sums.dim());
  check_dtype(sums, at::kDouble, "sums");
  check_contiguous(sums, "sums");
  GreedySelectParams p{};
  p.batch = sums.size(0);
  p.n_players = sums.size(1);
  p.n_words = (p.n_players + 31) / 32;
  p.n_select = n_select;
  p.absolute = absolute;
  check_packed(selected, sums, "selected");
  check_shape(selected, {p.batch, p.n_words}, "selected");
  for (at::Tensor* out : {&indices, &scores, &scratch}) {
    check_shape(*out, {p.batch, n_select}, "out");
    check_contiguous(*out, "out");
    check_same_device(*out, sums, "out");
    check_dtype(*out, out == &scores ? at::kDouble : at::kLong, "out");
  }
  p.sums = sums.const_data_ptr<double>();
  p.selected = selected.data_ptr<int32_t>();
  p.indices = indices.data_ptr<int64_t>();
  p.scores = scores.data_ptr<double>();
  p.scratch = scratch.data_ptr<int64_t>();
  if (p.batch == 0 || n_select == 0) return;
  PYXAI_DISPATCH(greedy_select, sums, backend, p);
}

}  // namespace pyxai
