#include "../launch.h"
#include "../player_sum.h"
#include "../player_sum_element.h"
#include "pack.h"
#include "segment_sum.h"

namespace pyxai::PYXAI_BACKEND_NS {
namespace {

template <typename T, int kTeam>
PYXAI_KERNEL player_sum_kernel(PlayerSumParams p) {
  using acc_t = accumulate_t<T>;
  PYXAI_DYNAMIC_SHARED(SegmentShared, shared);
  constexpr int64_t kTeams = kBlock / kTeam;
  const int64_t count = p.batch * p.n_players, step = gridDim.x * kTeams;
  for (int64_t first = blockIdx.x * kTeams; first < count; first += step) {
    const int64_t index = first + threadIdx.x / kTeam;
    const double sum = segment_sum<kTeam>(p.segments, first, count, shared, [&](int64_t item) {
      const int64_t b = divide(item, p.n_players), i = item - b * p.n_players;
      const T* values = static_cast<const T*>(p.values) + b * p.features;
      return Segment{b, i, [values](int64_t f) { return player_sum_element(0.0, values[f]); }};
    });
    if (index < count && threadIdx.x % kTeam == 0) {
      acc_t* out = static_cast<acc_t*>(p.out) + index;
      *out = static_cast<acc_t>(static_cast<double>(*out) + sum);
    }
  }
}

}  // namespace

void player_sum(const PlayerSumParams& p, void* stream) {
  const int64_t count = p.batch * p.n_players;
  const int team = p.segments.order == nullptr ? 1 : segment_team(p.features, p.n_players);
  PYXAI_VISIT_DTYPE(p.dtype,
                    PYXAI_VISIT_TEAM(team, PYXAI_LAUNCH((player_sum_kernel<scalar_t, kTeam>),
                                                        grid_for(count, kBlock / kTeam), kBlock,
                                                        sizeof(SegmentShared), stream, p)));
}

}  // namespace pyxai::PYXAI_BACKEND_NS
