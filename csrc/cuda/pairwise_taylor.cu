#include "../launch.h"
#include "../pairwise_taylor.h"
#include "../pairwise_taylor_element.h"
#include "pack.h"
#include "segment_sum.h"

namespace pyxai::PYXAI_BACKEND_NS {
namespace {

constexpr int kTileElements = static_cast<int>(kPairTile * kPairTile);
constexpr int kPadded = static_cast<int>(kPairTile) + 1;  // columns of a tile hit different banks

// One block makes one tile of the upper triangle and its mirror image.
template <typename T>
PYXAI_KERNEL pairwise_taylor_values_kernel(PairwiseTaylorValuesParams p) {
  PYXAI_DYNAMIC_SHARED(double, tile);
  const int64_t n = p.n_players, side = (n + kPairTile - 1) / kPairTile;
  const int64_t tiles = side * (side + 1) / 2;
  for (int64_t index = blockIdx.x; index < p.batch * tiles; index += gridDim.x) {
    const int64_t b = index / tiles;
    int64_t row, column;
    pair_tile(index % tiles, side, &row, &column);
    const T* single = static_cast<const T*>(p.single) + b * n;
    const T* pairs = static_cast<const T*>(p.pairs) + b * (n * (n - 1) / 2);
    const double none = load(static_cast<const T*>(p.empty)[b]);
    double* out = p.out + b * n * n;
    for (int e = static_cast<int>(threadIdx.x); e < kTileElements; e += kBlock) {
      const int r = e / kPairTile, c = e % kPairTile;
      const int64_t i = row * kPairTile + r, j = column * kPairTile + c;
      if (i > j || j >= n) continue;
      const double own = load(single[i]);
      const double effect =
          i == j ? single_effect(own, none, p.from_input)
                 : pair_effect(load(pairs[pair_row(i, n) + j]), own, load(single[j]), none);
      out[i * n + j] = effect;
      tile[r * kPadded + c] = effect;
    }
    __syncthreads();
    for (int e = static_cast<int>(threadIdx.x); e < kTileElements; e += kBlock) {
      const int r = e % kPairTile, c = e / kPairTile;
      const int64_t i = row * kPairTile + r, j = column * kPairTile + c;
      if (i < j && j < n) out[j * n + i] = tile[r * kPadded + c];
    }
    __syncthreads();
  }
}

// Feature f's part of the effects of `player`: the sum over the rows that are its.
template <typename T>
static __device__ double hessian_column(const PairwiseTaylorHessianParams& p, int64_t b,
                                        int64_t player, int64_t f) {
  const T* column = static_cast<const T*>(p.hessian) + b * p.n_rows * p.features + f;
  double sum = 0;
  if (p.products) {
    const int64_t r = player - p.row_start;
    if (r >= 0 && r < p.n_rows) sum = row_factor<T>(p, b, r) * load(column[r * p.features]);
  } else {
    const int32_t* order = p.segments.order + b * p.segments.order_stride;
    const int32_t* offsets = p.segments.offsets + b * p.segments.offsets_stride;
    for (int64_t k = offsets[player]; k < offsets[player + 1]; ++k) {
      const int64_t r = order[k] - p.row_start;
      if (r >= 0 && r < p.n_rows) sum += row_factor<T>(p, b, r) * load(column[r * p.features]);
    }
  }
  return sum * load(static_cast<const T*>(p.delta)[b * p.features + f]);
}

// One team adds up one pair of players.
template <typename T, int kTeam>
PYXAI_KERNEL pairwise_taylor_hessian_kernel(PairwiseTaylorHessianParams p) {
  PYXAI_DYNAMIC_SHARED(SegmentShared, shared);
  constexpr int64_t kTeams = kBlock / kTeam;
  const int64_t count = p.batch * p.n_players * p.n_players, step = gridDim.x * kTeams;
  for (int64_t first = blockIdx.x * kTeams; first < count; first += step) {
    const int64_t index = first + threadIdx.x / kTeam;
    const double sum = segment_sum<kTeam>(p.segments, first, count, shared, [&](int64_t item) {
      const int64_t row = divide(item, p.n_players), b = divide(row, p.n_players);
      const int64_t i = item - row * p.n_players, player = row - b * p.n_players;
      return Segment{b, i,
                     [&p, b, player](int64_t f) { return hessian_column<T>(p, b, player, f); }};
    });
    if (index < count && threadIdx.x % kTeam == 0)
      p.out[index] = p.accumulate ? p.out[index] + sum : sum;
  }
}

// Rows that change: those given, or all where the others become 0.
PYXAI_HD int64_t changed_rows(const PairwiseTaylorHessianParams& p) {
  return p.accumulate ? p.n_rows : p.n_players;
}

// Every feature is its own player: one block scales one row.
template <typename T>
PYXAI_KERNEL pairwise_taylor_scale_kernel(PairwiseTaylorHessianParams p) {
  constexpr int kAtOnce = 4;  // reads under way before the first is used
  const int64_t n_rows = changed_rows(p);
  for (int64_t row = blockIdx.x; row < p.batch * n_rows; row += gridDim.x) {
    const int64_t b = row / n_rows, player = row % n_rows + (p.accumulate ? p.row_start : 0);
    const int64_t r = player - p.row_start;
    const bool given = r >= 0 && r < p.n_rows;
    const double factor = given ? row_factor<T>(p, b, r) : 0.0;
    const T* entries = static_cast<const T*>(p.hessian) + (b * p.n_rows + r) * p.features;
    const T* delta = static_cast<const T*>(p.delta) + b * p.features;
    double* out = p.out + (b * p.n_players + player) * p.n_players;
    for (int64_t first = threadIdx.x; first < p.features; first += kAtOnce * kBlock) {
      double terms[kAtOnce];
      for (int i = 0; i < kAtOnce; ++i) {
        const int64_t f = first + i * kBlock;
        const bool inside = f < p.features;
        const double entry = given && inside ? factor * load(entries[f]) : 0.0;
        terms[i] = inside ? entry * load(delta[f]) : 0.0;
      }
      for (int i = 0; i < kAtOnce; ++i) {
        const int64_t f = first + i * kBlock;
        if (f < p.features) out[f] = p.accumulate ? out[f] + terms[i] : terms[i];
      }
    }
  }
}

}  // namespace

void pairwise_taylor_values(const PairwiseTaylorValuesParams& p, void* stream) {
  const int64_t side = (p.n_players + kPairTile - 1) / kPairTile;
  const unsigned grid = grid_for(p.batch * (side * (side + 1) / 2), 1);
  PYXAI_VISIT_DTYPE(p.dtype, PYXAI_LAUNCH(pairwise_taylor_values_kernel<scalar_t>, grid, kBlock,
                                          kPairTile * kPadded * sizeof(double), stream, p));
}

void pairwise_taylor_hessian(const PairwiseTaylorHessianParams& p, void* stream) {
  const int64_t count = p.batch * p.n_players * p.n_players;
  if (p.accumulate && p.n_rows == 0) return;
  PYXAI_VISIT_DTYPE(p.dtype, {
    if (p.players.data == nullptr)
      PYXAI_LAUNCH(pairwise_taylor_scale_kernel<scalar_t>, grid_for(p.batch * changed_rows(p), 1),
                   kBlock, 0, stream, p);
    else
      PYXAI_VISIT_TEAM(
          segment_team(p.features, p.n_players),
          PYXAI_LAUNCH((pairwise_taylor_hessian_kernel<scalar_t, kTeam>),
                       grid_for(count, kBlock / kTeam), kBlock, sizeof(SegmentShared), stream, p));
  });
}

}  // namespace pyxai::PYXAI_BACKEND_NS
