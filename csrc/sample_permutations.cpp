#include "sample_permutations.h"

#include <ATen/core/Tensor.h>

#include "checks.h"
#include "dispatch.h"
#include "masks.h"
#include "ops.h"

namespace pyxai {

void sample_permutations(const at::Tensor& example_ids, int64_t seed, int64_t stream, int64_t start,
                         bool antithetic, at::Tensor& out, const std::string& backend) {
  TORCH_CHECK_VALUE(out.dim() == 3, "out must have 3 dimensions, got ", out.dim());
  SamplePermutationsParams p{};
  p.key = philox_key(static_cast<uint64_t>(seed), static_cast<uint32_t>(stream));
  p.antithetic = antithetic;
  p.batch = out.size(0);
  p.n_permutations = out.size(1);
  p.start = start;
  p.n_players = out.size(2);
  check_dtype(out, at::kInt, "out");
  check_contiguous(out, "out");
  check_dtype(example_ids, at::kLong, "example_ids");
  check_shape(example_ids, {p.batch}, "example_ids");
  check_contiguous(example_ids, "example_ids");
  check_same_device(example_ids, out, "example_ids");
  p.example_ids = example_ids.const_data_ptr<int64_t>();
  p.out = out.data_ptr<int32_t>();
  if (out.numel() == 0) return;
  PYXAI_DISPATCH(sample_permutations, out, backend, p);
}

void permutation_prefixes(const at::Tensor& permutations, at::Tensor& out,
                          const std::string& backend) {
  TORCH_CHECK_VALUE(permutations.dim() == 2, "permutations must have 2 dimensions, got ",
                    permutations.dim());
  PermutationPrefixesParams p{};
  p.rows = permutations.size(0);
  p.n_players = permutations.size(1);
  p.n_words = mask_words(p.n_players);
  check_dtype(permutations, at::kInt, "permutations");
  check_contiguous(permutations, "permutations");
  check_dtype(out, at::kInt, "out");
  check_shape(out, {p.rows, p.n_players + 1, p.n_words}, "out");
  check_contiguous(out, "out");
  check_same_device(out, permutations, "out");
  p.permutations = permutations.const_data_ptr<int32_t>();
  p.out = out.data_ptr<int32_t>();
  if (out.numel() == 0) return;
  PYXAI_DISPATCH(permutation_prefixes, out, backend, p);
}

}  // namespace pyxai
