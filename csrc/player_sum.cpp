#include "player_sum.h"

#include "arguments.h"
#include "dispatch.h"
#include "ops.h"

namespace pyxai {

void player_sum(const at::Tensor& values, const std::optional<at::Tensor>& players,
                const std::optional<Segments>& segments, int64_t n_players, at::Tensor& out,
                const std::string& backend) {
  check_batch(values, "values");
  PlayerSumParams p{};
  p.dtype = dtype_of(values);
  p.values = values.const_data_ptr();
  p.players = player_view(players, values);
  p.segments = segment_view(segments, n_players, values);
  p.batch = values.size(0);
  p.features = values.size(1);
  p.n_players = n_players;
  TORCH_CHECK_VALUE(players || n_players == p.features, "n_players must be ", p.features,
                    " without players, got ", n_players);
  p.out = output_pointer(out, accumulate_type(values), {p.batch, p.n_players}, values);
  if (out.numel() == 0 || values.numel() == 0) return;
  const Backend where = resolve_backend(values, backend);
  TORCH_CHECK_VALUE(where == Backend::cpu || !players || segments,
                    "segments must be given with players, got None");
  PYXAI_DISPATCH(player_sum, values, backend, p);
}

}  // namespace pyxai
