// A row costs little more than its write: the masks of 32 rows are turned over once, so that one
// look-up per feature answers for all 32 and what is left per row is a select without look-ups.
#include "../masked_perturb.h"

#include <algorithm>
#include <vector>

#include "../masked_perturb_element.h"
#include "parallel.h"
#include "stream.h"
#include "vector_clones.h"

namespace pyxai::cpu {
namespace {

constexpr int64_t kGroup = 32;  // rows whose masks are turned over together

#define PYXAI_SELECT(Bits)                                                                \
  PYXAI_VECTOR_CLONES void select_bit(Bits* __restrict out, const Bits* __restrict keeps, \
                                      Bits bit, const Bits* __restrict inputs,            \
                                      const Bits* __restrict baselines, int64_t count) {  \
    for (int64_t f = 0; f < count; ++f)                                                   \
      out[f] = masked_perturb_element<Bits>(keeps[f] & bit, inputs[f], baselines[f]);     \
  }
PYXAI_SELECT(uint16_t)
PYXAI_SELECT(uint32_t)
PYXAI_SELECT(uint64_t)
#undef PYXAI_SELECT

constexpr int64_t kWide = 8;  // words of a row that are turned over at once

// In each of the kColumns columns of words, bit i of word j becomes bit j of word i (Warren,
// Hacker's Delight, section 7-3).
template <int64_t kColumns>
PYXAI_HD void transpose_bits(uint32_t (*words)[kColumns]) {
  uint32_t low = 0x0000ffffu;
  for (int width = 16; width != 0; width >>= 1, low ^= low << width)
    for (int block = 0; block < kGroup; block += 2 * width)
      for (int i = block; i < block + width; ++i)
        for (int64_t k = 0; k < kColumns; ++k) {
          const uint32_t swap = ((words[i][k] >> width) ^ words[i + width][k]) & low;
          words[i][k] ^= swap << width;
          words[i + width][k] ^= swap;
        }
}

template <int64_t kColumns>
PYXAI_HD void turn_over_words(const int32_t* const* masks, int64_t rows, int64_t first,
                              uint32_t* keeps) {
  uint32_t words[kGroup][kColumns];
  for (int64_t i = 0; i < kGroup; ++i)
    for (int64_t k = 0; k < kColumns; ++k)
      words[i][k] = i < rows ? static_cast<uint32_t>(masks[i][first + k]) : 0;
  transpose_bits(words);
  for (int64_t k = 0; k < kColumns; ++k)
    for (int64_t i = 0; i < kGroup; ++i) keeps[kGroup * (first + k) + i] = words[i][k];
}

// keeps[32 * k + j], bit i: whether row i keeps player 32 * k + j.
PYXAI_VECTOR_CLONES void turn_over_rows(const int32_t* const* masks, int64_t rows, int64_t n_words,
                                        uint32_t* keeps) {
  int64_t k = 0;
  for (; k + kWide <= n_words; k += kWide) turn_over_words<kWide>(masks, rows, k, keeps);
  for (; k < n_words; ++k) turn_over_words<1>(masks, rows, k, keeps);
}

// What the rows of one call have in common. A row is an (example, mask) pair; rows fall into groups
// of at most 32 with one map from features to players.
struct Plan {
  const MaskedPerturbParams& p;
  int64_t span;             // consecutive rows with one map
  int64_t groups_per_span;  // the last group of a span may be short
  int64_t n_groups;

  explicit Plan(const MaskedPerturbParams& params)
      : p(params),
        span(params.players.stride == 0 ? params.batch * params.n_masks : params.n_masks),
        groups_per_span((span + kGroup - 1) / kGroup),
        n_groups(groups_per_span * (params.batch * params.n_masks / span)) {}

  int64_t first_row(int64_t group) const {
    return group / groups_per_span * span + group % groups_per_span * kGroup;
  }
  int64_t rows(int64_t group) const {
    return std::min(kGroup, span - group % groups_per_span * kGroup);
  }
  const int32_t* mask(int64_t row) const {
    return mask_of(p.masks, row / p.n_masks, row % p.n_masks);
  }
};

// Turn over words first .. first + n_words - 1 of the masks of a group.
void turn_over(const Plan& plan, int64_t group, int64_t first, int64_t n_words, uint32_t* keeps) {
  const int64_t rows = plan.rows(group);
  const int32_t* masks[kGroup];
  for (int64_t i = 0; i < rows; ++i) masks[i] = plan.mask(plan.first_row(group) + i) + first;
  turn_over_rows(masks, rows, n_words, keeps);
}

template <typename Bits>
class Tile {
 public:
  static constexpr int64_t kFeatures = kTileBytes / sizeof(Bits);

  Tile(const Plan& plan, int64_t group, int64_t begin, bool stream)
      : plan_(plan),
        group_(group),
        begin_(begin),
        count_(std::min(kFeatures, plan.p.features - begin)),
        stream_(stream) {
    if (plan.p.baselines.data == nullptr)
      std::fill_n(constant_, count_, static_cast<Bits>(plan.p.baseline_bits));
  }

  // `keeps` are the turned masks of the group; null where every feature is its own player.
  void write(const uint32_t* keeps) {
    if (keeps == nullptr)
      turn_over(plan_, group_, begin_ / kGroup, (count_ + kGroup - 1) / kGroup, own_);
    constexpr int64_t at_once = std::min<int64_t>(kGroup, 8 * sizeof(Bits));  // bits of a word
    for (int64_t base = 0; base < plan_.rows(group_); base += at_once) {
      if (keeps != nullptr)
        look_up(keeps, base);
      else
        for (int64_t f = 0; f < count_; ++f) keeps_[f] = static_cast<Bits>(own_[f] >> base);
      const int64_t end = std::min(base + at_once, plan_.rows(group_));
      for (int64_t i = base; i < end; ++i) write_row(i, static_cast<Bits>(Bits(1) << (i - base)));
    }
  }

 private:
  void look_up(const uint32_t* keeps, int64_t shift) {
    const MaskedPerturbParams& p = plan_.p;
    const int64_t b = plan_.first_row(group_) / p.n_masks;
    const uint32_t n_players = static_cast<uint32_t>(kGroup * p.masks.n_words);
    for (int64_t f = 0; f < count_; ++f) {
      const uint32_t player = static_cast<uint32_t>(player_of(p.players, b, begin_ + f));
      keeps_[f] = static_cast<Bits>(player < n_players ? keeps[player] >> shift : ~0u);
    }
  }

  void write_row(int64_t i, Bits bit) {
    const MaskedPerturbParams& p = plan_.p;
    const int64_t row = plan_.first_row(group_) + i, b = row / p.n_masks;
    const Bits* inputs = static_cast<const Bits*>(p.inputs) + b * p.features + begin_;
    for (int64_t d = 0; d < p.n_draws; ++d) {
      const Bits* baselines = constant_;
      if (p.baselines.data != nullptr)
        baselines = static_cast<const Bits*>(p.baselines.data) + b * p.baselines.stride +
                    d * p.features + begin_;
      Bits* out = static_cast<Bits*>(p.out) + (row * p.n_draws + d) * p.features + begin_;
      select_bit(stream_ ? staging_ : out, keeps_, bit, inputs, baselines, count_);
      if (stream_) stream_copy(out, staging_, count_ * static_cast<int64_t>(sizeof(Bits)));
    }
  }

  const Plan& plan_;
  int64_t group_, begin_, count_;
  bool stream_;
  alignas(64) uint32_t own_[kFeatures];  // turned masks of these features, their own players
  alignas(64) Bits keeps_[kFeatures];
  alignas(64) Bits staging_[kFeatures];
  alignas(64) Bits constant_[kFeatures];
};

}  // namespace

void masked_perturb(const MaskedPerturbParams& p, void*) {
  const Plan plan(p);
  // Features that are their own players need their own words only, which each tile turns itself.
  const int64_t n_words = p.players.data != nullptr ? p.masks.n_words : 0;
  std::vector<uint32_t> keeps(plan.n_groups * kGroup * n_words + 1);  // never null
  parallel_items(n_words != 0 ? plan.n_groups : 0, kGroup * n_words,
                 [&](int64_t first, int64_t last) {
                   for (int64_t group = first; group < last; ++group)
                     turn_over(plan, group, 0, n_words, keeps.data() + group * kGroup * n_words);
                 });
  const int64_t tile = kTileBytes / p.element_bytes, tiles = (p.features + tile - 1) / tile;
  const int64_t tile_work = kGroup * std::min(tile, p.features) * p.n_draws;
  const bool stream =
      p.batch * p.n_masks * p.n_draws * p.features * p.element_bytes >= kStreamBytes;
  parallel_items(plan.n_groups * tiles, tile_work, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const int64_t group = i % plan.n_groups, begin = i / plan.n_groups * tile;
      const uint32_t* turned =
          p.players.data != nullptr ? keeps.data() + group * kGroup * n_words : nullptr;
      PYXAI_VISIT_BITS(p.element_bytes, Tile<bits_t>(plan, group, begin, stream).write(turned));
    }
    stream_fence();
  });
}

}  // namespace pyxai::cpu
