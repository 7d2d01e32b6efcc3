#include "../player_sum.h"

#include <vector>

#include "../player_sum_element.h"
#include "parallel.h"

namespace pyxai::cpu {
namespace {

template <typename T>
void sum_example(const PlayerSumParams& p, int64_t b, std::vector<double>& sums) {
  const T* values = static_cast<const T*>(p.values) + b * p.features;
  sums.assign(p.n_players, 0.0);
  for (int64_t f = 0; f < p.features; ++f) {
    const int64_t player = player_of(p.players, b, f);
    if (player >= 0 && player < p.n_players)
      sums[player] = player_sum_element(sums[player], values[f]);
  }
  using acc_t = accumulate_t<T>;
  acc_t* out = static_cast<acc_t*>(p.out) + b * p.n_players;
  for (int64_t i = 0; i < p.n_players; ++i)
    out[i] = static_cast<acc_t>(static_cast<double>(out[i]) + sums[i]);
}

}  // namespace

void player_sum(const PlayerSumParams& p, void*) {
  parallel_items(p.batch, p.features, [&](int64_t first, int64_t last) {
    std::vector<double> sums;
    for (int64_t b = first; b < last; ++b)
      PYXAI_VISIT_DTYPE(p.dtype, sum_example<scalar_t>(p, b, sums));
  });
}

}  // namespace pyxai::cpu
