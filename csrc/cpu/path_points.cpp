#include "../path_points.h"

#include <algorithm>

#include "../path_points_element.h"
#include "parallel.h"
#include "spans.h"
#include "stream.h"
#include "vector_clones.h"

namespace pyxai::cpu {
namespace {

#define PYXAI_POINTS(T)                                                                           \
  PYXAI_VECTOR_CLONES void points(T* __restrict out, const T* __restrict inputs,                  \
                                  const T* __restrict starts, accumulate_t<T> node,               \
                                  int64_t count) {                                                \
    for (int64_t f = 0; f < count; ++f) path_points_element(out + f, inputs[f], starts[f], node); \
  }
PYXAI_POINTS(float)
PYXAI_POINTS(double)
PYXAI_POINTS(BFloat16)
PYXAI_POINTS(Float16)
#undef PYXAI_POINTS

// Positions of `count` features of path b, from feature f on; i is where they stand in a node's
// run.
template <typename T>
void write_run(const PathPointsParams& p, int64_t s, int64_t b, int64_t i, const T* inputs,
               const T* starts, int64_t count, T* staging) {
  T* out = static_cast<T*>(p.out) + s * p.batch * p.features + i;
  points(staging != nullptr ? staging : out, inputs, starts,
         static_cast<accumulate_t<T>>(path_node(p, s, b)), count);
  if (staging != nullptr) stream_copy(out, staging, count * static_cast<int64_t>(sizeof(T)));
}

template <typename T>
void write_tile(const PathPointsParams& p, int64_t begin, int64_t end, bool stream) {
  constexpr int64_t kTile = kTileBytes / sizeof(T);
  alignas(64) T starts[kTile];
  alignas(64) T memory[kTile];
  T* staging = stream ? memory : nullptr;
  const auto each_span = [&](const auto& visit) { for_each_span(begin, end, p.features, visit); };
  if (p.rows.data != nullptr) {  // every feature moves, from where it stands in the table
    const T* table = static_cast<const T*>(p.baselines.data);
    for (int64_t s = 0; s < p.n_nodes; ++s)
      each_span([&](int64_t b, int64_t f, int64_t i, int64_t count) {
        write_run(p, s, b, i, path_end<T>(p, b) + f, table + row_of(p.rows, b) * p.features + f,
                  count, staging);
      });
    return;
  }
  const T* inputs = static_cast<const T*>(p.inputs);
  each_span([&](int64_t b, int64_t f, int64_t i, int64_t count) {
    for (int64_t j = 0; j < count; ++j)
      starts[i - begin + j] = path_start(p, b, f + j, inputs[i + j]);
  });
  for (int64_t s = 0; s < p.n_nodes; ++s)
    write_run(p, s, 0, begin, inputs + begin, starts, end - begin, staging);
}

template <typename T>
void write_all(const PathPointsParams& p) {
  constexpr int64_t kTile = kTileBytes / sizeof(T);
  const int64_t total = p.batch * p.features;
  const bool stream = p.n_nodes * total * static_cast<int64_t>(sizeof(T)) >= kStreamBytes;
  parallel_items((total + kTile - 1) / kTile, kTile * p.n_nodes, [&](int64_t first, int64_t last) {
    for (int64_t tile = first; tile < last; ++tile)
      write_tile<T>(p, tile * kTile, std::min((tile + 1) * kTile, total), stream);
    stream_fence();
  });
}

}  // namespace

void path_points(const PathPointsParams& p, void*) {
  PYXAI_VISIT_DTYPE(p.dtype, write_all<scalar_t>(p));
}

}  // namespace pyxai::cpu
