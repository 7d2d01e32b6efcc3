#include "../launch.h"
#include "../masked_perturb.h"
#include "../masked_perturb_element.h"
#include "mask_rows.h"
#include "pack.h"

namespace pyxai::PYXAI_BACKEND_NS {
namespace {

// The features of one thread and who owns them.
template <typename Bits, int N>
struct Column {
  Pack<Bits, N> inputs, baselines;
  int32_t players[N];
};

template <typename Bits, int N>
PYXAI_HD Column<Bits, N> load_column(const MaskedPerturbParams& p, int64_t b, int64_t d,
                                     int64_t f) {
  Column<Bits, N> column;
  column.inputs = load_pack<Bits, N>(p.inputs, b * p.features + f);
  if (p.baselines.data != nullptr)
    column.baselines =
        load_pack<Bits, N>(p.baselines.data, b * p.baselines.stride + d * p.features + f);
  for (int j = 0; j < N; ++j) {
    if (p.baselines.data == nullptr) column.baselines.at[j] = static_cast<Bits>(p.baseline_bits);
    column.players[j] = player_of(p.players, b, f + j);
  }
  return column;
}

template <typename Bits, int N>
PYXAI_KERNEL masked_perturb_kernel(MaskedPerturbParams p, MaskRowPlan plan) {
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < plan.count;
       i += static_cast<int64_t>(gridDim.x) * blockDim.x) {
    const MaskRows rows = mask_rows<N>(p, plan, i);
    const Column<Bits, N> column = load_column<Bits, N>(p, rows.b, rows.d, rows.f);
#pragma unroll 4
    for (int64_t m = rows.begin; m < rows.end; ++m) {
      const int32_t* mask = mask_of(p.masks, rows.b, m);
      Pack<Bits, N> out;
      for (int j = 0; j < N; ++j)
        out.at[j] =
            masked_perturb_element<Bits>(mask_keeps(mask, p.masks.n_words, column.players[j]),
                                         column.inputs.at[j], column.baselines.at[j]);
      store_pack(p.out, perturbed_row(p, rows.b, m, rows.d) + rows.f, out);
    }
  }
}

}  // namespace

void masked_perturb(const MaskedPerturbParams& p, void* stream) {
  const bool fits = packs_fit(p.features * p.element_bytes, {p.inputs, p.baselines.data, p.out});
  PYXAI_VISIT_BITS(p.element_bytes, PYXAI_VISIT_PACK(bits_t, fits, {
                     const MaskRowPlan plan = plan_mask_rows<kPack>(p);
                     PYXAI_LAUNCH((masked_perturb_kernel<bits_t, kPack>), grid_for(plan.count),
                                  kBlock, 0, stream, p, plan);
                   }));
}

}  // namespace pyxai::PYXAI_BACKEND_NS
