#include "../share_bias.h"

#include <algorithm>
#include <atomic>

#include "../share_bias_element.h"
#include "parallel.h"
#include "vector_clones.h"

namespace pyxai::cpu {
namespace {

// Neighbouring elements of one row.
template <typename T>
struct Tile {
  const T *linear, *judged, *total, *bias, *magnitude, *ties;
  T rounding;
  T* out;
  int64_t count;
};

template <bool kWhole, typename T>
PYXAI_INLINE bool share_elements(const Tile<T>& tile) {
  const T *linear = tile.linear, *judged = tile.judged, *total = tile.total, *bias = tile.bias;
  const T *magnitude = tile.magnitude, *ties = tile.ties, rounding = tile.rounding;
  T* __restrict out = tile.out;
  T any = 0;  // of the elements' own width, for the vectoriser
  for (int64_t j = 0; j < tile.count; ++j) {
    const SharedBias<T> found =
        share_bias_element<kWhole>(linear[j], kWhole ? linear[j] : judged[j], total[j], bias[j],
                                   magnitude[j] * rounding, ties[j]);
    out[j] = found.value;
    any = found.tied ? T(1) : any;
  }
  return any != 0;
}

#define PYXAI_SHARE(T)                                                                        \
  PYXAI_VECTOR_CLONES bool share_tile(const Tile<T>& tile) {                                  \
    return tile.judged == nullptr ? share_elements<true>(tile) : share_elements<false>(tile); \
  }
PYXAI_SHARE(float)
PYXAI_SHARE(double)
#undef PYXAI_SHARE

template <typename T>
void share_rows(const ShareBiasParams& p) {
  constexpr int64_t kCount = kTileBytes / sizeof(T);
  const int64_t tiles = (p.size + kCount - 1) / kCount;
  parallel_items(p.rows * tiles, std::min(kCount, p.size), [&](int64_t first, int64_t last) {
    bool any = false;
    for (int64_t i = first; i < last; ++i) {
      const int64_t row = i / tiles, begin = (i - row * tiles) * kCount;
      const int64_t place = row * p.size + begin;
      Tile<T> tile{};
      tile.linear = static_cast<const T*>(p.linear) + place;
      if (p.judged.data != nullptr) tile.judged = shared_at<T>(p.judged, row, begin);
      tile.total = shared_at<T>(p.total, row, begin);
      tile.bias = shared_at<T>(p.bias, row, begin);
      tile.magnitude = shared_at<T>(p.magnitude, row, begin);
      tile.ties = shared_at<T>(p.ties, row, begin);
      tile.rounding = *shared_at<T>(p.rounding, row, 0);
      tile.out = static_cast<T*>(p.out) + place;
      tile.count = std::min(kCount, p.size - begin);
      any = share_tile(tile) || any;
    }
    if (any) std::atomic_ref<bool>(*p.tied).store(true, std::memory_order_relaxed);
  });
}

}  // namespace

void share_bias(const ShareBiasParams& p, void*) {
  if (p.dtype == DType::f64)
    share_rows<double>(p);
  else
    share_rows<float>(p);
}

}  // namespace pyxai::cpu
