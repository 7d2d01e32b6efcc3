#include "../launch.h"
#include "../share_bias.h"
#include "../share_bias_element.h"
#include "pack.h"

namespace pyxai::PYXAI_BACKEND_NS {
namespace {

template <bool kWhole, typename T>
PYXAI_KERNEL share_bias_kernel(ShareBiasParams p) {
  const int64_t count = p.rows * p.size;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += static_cast<int64_t>(gridDim.x) * blockDim.x) {
    const int64_t row = divide(i, p.size), column = i - row * p.size;
    const T linear = static_cast<const T*>(p.linear)[i];
    const T judged = kWhole ? linear : *shared_at<T>(p.judged, row, column);
    const T limit = *shared_at<T>(p.magnitude, row, column) * *shared_at<T>(p.rounding, row, 0);
    const SharedBias<T> found = share_bias_element<kWhole>(
        linear, judged, *shared_at<T>(p.total, row, column), *shared_at<T>(p.bias, row, column),
        limit, *shared_at<T>(p.ties, row, column));
    static_cast<T*>(p.out)[i] = found.value;
    if (found.tied) *p.tied = true;  // all threads write the same
  }
}

template <typename T>
void launch(const ShareBiasParams& p, void* stream) {
  const auto kernel =
      p.judged.data == nullptr ? share_bias_kernel<true, T> : share_bias_kernel<false, T>;
  PYXAI_LAUNCH(kernel, grid_for(p.rows * p.size), kBlock, 0, stream, p);
}

}  // namespace

void share_bias(const ShareBiasParams& p, void* stream) {
  if (p.dtype == DType::f64)
    launch<double>(p, stream);
  else
    launch<float>(p, stream);
}

}  // namespace pyxai::PYXAI_BACKEND_NS
