#include "../launch.h"
#include "../ordered_affine.h"
#include "../ordered_affine_element.h"
#include "pack.h"

namespace pyxai::PYXAI_BACKEND_NS {
namespace {

constexpr int kAhead = 4;  // parts under way: a thread waits for memory once for all of them

// The parts that come in at steps k .. k + kAhead - 1, nothing for unknown players.
template <typename T, int N>
static inline __device__ void load_parts(const OrderedAffineParams& p, int64_t b, int64_t o,
                                         int64_t k, int64_t column, Pack<T, N> (&parts)[kAhead]) {
#pragma unroll
  for (int i = 0; i < kAhead; ++i) {
    const int64_t player = k + i < p.n_steps ? ordered_player(p, o, k + i) : -1;
    for (int j = 0; j < N; ++j) parts[i].at[j] = affine_nothing<T>();
    if (player >= 0 && player < p.n_players)
      parts[i] = load_pack<T, N>(affine_parts<T>(p, b, player), column);
  }
}

template <typename T, int N>
PYXAI_KERNEL ordered_affine_kernel(OrderedAffineParams p) {
  const int64_t count = p.batch * p.n_orders * p.size / N;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += static_cast<int64_t>(gridDim.x) * blockDim.x) {
    const int64_t line = divide(i * N, p.size), column = i * N - line * p.size;
    const int64_t b = divide(line, p.n_orders), o = line - b * p.n_orders;
    const Pack<T, N> start = load_pack<T, N>(affine_start<T>(p, b), column);
    double sums[N];
    for (int j = 0; j < N; ++j) sums[j] = static_cast<double>(start.at[j]);
    T* out = affine_out<T>(p, b, o * p.n_steps);
    for (int64_t k = 0; k < p.n_steps; k += kAhead) {
      Pack<T, N> parts[kAhead];
      load_parts(p, b, o, k, column, parts);
#pragma unroll
      for (int s = 0; s < kAhead; ++s, out += p.size) {
        if (k + s >= p.n_steps) break;
        Pack<T, N> row;
        for (int j = 0; j < N; ++j) {
          sums[j] = ordered_add(sums[j], parts[s].at[j]);
          row.at[j] = ordered_value<T>(sums[j], p.relu);
        }
        store_pack(out, column, row);
      }
    }
  }
}

template <typename T>
void launch(const OrderedAffineParams& p, void* stream) {
  const int64_t bytes = static_cast<int64_t>(sizeof(T));
  const bool spaced = p.batch <= 1 || p.out_stride * bytes % kPackBytes == 0;
  const bool fits = spaced && packs_fit(p.size * bytes, {p.start, p.parts, p.out});
  PYXAI_VISIT_PACK(T, fits, {
    const auto kernel = ordered_affine_kernel<T, kPack>;
    PYXAI_LAUNCH(kernel, grid_for(p.batch * p.n_orders * p.size / kPack), kBlock, 0, stream, p);
  });
}

}  // namespace

void ordered_affine(const OrderedAffineParams& p, void* stream) {
  if (p.dtype == DType::f64)
    launch<double>(p, stream);
  else
    launch<float>(p, stream);
}

}  // namespace pyxai::PYXAI_BACKEND_NS
