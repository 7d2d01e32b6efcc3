// Checked tensors as views, for the arguments that several ops share. Shapes are repeated here,
// after Python's checks, because memory safety depends on them.
#pragma once

#include "checks.h"
#include "ops.h"
#include "segments.h"
#include "views.h"

namespace pyxai {

inline BaselineView baseline_view(const Baselines& baselines, const at::Tensor& inputs,
                                  int64_t n_draws = 1) {
  if (const double* value = std::get_if<double>(&baselines)) return {nullptr, *value, 0};
  const at::Tensor& rows = std::get<at::Tensor>(baselines);
  const int64_t size = n_draws * inputs.size(1);
  check_dtype(rows, inputs.scalar_type(), "baselines");
  check_rows(rows, inputs, size, "baselines");
  return {rows.const_data_ptr(), 0.0, rows.size(0) == 1 ? 0 : size};
}

inline PlayerView player_view(const std::optional<at::Tensor>& players, const at::Tensor& inputs) {
  if (!players) return {nullptr, 0};
  check_dtype(*players, at::kInt, "players");
  check_rows(*players, inputs, inputs.size(1), "players");
  return {players->const_data_ptr<int32_t>(), players->size(0) == 1 ? 0 : inputs.size(1)};
}

inline SegmentView segment_view(const std::optional<Segments>& segments, int64_t n_players,
                                const at::Tensor& inputs) {
  if (!segments) return {nullptr, nullptr, 0, 0};
  const auto& [order, offsets] = *segments;
  check_dtype(order, at::kInt, "order");
  check_dtype(offsets, at::kInt, "offsets");
  check_rows(order, inputs, inputs.size(1), "order");
  check_rows(offsets, inputs, n_players + 1, "offsets");
  return {order.const_data_ptr<int32_t>(), offsets.const_data_ptr<int32_t>(),
          order.size(0) == 1 ? 0 : inputs.size(1), offsets.size(0) == 1 ? 0 : n_players + 1};
}

// One packed mask per example, [batch, n_words].
inline MaskView selected_view(const std::optional<at::Tensor>& selected, const at::Tensor& inputs) {
  if (!selected) return {nullptr, 0, 0};
  check_packed(*selected, inputs, "selected");
  return {selected->const_data_ptr<int32_t>(), selected->size(1), selected->size(1)};
}

// Masks shared or per example, [1 or batch, n_masks, n_words].
inline MaskView mask_view(const at::Tensor& masks, const at::Tensor& inputs) {
  check_dtype(masks, at::kInt, "masks");
  check_same_device(masks, inputs, "masks");
  check_contiguous(masks, "masks");
  TORCH_CHECK_VALUE(masks.dim() == 3 && (masks.size(0) == 1 || masks.size(0) == inputs.size(0)),
                    "masks must have shape [1 or ", inputs.size(0), ", n_masks, n_words], got ",
                    masks.sizes());
  const int64_t n_words = masks.size(2);
  return {masks.const_data_ptr<int32_t>(), masks.size(0) == 1 ? 0 : masks.size(1) * n_words,
          n_words};
}

// Rows of a table of `count`, int64 of a given shape.
inline RowView row_view(const at::Tensor& rows, std::initializer_list<int64_t> shape, int64_t count,
                        const at::Tensor& inputs) {
  check_dtype(rows, at::kLong, "rows");
  check_shape(rows, shape, "rows");
  check_same_device(rows, inputs, "rows");
  check_contiguous(rows, "rows");
  return {rows.const_data_ptr<int64_t>(), count};
}

// Quadrature weights: float64 [n_nodes].
inline void check_weights(const at::Tensor& weights, int64_t n_nodes, const at::Tensor& inputs) {
  check_dtype(weights, at::kDouble, "weights");
  check_shape(weights, {n_nodes}, "weights");
  check_same_device(weights, inputs, "weights");
  check_contiguous(weights, "weights");
}

// Gradients along a path, [n_nodes, batch, features], and the float64 weights of its nodes.
inline void check_path(const at::Tensor& grads, const at::Tensor& weights,
                       const at::Tensor& inputs) {
  check_dtype(grads, inputs.scalar_type(), "grads");
  check_shape(grads, {weights.numel(), inputs.size(0), inputs.size(1)}, "grads");
  check_same_device(grads, inputs, "grads");
  check_contiguous(grads, "grads");
  check_weights(weights, weights.numel(), inputs);
}

// A tensor that the kernel writes.
inline void* output_pointer(const at::Tensor& out, at::ScalarType dtype,
                            std::initializer_list<int64_t> shape, const at::Tensor& inputs,
                            const char* name = "out") {
  check_dtype(out, dtype, name);
  check_shape(out, shape, name);
  check_same_device(out, inputs, name);
  check_contiguous(out, name);
  return out.data_ptr();
}

// Sums are written in float64 for float64 and in float32 otherwise.
inline at::ScalarType accumulate_type(const at::Tensor& values) {
  return values.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

inline void check_batch(const at::Tensor& inputs, const char* name) {
  TORCH_CHECK_VALUE(inputs.dim() == 2, name, " must have 2 dimensions, got ", inputs.dim());
  check_contiguous(inputs, name);
}

}  // namespace pyxai
