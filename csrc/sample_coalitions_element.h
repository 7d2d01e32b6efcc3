// How one row of random words becomes one coalition.
#pragma once

#include "masks.h"
#include "sample_coalitions.h"

namespace pyxai {
namespace {

// Every player whose random binary fraction is below threshold / 2^32. A random word holds one
// digit of 32 players; digits are drawn from the highest on until each player has one that differs
// from the threshold's, or until the threshold has only zeros left: one word for p = 1/2, less
// than seven on average for any p.
template <typename Words>
PYXAI_HD void bernoulli_row(Words& words, int64_t threshold, int64_t n_players, int64_t n_words,
                            uint32_t* row) {
  const bool always = threshold >> 32 != 0;
  for (int64_t w = 0; w < n_words; ++w) {
    uint32_t undecided = used_bits(n_players, w), below = always ? undecided : 0u;
    for (uint32_t digits = static_cast<uint32_t>(threshold); digits != 0 && undecided != 0;
         digits <<= 1) {
      const uint32_t drawn = next_word(words);
      if ((digits & 0x80000000u) != 0) {
        below |= undecided & ~drawn;
        undecided &= drawn;
      } else {
        undecided &= ~drawn;
      }
    }
    row[w] = below;
  }
}

// A uniform subset of `size` players: R. Floyd's algorithm, in J. Bentley, R. Floyd, "Programming
// pearls: a sample of brilliance", CACM 30(9), 1987. The smaller of the subset and its complement
// is drawn; true means that the row holds the complement.
template <typename Words>
PYXAI_HD bool subset_row(Words& words, int64_t size, int64_t n_players, int64_t n_words,
                         uint32_t* row) {
  const bool complement = size > n_players - size;
  const int64_t count = complement ? n_players - size : size;
  for (int64_t w = 0; w < n_words; ++w) row[w] = 0;
  for (int64_t last = n_players - count; last < n_players; ++last) {
    const uint32_t drawn = next_below(words, static_cast<uint32_t>(last + 1));
    const bool taken = (row[mask_word(drawn)] & mask_bit(drawn)) != 0;
    const int64_t player = taken ? last : drawn;
    row[mask_word(player)] |= mask_bit(player);
  }
  return complement;
}

// The first size whose cumulated probability exceeds 53 random bits.
template <typename Words>
PYXAI_HD int64_t random_size(Words& words, const int64_t* cumulated, int64_t n_players) {
  const int64_t low = next_word(words) >> 11;
  const int64_t drawn = (static_cast<int64_t>(next_word(words)) << 21) | low;
  int64_t begin = 0, end = n_players;
  while (begin < end) {
    const int64_t middle = (begin + end) / 2;
    if (drawn < cumulated[middle])
      end = middle;
    else
      begin = middle + 1;
  }
  return begin;
}

// Row `index` of the output; Words gives the words of one row.
template <typename Words>
PYXAI_HD void sample_coalition(const SampleCoalitionsParams& p, int64_t index, Words& words) {
  const int64_t b = index / p.n_samples, s = index % p.n_samples;
  const bool second = p.paired && ((p.start + s) & 1) != 0;
  uint32_t* row = reinterpret_cast<uint32_t*>(p.out) + index * p.n_words;
  bool flip = second;
  if (p.law == CoalitionLaw::kernel) {
    const int64_t size = random_size(words, p.table, p.n_players);
    flip ^= subset_row(words, size, p.n_players, p.n_words, row);
  } else {
    const int64_t entry = p.table[b * p.table_batch_stride + s * p.table_sample_stride];
    if (p.law == CoalitionLaw::bernoulli) {
      bernoulli_row(words, entry, p.n_players, p.n_words, row);
    } else {
      // Sizes on the device are not looked at by the caller, who would have to wait for them.
      const int64_t size = entry < 0 ? 0 : entry > p.n_players ? p.n_players : entry;
      flip ^= subset_row(words, second ? p.n_players - size : size, p.n_players, p.n_words, row);
    }
  }
  if (flip)
    for (int64_t w = 0; w < p.n_words; ++w) row[w] ^= used_bits(p.n_players, w);
}

// The example and the sample whose words row `index` is made of.
PYXAI_HD int64_t row_example(const SampleCoalitionsParams& p, int64_t index) {
  return p.example_ids[index / p.n_samples];
}
PYXAI_HD int64_t row_sample(const SampleCoalitionsParams& p, int64_t index) {
  const int64_t sample = p.start + index % p.n_samples;
  return p.paired ? sample & ~int64_t{1} : sample;
}

}  // namespace
}  // namespace pyxai
