#include "../launch.h"
#include "../masked_perturb.h"
#include "../masked_perturb_element.h"
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

// One thread writes the same features of `rows_each` masks: inputs, baselines and players are read
// once for all of them.
template <typename Bits, int N>
PYXAI_KERNEL masked_perturb_kernel(MaskedPerturbParams p, int64_t rows_each) {
  const int64_t chunks = p.features / N, groups = (p.n_masks + rows_each - 1) / rows_each;
  const int64_t count = chunks * groups * p.n_draws * p.batch;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += static_cast<int64_t>(gridDim.x) * blockDim.x) {
    const int64_t rest = divide(i, chunks), f = (i - rest * chunks) * N;
    const int64_t example_draw = divide(rest, groups), group = rest - example_draw * groups;
    const int64_t b = divide(example_draw, p.n_draws), d = example_draw - b * p.n_draws;
    const Column<Bits, N> column = load_column<Bits, N>(p, b, d, f);
    const int64_t begin = group * rows_each;
    const int64_t end = begin + rows_each < p.n_masks ? begin + rows_each : p.n_masks;
#pragma unroll 4
    for (int64_t m = begin; m < end; ++m) {
      const int32_t* mask = mask_of(p.masks, b, m);
      Pack<Bits, N> out;
      for (int j = 0; j < N; ++j)
        out.at[j] =
            masked_perturb_element<Bits>(mask_keeps(mask, p.masks.n_words, column.players[j]),
                                         column.inputs.at[j], column.baselines.at[j]);
      store_pack(p.out, ((b * p.n_masks + m) * p.n_draws + d) * p.features + f, out);
    }
  }
}

}  // namespace

void masked_perturb(const MaskedPerturbParams& p, void* stream) {
  const bool fits =
      packs_fit(16, p.features * p.element_bytes, {p.inputs, p.baselines.data, p.out});
  PYXAI_VISIT_BITS(p.element_bytes, PYXAI_VISIT_PACK(bits_t, fits, {
                     const int64_t columns = p.features / kPack * p.n_draws * p.batch;
                     const int64_t rows_each = items_each(columns, p.n_masks);
                     const int64_t count = columns * ((p.n_masks + rows_each - 1) / rows_each);
                     PYXAI_LAUNCH((masked_perturb_kernel<bits_t, kPack>), grid_for(count), kBlock,
                                  0, stream, p, rows_each);
                   }));
}

}  // namespace pyxai::PYXAI_BACKEND_NS
