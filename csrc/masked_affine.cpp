#include "masked_affine.h"

#include "affine_arguments.h"
#include "dispatch.h"
#include "ops.h"

namespace pyxai {

void masked_affine(const at::Tensor& start, const at::Tensor& parts,
                   const std::optional<at::Tensor>& masks, const std::optional<at::Tensor>& scales,
                   bool relu, at::Tensor& out, const std::string& backend) {
  MaskedAffineParams p{};
  static_cast<AffineView&>(p) = affine_view(start, parts, relu);
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
  if (!take_blocks(&p, out, {p.batch, p.n_masks, p.size}, start)) return;
  PYXAI_DISPATCH(masked_affine, start, backend, p);
}

}  // namespace pyxai
