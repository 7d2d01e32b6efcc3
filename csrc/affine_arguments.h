// Checked arguments of the ops of a first layer.
#pragma once

#include "affine.h"
#include "arguments.h"
#include "dispatch.h"

namespace pyxai {

inline AffineView affine_view(const at::Tensor& start, const at::Tensor& parts, bool relu) {
  check_batch(start, "start");
  TORCH_CHECK_TYPE(start.scalar_type() == at::kFloat || start.scalar_type() == at::kDouble,
                   "start must have dtype float32 or float64, got ", start.scalar_type());
  AffineView p{};
  p.dtype = dtype_of(start);
  p.batch = start.size(0);
  p.size = start.size(1);
  p.relu = relu;
  p.start = start.const_data_ptr();
  check_dtype(parts, start.scalar_type(), "parts");
  check_same_device(parts, start, "parts");
  check_contiguous(parts, "parts");
  TORCH_CHECK_VALUE(parts.dim() == 3 && parts.size(2) == p.size &&
                        (parts.size(0) == 1 || parts.size(0) == p.batch),
                    "parts must have shape [1 or ", p.batch, ", n_players, ", p.size, "], got ",
                    parts.sizes());
  p.n_players = parts.size(1);
  p.parts = parts.const_data_ptr();
  p.parts_stride = parts.size(0) == 1 ? 0 : p.n_players * p.size;
  return p;
}

// Take `out` where it holds a block of rows for each example without gaps; what lies between two
// blocks is not written to. False if there is nothing to write.
inline bool take_blocks(AffineView* p, const at::Tensor& out, std::initializer_list<int64_t> shape,
                        const at::Tensor& start) {
  check_dtype(out, start.scalar_type(), "out");
  check_shape(out, shape, "out");
  check_same_device(out, start, "out");
  if (out.numel() == 0) return false;
  int64_t block = 1;
  bool packed = true;
  for (int64_t d = out.dim() - 1; d > 0; --d) {
    packed = packed && (out.size(d) <= 1 || out.stride(d) == block);
    block *= out.size(d);
  }
  TORCH_CHECK_VALUE(packed && (out.size(0) <= 1 || out.stride(0) >= block),
                    "out must be contiguous in its last ", out.dim() == 3 ? "two" : "three",
                    " dimensions and have a stride of at least ", block,
                    " between examples, got strides ", out.strides());
  p->out = out.data_ptr();
  p->out_stride = out.stride(0);
  return true;
}

}  // namespace pyxai
