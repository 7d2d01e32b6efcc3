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
  // Its memory holds the numbers with the other sign.
  TORCH_CHECK_VALUE(!tensor.is_neg(), name, " must hold its numbers, got a negated view of them");
}

inline void check_same_device(const at::Tensor& tensor, const at::Tensor& other, const char* name) {
  TORCH_CHECK_VALUE(tensor.device() == other.device(), name, " must be on ", other.device(),
                    ", got ", tensor.device());
}

inline void check_dtype(const at::Tensor& tensor, at::ScalarType expected, const char* name) {
  TORCH_CHECK_TYPE(tensor.scalar_type() == expected, name, " must have dtype ", expected, ", got ",
                   tensor.scalar_type());
}

inline void check_shape(const at::Tensor& tensor, std::initializer_list<int64_t> expected,
                        const char* name) {
  TORCH_CHECK_VALUE(tensor.sizes() == at::IntArrayRef(expected), name, " must have shape ",
                    at::IntArrayRef(expected), ", got ", tensor.sizes());
}

// A value per feature, shared or per example: [1 or batch, size].
inline void check_rows(const at::Tensor& rows, const at::Tensor& inputs, int64_t size,
                       const char* name) {
  check_same_device(rows, inputs, name);
  check_contiguous(rows, name);
  TORCH_CHECK_VALUE(rows.dim() == 2 && rows.size(1) == size &&
                        (rows.size(0) == 1 || rows.size(0) == inputs.size(0)),
                    name, " must have shape [1 or ", inputs.size(0), ", ", size, "], got ",
                    rows.sizes());
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
