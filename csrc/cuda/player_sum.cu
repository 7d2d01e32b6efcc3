#include "../launch.h"
#include "../player_sum.h"
#include "../player_sum_element.h"
#include "segment_sum.h"

namespace pyxai::PYXAI_BACKEND_NS {
namespace {

template <typename T, int kTeam>
PYXAI_KERNEL player_sum_kernel(PlayerSumParams p) {
  using acc_t = accumulate_t<T>;
  PYXAI_DYNAMIC_SHARED(double, shared);
  constexpr int64_t kTeams = kBlock / kTeam;
  const int64_t count = p.batch * p.n_players, step = gridDim.x * kTeams;
  for (int64_t first = blockIdx.x * kTeams; first < count; first += step) {
    const int64_t index = first + threadIdx.x / kTeam;
    const int64_t b = index / p.n_players, i = index - b * p.n_players;
    const T* values = static_cast<const T*>(p.values) + b * p.features;
    const double sum = segment_sum<kTeam>(p.segments, b, i, index < count, shared, [&](int64_t f) {
      return player_sum_element(0.0, values[f]);
    });
    if (index < count && threadIdx.x % kTeam == 0) {
      acc_t* out = static_cast<acc_t*>(p.out) + index;
      *out = static_cast<acc_t>(static_cast<double>(*out) + sum);
    }
  }
}

template <typename T>
PYXAI_KERNEL player_copy_kernel(PlayerSumParams p) {
  const int64_t count = p.batch * p.features;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += static_cast<int64_t>(gridDim.x) * blockDim.x)
    static_cast<accumulate_t<T>*>(p.out)[i] += load(static_cast<const T*>(p.values)[i]);
}

}  // namespace

void player_sum(const PlayerSumParams& p, void* stream) {
  const int64_t count = p.batch * p.n_players;
  const size_t shared = kBlock * sizeof(double);
  PYXAI_VISIT_DTYPE(p.dtype, {
    if (p.players.data == nullptr)
      PYXAI_LAUNCH(player_copy_kernel<scalar_t>, grid_for(count), kBlock, 0, stream, p);
    else
      PYXAI_VISIT_TEAM(segment_team(p.features, p.n_players),
                       PYXAI_LAUNCH((player_sum_kernel<scalar_t, kTeam>),
                                    grid_for(count, kBlock / kTeam), kBlock, shared, stream, p));
  });
}

}  // namespace pyxai::PYXAI_BACKEND_NS
