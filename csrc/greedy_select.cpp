#include "greedy_select.h"

#include "arguments.h"
#include "dispatch.h"
#include "masks.h"
#include "ops.h"

namespace pyxai {

void greedy_select(const at::Tensor& sums, at::Tensor& selected, int64_t n_select, bool absolute,
                   at::Tensor& indices, at::Tensor& scores, const std::string& backend) {
  check_batch(sums, "sums");
  check_dtype(sums, at::kDouble, "sums");
  GreedySelectParams p{};
  p.batch = sums.size(0);
  p.n_players = sums.size(1);
  p.n_words = mask_words(p.n_players);
  p.n_select = n_select;
  p.absolute = absolute;
  check_packed(selected, sums, "selected");
  check_shape(selected, {p.batch, p.n_words}, "selected");
  p.indices = static_cast<int64_t*>(
      output_pointer(indices, at::kLong, {p.batch, n_select}, sums, "indices"));
  p.scores = static_cast<double*>(
      output_pointer(scores, at::kDouble, {p.batch, n_select}, sums, "scores"));
  p.sums = sums.const_data_ptr<double>();
  p.selected = selected.data_ptr<int32_t>();
  if (p.batch == 0 || n_select == 0) return;
  std::optional<at::Tensor> scratch;
  if (resolve_backend(sums, backend) != Backend::cpu) {
    scratch = indices.new_empty(indices.sizes());
    p.scratch = scratch->data_ptr<int64_t>();
  }
  PYXAI_DISPATCH(greedy_select, sums, backend, p);
}

}  // namespace pyxai
