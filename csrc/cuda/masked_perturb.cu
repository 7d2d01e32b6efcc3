#include "../launch.h"
#include "../masked_perturb.h"
#include "../masked_perturb_element.h"
#include "mask_rows.h"
#include "pack.h"

namespace pyxai::PYXAI_BACKEND_NS {
namespace {

// The features of one thread, and where in a mask the bits stand that decide over them. Features
// over which no bit decides get their input as baseline, so that no mask needs a test.
template <typename Bits, int N>
struct Column {
  Pack<Bits, N> inputs, baselines;
  int32_t words[N];
  uint32_t bits[N];
  bool one_word;
};

template <typename Bits, int N>
static inline __device__ Column<Bits, N> load_column(const MaskedPerturbParams& p, int64_t b,
                                                     int64_t d, int64_t f) {
  Column<Bits, N> column;
  column.inputs = load_pack<Bits, N>(p.inputs, b * p.features + f);
  if (p.baselines.data != nullptr)
    column.baselines =
        load_pack<Bits, N>(p.baselines.data, b * p.baselines.stride + d * p.features + f);
  column.one_word = true;
  int32_t last = 0;
  for (int j = 0; j < N; ++j) {
    if (p.baselines.data == nullptr) column.baselines.at[j] = static_cast<Bits>(p.baseline_bits);
    const int32_t player = player_of(p.players, b, f + j);
    column.bits[j] = mask_bit(player);
    if (mask_decides(p.masks.n_words, player))
      last = static_cast<int32_t>(mask_word(player));
    else
      column.baselines.at[j] = column.inputs.at[j];
    column.words[j] = last;
    column.one_word = column.one_word && last == column.words[0];
  }
  return column;
}

// What one mask shows of a column, in words of 32 bits or in one element.
template <typename Bits, int N>
static inline __device__ Pack<Bits, N> show(const Column<Bits, N>& column, const bool (&kept)[N]) {
  Pack<Bits, N> out;
  if constexpr (sizeof(out) < sizeof(uint32_t)) {
    out.at[0] = masked_perturb_element<Bits>(kept[0], column.inputs.at[0], column.baselines.at[0]);
  } else {
    constexpr int kBytes = static_cast<int>(sizeof(uint32_t)), kEach = kBytes / sizeof(Bits);
    for (int w = 0; w < static_cast<int>(sizeof(out)) / kBytes; ++w) {
      const int first = w * kBytes / static_cast<int>(sizeof(Bits));
      uint32_t input, baseline, all = kept[first] ? ~0u : 0u;
      if constexpr (kEach == 2)
        all = (kept[first] ? 0xffffu : 0u) | (kept[first + 1] ? 0xffff0000u : 0u);
      memcpy(&input, reinterpret_cast<const char*>(&column.inputs) + w * kBytes, kBytes);
      memcpy(&baseline, reinterpret_cast<const char*>(&column.baselines) + w * kBytes, kBytes);
      const uint32_t shown = masked_perturb_bits(all, input, baseline);
      memcpy(reinterpret_cast<char*>(&out) + w * kBytes, &shown, kBytes);
    }
  }
  return out;
}

template <bool kOneWord, typename Bits, int N>
static inline __device__ void write_rows(const MaskedPerturbParams& p, const MaskRows& rows,
                                         const Column<Bits, N>& column) {
  const int32_t* mask = mask_of(p.masks, rows.b, rows.begin);
  int64_t place = perturbed_row(p, rows.b, rows.begin, rows.d) + rows.f;
  const bool readable = !kOneWord || p.masks.n_words > 0;  // no word is one word
#pragma unroll 4
  for (int64_t m = rows.begin; m < rows.end; ++m) {
    bool kept[N];
    const int32_t word = readable ? mask[column.words[0]] : 0;
    for (int j = 0; j < N; ++j) {
      const int32_t own = kOneWord || j == 0 ? word : mask[column.words[j]];
      kept[j] = (static_cast<uint32_t>(own) & column.bits[j]) != 0;
    }
    store_pack(p.out, place, show(column, kept));
    mask += p.masks.n_words;
    place += p.n_draws * p.features;
  }
}

template <typename Bits, int N>
PYXAI_KERNEL masked_perturb_kernel(MaskedPerturbParams p, MaskRowPlan plan) {
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < plan.count;
       i += static_cast<int64_t>(gridDim.x) * blockDim.x) {
    const MaskRows rows = mask_rows<N>(p, plan, i);
    const Column<Bits, N> column = load_column<Bits, N>(p, rows.b, rows.d, rows.f);
    if (column.one_word)
      write_rows<true>(p, rows, column);
    else
      write_rows<false>(p, rows, column);
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
