#include "table_sums.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <vector>

#include "checks.h"
#include "dispatch.h"
#include "ops.h"
#include "table_sums_element.h"

namespace pyxai {
namespace {

// Tables are taken a few at a time, so that the work space stays small.
constexpr int64_t kMaxWorkBytes = int64_t{64} << 20;

TableSumsParams table_params(const at::Tensor& values, const at::Tensor& weights,
                             const std::vector<int64_t>& orders, at::Tensor& out) {
  TORCH_CHECK_VALUE(values.dim() == 2, "values must have 2 dimensions, got ", values.dim());
  const int64_t n_sets = values.size(1);
  TORCH_CHECK_VALUE(n_sets > 0 && (n_sets & (n_sets - 1)) == 0 && n_sets <= int64_t{1} << 30,
                    "values must have a power of two of columns, at most 2^30, got ", n_sets);
  TORCH_CHECK_TYPE(values.scalar_type() == at::kFloat || values.scalar_type() == at::kDouble,
                   "values must have dtype float32 or float64, got ", values.scalar_type());
  check_contiguous(values, "values");
  TableSumsParams p{};
  p.dtype = dtype_of(values);
  while ((int64_t{1} << p.n_players) < n_sets) ++p.n_players;
  p.n_rows = static_cast<int32_t>(orders.size());
  TORCH_CHECK_VALUE(p.n_rows >= 1 && p.n_rows <= kMaxWeightRows, "weights must have 1 to ",
                    kMaxWeightRows, " rows, got ", p.n_rows);
  for (int32_t row = 0; row < p.n_rows; ++row) {
    TORCH_CHECK_VALUE(orders[row] >= 0 && orders[row] <= 2, "orders must be 0, 1 or 2, got ",
                      orders[row]);
    p.order[row] = static_cast<int32_t>(orders[row]);
    p.column[row] = p.width;
    p.width += result_width(p.order[row], p.n_players);
  }
  check_dtype(weights, at::kDouble, "weights");
  check_shape(weights, {p.n_rows, p.n_players + 1}, "weights");
  check_contiguous(weights, "weights");
  check_same_device(weights, values, "weights");
  check_dtype(out, at::kDouble, "out");
  check_shape(out, {values.size(0), p.width}, "out");
  check_contiguous(out, "out");
  check_same_device(out, values, "out");
  p.weights = weights.const_data_ptr<double>();
  return p;
}

}  // namespace

void table_sums(const at::Tensor& values, const at::Tensor& weights,
                const std::vector<int64_t>& orders, at::Tensor& out, const std::string& backend) {
  TableSumsParams p = table_params(values, weights, orders, out);
  const TableShape shape = table_shape(p.n_players);
  const int64_t sums = p.n_rows * shape.groups * shape.chunk;
  const int64_t parts = p.n_rows * shape.chunks * kChunkParts;
  const int64_t step =
      std::max<int64_t>(1, kMaxWorkBytes / static_cast<int64_t>(sizeof(double)) / (sums + parts));
  const int64_t n_tables = values.size(0);
  if (n_tables == 0) return;
  const at::Tensor work = out.new_empty({std::min(step, n_tables) * (sums + parts)});
  for (int64_t first = 0; first < n_tables; first += step) {
    p.n_tables = std::min(step, n_tables - first);
    p.values = static_cast<const char*>(values.const_data_ptr()) +
               first * values.size(1) * static_cast<int64_t>(values.element_size());
    p.out = out.data_ptr<double>() + first * p.width;
    p.chunk_sums = work.data_ptr<double>();
    p.chunk_parts = p.chunk_sums + p.n_tables * sums;
    PYXAI_DISPATCH(table_sums, values, backend, p);
  }
}

}  // namespace pyxai
