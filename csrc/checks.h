// What memory safety needs, in the wording of the Python checks: "<argument> must <requirement>,
// got <what came>".
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

#include <initializer_list>

namespace pyxai {

inline void check_contiguous(const at::Tensor& tensor, const char* name) {
  TORCH_CHECK_VALUE(tensor.is_contiguous(), name, " must be contiguous, got strides ",
                    tensor.strides());
}

inline void check_same_device(const at::Tensor& tensor, const at::Tensor& other, const char* name) {
  TORCH_CHECK_VALUE(tensor.device() == other.device(), name, " must be on ", other.device(),
                    ", got ", tensor.device());
}

inline void check_dtype(const at::Tensor& tensor, at::ScalarType expected, const char* name) {
  TORCH_CHECK_TYPE(tensor.scalar_type() == expected, name, " must have dtype ", expected, ", got ",
                   tensor.scalar_type());
}

inline void check_numel(const at::Tensor& tensor, int64_t expected, const char* name) {
  TORCH_CHECK_VALUE(tensor.numel() == expected, name, " must have ", expected, " elements, got ",
                    tensor.numel());
}

inline void check_shape(const at::Tensor& tensor, std::initializer_list<int64_t> expected,
                        const char* name) {
  TORCH_CHECK_VALUE(tensor.sizes() == at::IntArrayRef(expected), name, " must have shape ",
                    at::IntArrayRef(expected), ", got ", tensor.sizes());
}

// Baselines as kernels take them: [1 or batch, features], of the dtype and device of `inputs`
// [batch, features].
inline void check_baselines(const at::Tensor& baselines, const at::Tensor& inputs) {
  check_dtype(baselines, inputs.scalar_type(), "baselines");
  check_same_device(baselines, inputs, "baselines");
  check_contiguous(baselines, "baselines");
  TORCH_CHECK_VALUE(baselines.dim() == 2 && baselines.size(1) == inputs.size(1) &&
                        (baselines.size(0) == 1 || baselines.size(0) == inputs.size(0)),
                    "baselines must have shape [1 or ", inputs.size(0), ", ", inputs.size(1),
                    "], got ", baselines.sizes());
}

// Several baselines per example: [1 or batch, n_draws * features].
inline void check_draws(const at::Tensor& baselines, int64_t n_draws, const at::Tensor& inputs) {
  check_dtype(baselines, inputs.scalar_type(), "baselines");
  check_same_device(baselines, inputs, "baselines");
  check_contiguous(baselines, "baselines");
  TORCH_CHECK_VALUE(n_draws >= 1 && baselines.dim() == 2 &&
                        baselines.size(1) == n_draws * inputs.size(1) &&
                        (baselines.size(0) == 1 || baselines.size(0) == inputs.size(0)),
                    "baselines must have shape [1 or ", inputs.size(0), ", ", n_draws, " * ",
                    inputs.size(1), "], got ", baselines.sizes());
}

// Packed masks, shared or per example: int32 [1 or batch, n_masks, n_words].
inline void check_mask_table(const at::Tensor& masks, const at::Tensor& inputs, const char* name) {
  check_dtype(masks, at::kInt, name);
  check_same_device(masks, inputs, name);
  check_contiguous(masks, name);
  TORCH_CHECK_VALUE(masks.dim() == 3 && (masks.size(0) == 1 || masks.size(0) == inputs.size(0)),
                    name, " must have shape [1 or ", inputs.size(0), ", n_masks, n_words], got ",
                    masks.sizes());
}

// The player of each feature: int32 [1 or batch, features].
inline void check_players(const at::Tensor& players, const at::Tensor& inputs) {
  check_dtype(players, at::kInt, "players");
  check_same_device(players, inputs, "players");
  check_contiguous(players, "players");
  TORCH_CHECK_VALUE(players.dim() == 2 && players.size(1) == inputs.size(1) &&
                        (players.size(0) == 1 || players.size(0) == inputs.size(0)),
                    "players must have shape [1 or ", inputs.size(0), ", ", inputs.size(1),
                    "], got ", players.sizes());
}

// A packed mask per example: int32 [batch, n_words].
inline void check_packed(const at::Tensor& masks, const at::Tensor& inputs, const char* name) {
  check_dtype(masks, at::kInt, name);
  check_same_device(masks, inputs, name);
  check_contiguous(masks, name);
  TORCH_CHECK_VALUE(masks.dim() == 2 && masks.size(0) == inputs.size(0), name, " must have shape [",
                    inputs.size(0), ", n_words], got ", masks.sizes());
}

}  // namespace pyxai
