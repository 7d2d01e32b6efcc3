#include "../launch.h"
#include "../masked_affine.h"
#include "../masked_affine_element.h"
#include "pack.h"

namespace pyxai::PYXAI_BACKEND_NS {
namespace {

template <typename T, int N>
static inline __device__ Pack<T, N> no_terms() {
  Pack<T, N> sums;
  for (int j = 0; j < N; ++j) sums.at[j] = affine_nothing<T>();
  return sums;
}

// The term of one player in the columns of one thread.
template <typename T, int N>
static inline __device__ void add_term(const MaskedAffineParams& p, int64_t b, int64_t player,
                                       int64_t column, Pack<T, N>* sums) {
  const T scale = affine_scale<T>(p, b, player);
  const Pack<T, N> parts = load_pack<T, N>(affine_parts<T>(p, b, player), column);
  for (int j = 0; j < N; ++j) sums->at[j] = affine_add_term(sums->at[j], scale, parts.at[j]);
}

// Add the groups of one word of a mask.
template <typename T, int N>
static inline __device__ void add_word(const MaskedAffineParams& p, int64_t b, int64_t w,
                                       uint32_t bits, int64_t column, Pack<T, N>* sums) {
  for (int64_t player = w * kMaskBits; bits != 0; player += kAffineGroup, bits >>= kAffineGroup) {
    if (bits % (1u << kAffineGroup) == 0) continue;
    Pack<T, N> terms = no_terms<T, N>();
#pragma unroll
    for (int k = 0; k < kAffineGroup; ++k)
      if ((bits >> k) % 2 != 0) add_term(p, b, player + k, column, &terms);
    for (int j = 0; j < N; ++j) sums->at[j] = add_rn(sums->at[j], terms.at[j]);
  }
}

template <typename T, int N, bool kAlone>
PYXAI_KERNEL masked_affine_kernel(MaskedAffineParams p) {
  const int64_t count = p.batch * p.n_masks * p.size / N;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += static_cast<int64_t>(gridDim.x) * blockDim.x) {
    const int64_t row = divide(i * N, p.size), column = i * N - row * p.size;
    const int64_t b = divide(row, p.n_masks), m = row - b * p.n_masks;
    Pack<T, N> sums = load_pack<T, N>(affine_start<T>(p, b), column);
    if constexpr (kAlone) {
      add_term(p, b, m, column, &sums);
    } else {
      const int32_t* mask = mask_of(p.masks, b, m);
      for (int64_t w = 0; w < p.masks.n_words; ++w)
        add_word(p, b, w, static_cast<uint32_t>(mask[w]) & used_bits(p.n_players, w), column,
                 &sums);
    }
    for (int j = 0; j < N; ++j) sums.at[j] = affine_activate(sums.at[j], p.relu);
    store_pack(affine_out<T>(p, b, m), column, sums);
  }
}

template <typename T>
void launch(const MaskedAffineParams& p, void* stream) {
  const int64_t bytes = static_cast<int64_t>(sizeof(T));
  const bool spaced = p.batch <= 1 || p.out_stride * bytes % kPackBytes == 0;
  const bool fits = spaced && packs_fit(p.size * bytes, {p.start, p.parts, p.out});
  PYXAI_VISIT_PACK(T, fits, {
    const auto kernel =
        p.alone ? masked_affine_kernel<T, kPack, true> : masked_affine_kernel<T, kPack, false>;
    PYXAI_LAUNCH(kernel, grid_for(p.batch * p.n_masks * p.size / kPack), kBlock, 0, stream, p);
  });
}

}  // namespace

void masked_affine(const MaskedAffineParams& p, void* stream) {
  if (p.dtype == DType::f64)
    launch<double>(p, stream);
  else
    launch<float>(p, stream);
}

}  // namespace pyxai::PYXAI_BACKEND_NS
