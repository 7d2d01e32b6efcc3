// Running sums of a tile of columns stay in the first-level cache while the players of an order
// come in; each part is read once and each row written once.
#include "../ordered_affine.h"

#include <algorithm>

#include "../ordered_affine_element.h"
#include "parallel.h"
#include "stream.h"
#include "vector_clones.h"

namespace pyxai::cpu {
namespace {

// Columns of a tile. Long runs of a part are what the processor fetches ahead; sums of the widest
// take half of the first-level cache.
constexpr int64_t kWidest = 2048, kNarrowest = 64;

// Columns column .. column + count - 1 of all rows of one order of one example.
struct Job {
  const OrderedAffineParams& p;
  int64_t b, o, column, count;
  bool stream;
};

template <typename T>
PYXAI_INLINE void add_players(const Job& job) {
  const OrderedAffineParams& p = job.p;
  const int64_t count = job.count;
  const bool relu = p.relu;
  alignas(64) double sums[kWidest];
  alignas(64) T staging[kWidest];
  const T* start = affine_start<T>(p, job.b) + job.column;
  for (int64_t j = 0; j < count; ++j) sums[j] = static_cast<double>(start[j]);
  T* out = affine_out<T>(p, job.b, job.o * p.n_steps) + job.column;
  for (int64_t k = 0; k < p.n_steps; ++k, out += p.size) {
    T* __restrict to = job.stream ? staging : out;
    const T* part = affine_parts<T>(p, job.b, ordered_player(p, job.o, k)) + job.column;
    for (int64_t j = 0; j < count; ++j) {
      sums[j] = ordered_add(sums[j], part[j]);
      to[j] = ordered_value<T>(sums[j], relu);
    }
    if (job.stream) stream_copy(out, staging, count * static_cast<int64_t>(sizeof(T)));
  }
}

PYXAI_VECTOR_CLONES void add_columns(const Job& job, float) { add_players<float>(job); }
PYXAI_VECTOR_CLONES void add_columns(const Job& job, double) { add_players<double>(job); }

// As many columns as fit, or fewer where threads would have nothing to do.
int64_t tile_of(const OrderedAffineParams& p) {
  const int64_t lines = p.batch * p.n_orders;
  const int64_t pieces = (at::get_num_threads() + lines - 1) / lines;
  const int64_t share = (p.size + pieces - 1) / pieces;
  return std::clamp((share + kNarrowest - 1) / kNarrowest * kNarrowest, kNarrowest, kWidest);
}

template <typename T>
void sum_orders(const OrderedAffineParams& p) {
  const int64_t rows = p.batch * p.n_orders * p.n_steps;
  const bool stream = rows * p.size * static_cast<int64_t>(sizeof(T)) >= kStreamBytes;
  const int64_t tile = tile_of(p), tiles = (p.size + tile - 1) / tile;
  const int64_t work = p.n_steps * std::min(p.size, tile);
  parallel_items(p.batch * p.n_orders * tiles, work, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const int64_t line = i / tiles, column = (i % tiles) * tile;
      const int64_t b = line / p.n_orders, o = line - b * p.n_orders;
      add_columns(Job{p, b, o, column, std::min(tile, p.size - column), stream}, T());
    }
    stream_fence();
  });
}

}  // namespace

void ordered_affine(const OrderedAffineParams& p, void*) {
  if (p.dtype == DType::f64)
    sum_orders<double>(p);
  else
    sum_orders<float>(p);
}

}  // namespace pyxai::cpu
