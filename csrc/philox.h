// Philox 4x32-10: block(counter, key), ten rounds of two 32x32-bit products. J. K. Salmon,
// M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011.
//
// Every random number of the package is word w of the row (seed, stream, example, sample): the key
// is made of seed and stream, the counter is (w / 4, sample, low and high half of the example).
#pragma once

#include <cstdint>

#include "dtype.h"

namespace pyxai {

struct PhiloxKey {
  uint32_t low, high;
};

struct PhiloxBlock {
  uint32_t word[4];
};

namespace {

PYXAI_HD PhiloxBlock philox_round(PhiloxBlock c, PhiloxKey key) {
  const uint64_t first = static_cast<uint64_t>(0xD2511F53u) * c.word[0];
  const uint64_t second = static_cast<uint64_t>(0xCD9E8D57u) * c.word[2];
  return {static_cast<uint32_t>(second >> 32) ^ c.word[1] ^ key.low, static_cast<uint32_t>(second),
          static_cast<uint32_t>(first >> 32) ^ c.word[3] ^ key.high, static_cast<uint32_t>(first)};
}

PYXAI_HD PhiloxBlock philox(PhiloxBlock counter, PhiloxKey key) {
  for (int round = 0; round < 10; ++round) {
    counter = philox_round(counter, key);
    key = {key.low + 0x9E3779B9u, key.high + 0xBB67AE85u};  // Weyl sequence
  }
  return counter;
}

// Stream 0 is keyed by the seed itself; other streams by a block of it, so that uses with one seed
// share no numbers.
PYXAI_HD PhiloxKey philox_key(uint64_t seed, uint32_t stream) {
  const PhiloxKey key{static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)};
  if (stream == 0) return key;
  const PhiloxBlock block = philox({stream, 0, 0, 0}, key);
  return {block.word[0], block.word[1]};
}

// Counter of words 4 * block .. 4 * block + 3 of a row.
PYXAI_HD PhiloxBlock philox_counter(int64_t example, int64_t sample, int64_t block) {
  return {static_cast<uint32_t>(block), static_cast<uint32_t>(sample),
          static_cast<uint32_t>(example),
          static_cast<uint32_t>(static_cast<uint64_t>(example) >> 32)};
}

// The words of a row, one after another.
struct PhiloxWords {
  PhiloxKey key;
  PhiloxBlock counter, block;
  int32_t left;  // unread words of the block
};

PYXAI_HD PhiloxWords philox_words(PhiloxKey key, int64_t example, int64_t sample) {
  return {key, philox_counter(example, sample, 0), {}, 0};
}

PYXAI_HD uint32_t next_word(PhiloxWords& words) {
  if (words.left == 0) {
    words.block = philox(words.counter, words.key);
    ++words.counter.word[0];
    words.left = 4;
  }
  const uint32_t word = words.block.word[0];
  // Shifted, not indexed, so that the block stays in registers.
  words.block = {words.block.word[1], words.block.word[2], words.block.word[3], 0};
  --words.left;
  return word;
}

// Uniform on 0 .. bound - 1 without bias: D. Lemire, "Fast Random Integer Generation in an
// Interval", ACM TOMACS 29(1), 2019, algorithm 5.
template <typename Words>
PYXAI_HD uint32_t next_below(Words& words, uint32_t bound) {
  uint64_t product = static_cast<uint64_t>(next_word(words)) * bound;
  if (static_cast<uint32_t>(product) < bound) {
    const uint32_t threshold = (0u - bound) % bound;
    while (static_cast<uint32_t>(product) < threshold)
      product = static_cast<uint64_t>(next_word(words)) * bound;
  }
  return static_cast<uint32_t>(product >> 32);
}

}  // namespace
}  // namespace pyxai
