#include "../pairwise_taylor.h"

#include <algorithm>
#include <vector>

#include "../pairwise_taylor_element.h"
#include "parallel.h"
#include "vector_clones.h"

namespace pyxai::cpu {
namespace {

#define PYXAI_PAIRWISE(T)                                                                      \
  /* out[j] = pair effects of one player with the players whose values begin at `single`. */   \
  PYXAI_VECTOR_CLONES void pair_effects(double* __restrict out, const T* __restrict pairs,     \
                                        const T* __restrict single, double first, double none, \
                                        int64_t count) {                                       \
    for (int64_t j = 0; j < count; ++j)                                                        \
      out[j] = pair_effect(load(pairs[j]), first, load(single[j]), none);                      \
  }                                                                                            \
  PYXAI_VECTOR_CLONES void add_row(double* __restrict sums, const T* __restrict row,           \
                                   double factor, int64_t count) {                             \
    for (int64_t f = 0; f < count; ++f) sums[f] += factor * static_cast<double>(load(row[f])); \
  }                                                                                            \
  PYXAI_VECTOR_CLONES void multiply(double* __restrict sums, const T* __restrict delta,        \
                                    int64_t count) {                                           \
    for (int64_t f = 0; f < count; ++f) sums[f] *= static_cast<double>(load(delta[f]));        \
  }
PYXAI_PAIRWISE(float)
PYXAI_PAIRWISE(double)
PYXAI_PAIRWISE(BFloat16)
PYXAI_PAIRWISE(Float16)
#undef PYXAI_PAIRWISE

template <typename T>
void fill_tile(const PairwiseTaylorValuesParams& p, int64_t b, int64_t row, int64_t column) {
  const int64_t n = p.n_players, last = std::min(n, (column + 1) * kPairTile);
  const T* single = static_cast<const T*>(p.single) + b * n;
  const T* pairs = static_cast<const T*>(p.pairs) + b * (n * (n - 1) / 2);
  const double none = load(static_cast<const T*>(p.empty)[b]);
  double* out = p.out + b * n * n;
  for (int64_t i = row * kPairTile; i < std::min(n, (row + 1) * kPairTile); ++i) {
    const int64_t first = std::max(i + 1, column * kPairTile);
    const double own = load(single[i]);
    pair_effects(out + i * n + first, pairs + (pair_row(i, n) + first), single + first, own, none,
                 last - first);
    if (row == column) out[i * n + i] = single_effect(own, none, p.from_input);
  }
  for (int64_t j = column * kPairTile; j < last; ++j)
    for (int64_t i = row * kPairTile; i < std::min(j, (row + 1) * kPairTile); ++i)
      out[j * n + i] = out[i * n + j];
}

// The effects of player `player` of example b with all players, from the rows that are its.
template <typename T>
void add_player(const PairwiseTaylorHessianParams& p, int64_t b, int64_t player,
                std::vector<double>& sums) {
  const T* rows = static_cast<const T*>(p.hessian) + b * p.n_rows * p.features;
  double* out = p.out + (b * p.n_players + player) * p.n_players;
  if (!p.accumulate) std::fill_n(out, p.n_players, 0.0);
  sums.assign(p.features, 0.0);
  bool any = false;
  for (int64_t r = 0; r < p.n_rows; ++r) {
    if (!row_is_of(p, b, r, player)) continue;
    add_row(sums.data(), rows + r * p.features, row_factor<T>(p, b, r), p.features);
    any = true;
  }
  if (!any) return;
  multiply(sums.data(), static_cast<const T*>(p.delta) + b * p.features, p.features);
  for (int64_t f = 0; f < p.features; ++f) {
    const int64_t other = player_of(p.players, b, f);
    if (other >= 0 && other < p.n_players) out[other] += sums[f];
  }
}

}  // namespace

void pairwise_taylor_values(const PairwiseTaylorValuesParams& p, void*) {
  const int64_t side = (p.n_players + kPairTile - 1) / kPairTile, tiles = side * (side + 1) / 2;
  parallel_items(p.batch * tiles, kPairTile * kPairTile, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      int64_t row, column;
      pair_tile(i % tiles, side, &row, &column);
      PYXAI_VISIT_DTYPE(p.dtype, fill_tile<scalar_t>(p, i / tiles, row, column));
    }
  });
}

void pairwise_taylor_hessian(const PairwiseTaylorHessianParams& p, void*) {
  const int64_t row_work = p.n_rows * p.features / std::max<int64_t>(p.n_players, 1);
  parallel_items(p.batch * p.n_players, row_work, [&](int64_t first, int64_t last) {
    std::vector<double> sums;
    for (int64_t i = first; i < last; ++i)
      PYXAI_VISIT_DTYPE(p.dtype, add_player<scalar_t>(p, i / p.n_players, i % p.n_players, sums));
  });
}

}  // namespace pyxai::cpu
