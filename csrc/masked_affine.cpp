#include "masked_affine.h"

#include "arguments.h"
#include "dispatch.h"
#include "ops.h"

namespace pyxai {
namespace {

// Blocks of rows, each without gaps; what lies between two of them is not written to.
void check_blocks(const at::Tensor& out) {
  bool packed = out.size(2) <= 1 || out.stride(2) == 1;
  packed = packed && (out.size(1) <= 1 || out.stride(1) == out.size(2));
  const int64_t block = out.size(1) * out.size(2);
  TORCH_CHECK_VALUE(packed && (out.size(0) <= 1 || out.stride(0) >= block),
                    "out must be contiguous in its last two dimensions and have a stride of at "
                    "least ",
                    block, " between examples, got strides ", out.strides());
}

}  // namespace

void masked_affine(const at::Tensor& start, const at::Tensor& parts,
                   const std::optional<at::Tensor>& masks, const std::optional<at::Tensor>& scales,
                   bool relu, at::Tensor& out, const std::string& backend) {
  check_batch(start, "start");
  TORCH_CHECK_TYPE(start.scalar_type() == at::kFloat || start.scalar_type() == at::kDouble,
                   "start must have dtype float32 or float64, got ", start.scalar_type());
  MaskedAffineParams p{};
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
  if (scales) {
    check_dtype(*scales, start.scalar_type(), "scales");
    check_shape(*scales, {p.batch, p.n_players}, "scales");
    check_same_device(*scales, start, "scales");
    check_contiguous(*scales, "scales");
    p.scales = scales->const_data_ptr();
  }
  p.n_masks = p.n_players;
  p.alone = !masks;
  if (masks) {
    p.masks = mask_view(*masks, start);
    TORCH_CHECK_VALUE(p.masks.n_words == mask_words(p.n_players), "masks must have ",
                      mask_words(p.n_players), " word(s) for ", p.n_players, " players, got ",
                      p.masks.n_words);
    p.n_masks = masks->size(1);
  }
  check_dtype(out, start.scalar_type(), "out");
  check_shape(out, {p.batch, p.n_masks, p.size}, "out");
  check_same_device(out, start, "out");
  if (out.numel() == 0) return;
  check_blocks(out);
  p.out = out.data_ptr();
  p.out_stride = out.stride(0);
  PYXAI_DISPATCH(masked_affine, start, backend, p);
}

}  // namespace pyxai
