#include "../launch.h"
#include "../soft_perturb.h"
#include "../soft_perturb_element.h"
#include "mask_rows.h"
#include "pack.h"
#include "segment_sum.h"

namespace pyxai::PYXAI_BACKEND_NS {
namespace {

// The features of one thread and whose weights decide over them, -1 for nobody's.
template <typename T, int N>
struct Column {
  Pack<T, N> inputs, baselines;
  int32_t players[N];
  bool one_player;
};

template <typename T, int N>
static inline __device__ Column<T, N> load_column(const SoftPerturbParams& p,
                                                  const MaskRows& rows) {
  Column<T, N> column;
  column.inputs = load_pack<T, N>(p.inputs, rows.b * p.features + rows.f);
  column.one_player = true;
  for (int j = 0; j < N; ++j) {
    column.baselines.at[j] = baseline_at<T>(p.baselines, rows.b, rows.d * p.features + rows.f + j);
    const int32_t player = player_of(p.players, rows.b, rows.f + j);
    column.players[j] = soft_moves(p, player) ? player : -1;
    column.one_player = column.one_player && column.players[j] == column.players[0];
  }
  return column;
}

template <bool kOnePlayer, typename T, int N>
static inline __device__ void write_rows(const SoftPerturbParams& p, const MaskRows& rows,
                                         const Column<T, N>& column) {
  using acc_t = accumulate_t<T>;
  const T* weights = soft_weights<T>(p, rows.b, rows.begin);
  int64_t place = perturbed_row(p, rows.b, rows.begin, rows.d) + rows.f;
#pragma unroll 4
  for (int64_t m = rows.begin; m < rows.end; ++m) {
    const auto weight_of = [&](int32_t player) {
      return player < 0 ? acc_t(1) : load(weights[player]);
    };
    const acc_t first = weight_of(column.players[0]);
    Pack<T, N> out;
    for (int j = 0; j < N; ++j)
      soft_perturb_element(out.at + j, column.inputs.at[j], column.baselines.at[j],
                           kOnePlayer || j == 0 ? first : weight_of(column.players[j]));
    store_pack(p.out, place, out);
    weights += p.n_players;
    place += p.n_draws * p.features;
  }
}

template <typename T, int N>
PYXAI_KERNEL soft_perturb_kernel(SoftPerturbParams p, MaskRowPlan plan) {
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < plan.count;
       i += static_cast<int64_t>(gridDim.x) * blockDim.x) {
    const MaskRows rows = mask_rows<N>(p, plan, i);
    const Column<T, N> column = load_column<T, N>(p, rows);
    if (column.one_player)
      write_rows<true>(p, rows, column);
    else
      write_rows<false>(p, rows, column);
  }
}

template <typename T, int kTeam>
PYXAI_KERNEL soft_weight_grads_kernel(SoftPerturbParams p) {
  PYXAI_DYNAMIC_SHARED(SegmentShared, shared);
  constexpr int64_t kTeams = kBlock / kTeam;
  const int64_t count = p.batch * p.n_masks * p.n_players, step = gridDim.x * kTeams;
  for (int64_t first = blockIdx.x * kTeams; first < count; first += step) {
    const int64_t index = first + threadIdx.x / kTeam;
    const double sum = segment_sum<kTeam>(p.segments, first, count, shared, [&](int64_t item) {
      const int64_t row = divide(item, p.n_players), i = item - row * p.n_players;
      const int64_t b = divide(row, p.n_masks), m = row - b * p.n_masks;
      return Segment{b, i, [&p, b, m](int64_t f) { return soft_weight_grad<T>(p, b, m, f); }};
    });
    if (index < count && threadIdx.x % kTeam == 0)
      static_cast<accumulate_t<T>*>(p.grad_weights)[index] = static_cast<accumulate_t<T>>(sum);
  }
}

template <typename T>
PYXAI_KERNEL soft_value_grads_kernel(SoftPerturbParams p) {
  const int64_t count = p.batch * p.features;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += static_cast<int64_t>(gridDim.x) * blockDim.x) {
    const int64_t b = divide(i, p.features);
    soft_value_grads<T>(p, b, i - b * p.features);
  }
}

}  // namespace

void soft_perturb(const SoftPerturbParams& p, void* stream) {
  PYXAI_VISIT_DTYPE(p.dtype, {
    const bool fits =
        packs_fit(p.features * static_cast<int64_t>(sizeof(scalar_t)), {p.inputs, p.out});
    PYXAI_VISIT_PACK(scalar_t, fits, {
      const MaskRowPlan plan = plan_mask_rows<kPack>(p);
      PYXAI_LAUNCH((soft_perturb_kernel<scalar_t, kPack>), grid_for(plan.count), kBlock, 0, stream,
                   p, plan);
    });
  });
}

void soft_perturb_backward(const SoftPerturbParams& p, void* stream) {
  const int64_t sums = p.batch * p.n_masks * p.n_players;
  const int team = p.segments.order == nullptr ? 1 : segment_team(p.features, p.n_players);
  PYXAI_VISIT_DTYPE(p.dtype, {
    if (p.grad_weights != nullptr && sums > 0)
      PYXAI_VISIT_TEAM(team, PYXAI_LAUNCH((soft_weight_grads_kernel<scalar_t, kTeam>),
                                          grid_for(sums, kBlock / kTeam), kBlock,
                                          sizeof(SegmentShared), stream, p));
    if (p.grad_inputs != nullptr || p.grad_baselines != nullptr)
      PYXAI_LAUNCH(soft_value_grads_kernel<scalar_t>, grid_for(p.batch * p.features), kBlock, 0,
                   stream, p);
  });
}

}  // namespace pyxai::PYXAI_BACKEND_NS
