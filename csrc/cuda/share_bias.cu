#include "../launch.h"
#include "../share_bias.h"
#include "../share_bias_element.h"
#include "pack.h"

namespace pyxai::PYXAI_BACKEND_NS {
namespace {

template <typename T, int N>
static inline __device__ Pack<T, N> shared_pack(const SharedView& view, int64_t row,
                                                int64_t column) {
  return load_pack<T, N>(view.data, row * view.stride + column);
}

template <typename T, int N, bool kWhole>
PYXAI_KERNEL share_bias_kernel(ShareBiasParams p) {
  const int64_t count = p.rows * p.size / N;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += static_cast<int64_t>(gridDim.x) * blockDim.x) {
    const int64_t row = divide(i * N, p.size), column = i * N - row * p.size;
    const Pack<T, N> linear = load_pack<T, N>(p.linear, i * N);
    const Pack<T, N> judged = kWhole ? linear : shared_pack<T, N>(p.judged, row, column);
    const Pack<T, N> total = shared_pack<T, N>(p.total, row, column);
    const Pack<T, N> bias = shared_pack<T, N>(p.bias, row, column);
    const Pack<T, N> magnitude = shared_pack<T, N>(p.magnitude, row, column);
    const Pack<T, N> ties = shared_pack<T, N>(p.ties, row, column);
    const T rounding = *shared_at<T>(p.rounding, row, 0);
    Pack<T, N> out;
    bool tied = false;
    for (int j = 0; j < N; ++j) {
      const SharedBias<T> found =
          share_bias_element<kWhole>(linear.at[j], judged.at[j], total.at[j], bias.at[j],
                                     magnitude.at[j] * rounding, ties.at[j]);
      out.at[j] = found.value;
      tied = tied || found.tied;
    }
    store_pack(p.out, i * N, out);
    if (tied) *p.tied = true;  // all threads write the same
  }
}

template <typename T>
void launch(const ShareBiasParams& p, void* stream) {
  const bool fits = packs_fit(
      p.size * static_cast<int64_t>(sizeof(T)),
      {p.linear, p.judged.data, p.total.data, p.bias.data, p.magnitude.data, p.ties.data, p.out});
  PYXAI_VISIT_PACK(T, fits, {
    const auto kernel = p.judged.data == nullptr ? share_bias_kernel<T, kPack, true>
                                                 : share_bias_kernel<T, kPack, false>;
    PYXAI_LAUNCH(kernel, grid_for(p.rows * p.size / kPack), kBlock, 0, stream, p);
  });
}

}  // namespace

void share_bias(const ShareBiasParams& p, void* stream) {
  if (p.dtype == DType::f64)
    launch<double>(p, stream);
  else
    launch<float>(p, stream);
}

}  // namespace pyxai::PYXAI_BACKEND_NS
