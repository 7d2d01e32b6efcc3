#include "sample_coalitions.h"

#include <ATen/core/Tensor.h>

#include "checks.h"
#include "dispatch.h"
#include "masks.h"
#include "ops.h"

namespace pyxai {
namespace {

CoalitionLaw law_of(const std::string& name) {
  if (name == "bernoulli") return CoalitionLaw::bernoulli;
  if (name == "fixed_size") return CoalitionLaw::fixed_size;
  TORCH_CHECK_VALUE(name == "kernel", "law must be 'bernoulli', 'fixed_size' or 'kernel', got ",
                    name);
  return CoalitionLaw::kernel;
}

}  // namespace

void sample_coalitions(const at::Tensor& example_ids, int64_t seed, int64_t stream, int64_t start,
                       const std::string& law, bool paired, int64_t n_players,
                       const at::Tensor& table, at::Tensor& out, const std::string& backend) {
  TORCH_CHECK_VALUE(out.dim() == 3, "out must have 3 dimensions, got ", out.dim());
  SampleCoalitionsParams p{};
  p.law = law_of(law);
  p.key = philox_key(static_cast<uint64_t>(seed), static_cast<uint32_t>(stream));
  p.paired = paired;
  p.batch = out.size(0);
  p.n_samples = out.size(1);
  p.start = start;
  p.n_players = n_players;
  p.n_words = out.size(2);
  TORCH_CHECK_VALUE(n_players > 0 && p.n_words == mask_words(n_players),
                    "out must have ceil(n_players / 32) words, got ", p.n_words, " for ", n_players,
                    " players");
  check_dtype(out, at::kInt, "out");
  check_contiguous(out, "out");
  check_dtype(example_ids, at::kLong, "example_ids");
  check_shape(example_ids, {p.batch}, "example_ids");
  check_contiguous(example_ids, "example_ids");
  check_same_device(example_ids, out, "example_ids");
  check_dtype(table, at::kLong, "table");
  check_contiguous(table, "table");
  check_same_device(table, out, "table");
  if (p.law == CoalitionLaw::kernel) {
    check_shape(table, {n_players + 1}, "table");
  } else {
    TORCH_CHECK_VALUE(table.dim() == 2 && (table.size(0) == 1 || table.size(0) == p.batch) &&
                          (table.size(1) == 1 || table.size(1) == p.n_samples),
                      "table must have shape [1 or ", p.batch, ", 1 or ", p.n_samples, "], got ",
                      table.sizes());
    p.table_batch_stride = table.size(0) == 1 ? 0 : table.size(1);
    p.table_sample_stride = table.size(1) == 1 ? 0 : 1;
  }
  p.example_ids = example_ids.const_data_ptr<int64_t>();
  p.table = table.const_data_ptr<int64_t>();
  p.out = out.data_ptr<int32_t>();
  if (out.numel() == 0) return;
  PYXAI_DISPATCH(sample_coalitions, out, backend, p);
}

}  // namespace pyxai
