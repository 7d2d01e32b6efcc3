#include "../greedy_select.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "../greedy_select_element.h"
#include "parallel.h"

namespace pyxai::cpu {
namespace {

using Candidate = std::pair<uint64_t, int64_t>;  // key, player

void select_example(const GreedySelectParams& p, int64_t b, std::vector<Candidate>& candidates) {
  const double* sums = p.sums + b * p.n_players;
  int32_t* selected = p.selected + b * p.n_words;
  candidates.clear();
  for (int64_t i = 0; i < p.n_players; ++i)
    if (!mask_has(selected, i)) candidates.emplace_back(select_key(sums[i], p.absolute), i);
  const auto before = [](const Candidate& x, const Candidate& y) {
    return select_before(x.first, x.second, y.first, y.second);
  };
  const int64_t count = std::min<int64_t>(p.n_select, candidates.size());
  std::partial_sort(candidates.begin(), candidates.begin() + count, candidates.end(), before);
  for (int64_t k = 0; k < p.n_select; ++k) {
    const int64_t player = k < count ? candidates[k].second : -1;
    p.indices[b * p.n_select + k] = player;
    p.scores[b * p.n_select + k] =
        player >= 0 ? sums[player] : -std::numeric_limits<double>::infinity();
    if (player >= 0) {
      int32_t& word = selected[mask_word(player)];
      word = static_cast<int32_t>(static_cast<uint32_t>(word) | mask_bit(player));
    }
  }
}

}  // namespace

void greedy_select(const GreedySelectParams& p, void*) {
  parallel_items(p.batch, p.n_players, [&](int64_t first, int64_t last) {
    std::vector<Candidate> candidates;
    for (int64_t b = first; b < last; ++b) select_example(p, b, candidates);
  });
}

}  // namespace pyxai::cpu
