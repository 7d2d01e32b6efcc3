// Where there are many rows, the sums of all subsets of each group of players are made once, and a
// row adds one of 16 for each group, in registers. Where there are few, it adds its players.
#include "../masked_affine.h"

#include <algorithm>
#include <bit>
#include <vector>

#include "../masked_affine_element.h"
#include "lanes.h"
#include "parallel.h"
#include "spans.h"
#include "stream.h"
#include "vector_clones.h"

namespace pyxai::cpu {
namespace {

// Lanes of a row at a time, in registers; the sum of a group needs as many again.
constexpr int kWide = 8, kHalf = 4, kNarrow = 2;
constexpr int64_t kSubsets = int64_t{1} << kAffineGroup;
constexpr int64_t kWordGroups = kMaskBits / kAffineGroup;
constexpr int64_t kBlockGroups = 2 * kWordGroups;  // whose subsets stay in the cache
constexpr int64_t kChunkRows = 256;                // that share the subsets' sums
constexpr int64_t kCounted = 1024;                 // masks that are looked at for their players

template <typename T>
constexpr int64_t kTile = kWide * kLanes<T>;

// Sums of one subset over the columns of a tile.
struct alignas(64) Entry {
  char bytes[kWide * kLaneBytes];
};

template <typename T>
PYXAI_INLINE T* values_of(Entry& entry) {
  return reinterpret_cast<T*>(entry.bytes);
}

// Rows of [batch, n_masks] that have parts and scales in common, and a tile of their columns.
struct Job {
  const MaskedAffineParams& p;
  int64_t begin, end;     // rows
  int64_t column, count;  // the tile
  bool stream;
};

template <typename T, int kCount>
PYXAI_INLINE void load_tile(Lanes<T>* to, const T* from, int64_t count) {
  if (count >= kCount * kLanes<T>) {
#pragma GCC unroll 8
    for (int i = 0; i < kCount; ++i) load_lanes(to + i, from + i * kLanes<T>);
    return;
  }
  T padded[kCount * kLanes<T>] = {};
  memcpy(padded, from, count * sizeof(T));
#pragma GCC unroll 8
  for (int i = 0; i < kCount; ++i) load_lanes(to + i, padded + i * kLanes<T>);
}

template <typename T, int kCount>
PYXAI_INLINE void store_tile(T* to, const Lanes<T>* from, int64_t count, bool stream) {
  if (count >= kCount * kLanes<T> && !stream) {
#pragma GCC unroll 8
    for (int i = 0; i < kCount; ++i) memcpy(to + i * kLanes<T>, from + i, kLaneBytes);
    return;
  }
  alignas(64) T staging[kCount * kLanes<T>];
#pragma GCC unroll 8
  for (int i = 0; i < kCount; ++i) memcpy(staging + i * kLanes<T>, from + i, kLaneBytes);
  const int64_t bytes = std::min(count, kCount * kLanes<T>) * static_cast<int64_t>(sizeof(T));
  if (stream)
    stream_copy(to, staging, bytes);
  else
    memcpy(to, staging, bytes);
}

template <typename T, int kCount>
PYXAI_INLINE void activate(Lanes<T>* values, bool relu) {
  if (!relu) return;
#pragma GCC unroll 8
  for (int i = 0; i < kCount; ++i) values[i] = values[i] < 0 ? Lanes<T>{} : values[i];
}

template <typename T, int kCount>
PYXAI_INLINE void load_term(Lanes<T>* to, const Job& job, int64_t b, int64_t player) {
  load_tile<T, kCount>(to, affine_parts<T>(job.p, b, player) + job.column, job.count);
  const T scale = affine_scale<T>(job.p, b, player);
#pragma GCC unroll 8
  for (int i = 0; i < kCount; ++i) to[i] *= scale;
}

// entries[16 * g + s]: the sum of subset s of group g, without those that are no players.
template <typename T, int kCount>
PYXAI_INLINE void sum_subsets(const Job& job, int64_t b, int64_t first, int64_t last,
                              Entry* entries) {
  for (int64_t g = first; g < last; ++g, entries += kSubsets) {
    std::fill_n(values_of<T>(entries[0]), kCount * kLanes<T>, affine_nothing<T>());
    for (int64_t k = 0; k < kAffineGroup; ++k) {
      const int64_t player = g * kAffineGroup + k, subsets = int64_t{1} << k;
      if (player >= job.p.n_players) {
        std::copy_n(entries, subsets, entries + subsets);
        continue;
      }
      Lanes<T> term[kCount], sums[kCount];
      load_term<T, kCount>(term, job, b, player);
      for (int64_t s = 0; s < subsets; ++s) {
        load_tile<T, kCount>(sums, values_of<T>(entries[s]), kCount * kLanes<T>);
#pragma GCC unroll 8
        for (int i = 0; i < kCount; ++i) sums[i] += term[i];
        store_tile<T, kCount>(values_of<T>(entries[subsets + s]), sums, kCount * kLanes<T>, false);
      }
    }
  }
}

// Add groups first .. last - 1 to rows that have those before.
template <typename T, int kCount>
PYXAI_INLINE void add_groups(const Job& job, int64_t first, int64_t last, Entry* entries,
                             bool ends) {
  const MaskedAffineParams& p = job.p;
  const int64_t width = std::min(job.count, kCount * kLanes<T>);
  alignas(64) T start[kCount * kLanes<T>] = {};
  int64_t b = job.begin / p.n_masks, m = job.begin - b * p.n_masks;
  for (int64_t row = job.begin; row < job.end; ++row) {
    T* out = affine_out<T>(p, b, m) + job.column;
    const int32_t* mask = mask_of(p.masks, b, m);
    Lanes<T> sums[kCount];
    if (row == job.begin || m == 0)
      memcpy(start, affine_start<T>(p, b) + job.column, width * sizeof(T));
    load_tile<T, kCount>(sums, first == 0 ? start : out, first == 0 ? kCount * kLanes<T> : width);
    Entry* entry = entries;
    for (int64_t g = first; g < last; g += kWordGroups) {
      uint32_t bits = static_cast<uint32_t>(mask[g / kWordGroups]);
      const int64_t end = std::min(g + kWordGroups, last);
      for (int64_t k = g; k < end; ++k, entry += kSubsets, bits >>= kAffineGroup) {
        const T* terms = values_of<T>(entry[bits % kSubsets]);
#pragma GCC unroll 8
        for (int i = 0; i < kCount; ++i) {
          Lanes<T> lanes;
          load_lanes(&lanes, terms + i * kLanes<T>);
          sums[i] += lanes;
        }
      }
    }
    if (ends) activate<T, kCount>(sums, p.relu);
    store_tile<T, kCount>(out, sums, job.count, ends && job.stream);
    if (++m == p.n_masks) {
      m = 0;
      ++b;
    }
  }
}

template <typename T, int kCount>
PYXAI_INLINE void sum_tile(const Job& job, Entry* entries) {
  const int64_t groups = (job.p.n_players + kAffineGroup - 1) / kAffineGroup;
  int64_t first = 0;
  do {
    const int64_t last = std::min(first + kBlockGroups, groups);
    sum_subsets<T, kCount>(job, job.begin / job.p.n_masks, first, last, entries);
    add_groups<T, kCount>(job, first, last, entries, last == groups);
    first = last;
  } while (first < groups);
}

// Columns from `column` on of one row of the present players, by ascending number.
template <typename T, int kCount>
PYXAI_INLINE void sum_players(const Job& job, const int64_t* players, int64_t n_present) {
  const MaskedAffineParams& p = job.p;
  const int64_t b = job.begin / p.n_masks, m = job.begin - b * p.n_masks;
  Lanes<T> sums[kCount];
  load_tile<T, kCount>(sums, affine_start<T>(p, b) + job.column, job.count);
  for (int64_t i = 0; i < n_present;) {
    const int64_t group = players[i] / kAffineGroup;
    Lanes<T> terms[kCount], term[kCount];
    load_term<T, kCount>(terms, job, b, players[i++]);
    for (; i < n_present && players[i] / kAffineGroup == group; ++i) {
      load_term<T, kCount>(term, job, b, players[i]);
#pragma GCC unroll 8
      for (int j = 0; j < kCount; ++j) terms[j] += term[j];
    }
#pragma GCC unroll 8
    for (int j = 0; j < kCount; ++j) sums[j] += terms[j];
  }
  activate<T, kCount>(sums, p.relu);
  store_tile<T, kCount>(affine_out<T>(p, b, m) + job.column, sums, job.count, job.stream);
}

// What one row has where all of it is at hand.
template <typename T>
PYXAI_INLINE void sum_row(Job job, const int64_t* players, int64_t n_present) {
  for (job.column = 0; job.column < job.p.size; job.column += kHalf * kLanes<T>) {
    job.count = job.p.size - job.column;
    if (job.count <= kNarrow * kLanes<T>)
      sum_players<T, kNarrow>(job, players, n_present);
    else
      sum_players<T, kHalf>(job, players, n_present);
  }
}

// Neighbouring rows of one example, each with one player.
template <typename T>
struct Alone {
  const T *start, *scales, *parts;  // null scales: 1
  T* out;
  int64_t rows, size;
  bool relu, stream;
};

template <typename T>
PYXAI_INLINE void add_alone(const Alone<T>& given) {
  constexpr int64_t kCount = kTileBytes / sizeof(T);
  alignas(64) T staging[kCount];
  const T* part = given.parts;
  T* out = given.out;
  for (int64_t row = 0; row < given.rows; ++row, part += given.size, out += given.size) {
    const T scale = given.scales != nullptr ? given.scales[row] : T(1);
    for (int64_t begin = 0; begin < given.size; begin += kCount) {
      const int64_t count = std::min(kCount, given.size - begin);
      const T* start = given.start + begin;
      T* __restrict to = given.stream ? staging : out + begin;
      for (int64_t j = 0; j < count; ++j)
        to[j] = affine_activate(affine_add_term(start[j], scale, part[begin + j]), given.relu);
      if (given.stream) stream_copy(out + begin, staging, count * sizeof(T));
    }
  }
}

#define PYXAI_SUM(T)                                                                       \
  PYXAI_VECTOR_CLONES void sum_columns(const Job& job, Entry* entries, T) {                \
    if (job.count <= kNarrow * kLanes<T>)                                                  \
      sum_tile<T, kNarrow>(job, entries);                                                  \
    else if (job.count <= kHalf * kLanes<T>)                                               \
      sum_tile<T, kHalf>(job, entries);                                                    \
    else                                                                                   \
      sum_tile<T, kWide>(job, entries);                                                    \
  }                                                                                        \
  PYXAI_VECTOR_CLONES void sum_one(const Job& job, const int64_t* players, int64_t n, T) { \
    sum_row<T>(job, players, n);                                                           \
  }                                                                                        \
  PYXAI_VECTOR_CLONES void sum_alone(const Alone<T>& given) { add_alone(given); }
PYXAI_SUM(float)
PYXAI_SUM(double)
#undef PYXAI_SUM

template <typename T>
void each_alone(const MaskedAffineParams& p, bool stream) {
  parallel_items(p.batch * p.n_masks, p.size, [&](int64_t begin, int64_t end) {
    for_each_span(begin, end, p.n_masks, [&](int64_t b, int64_t m, int64_t i, int64_t rows) {
      const T* scales = static_cast<const T*>(p.scales);
      sum_alone(Alone<T>{affine_start<T>(p, b), scales != nullptr ? scales + i : nullptr,
                         affine_parts<T>(p, b, m), affine_out<T>(p, b, m), rows, p.size, p.relu,
                         stream});
    });
    stream_fence();
  });
}

// Present players of a mask, by ascending number.
int64_t list_players(const MaskedAffineParams& p, int64_t b, int64_t m, int64_t* players) {
  const int32_t* mask = mask_of(p.masks, b, m);
  int64_t n_present = 0;
  for (int64_t w = 0; w < p.masks.n_words; ++w)
    for (uint32_t bits = static_cast<uint32_t>(mask[w]) & used_bits(p.n_players, w); bits != 0;
         bits &= bits - 1)
      players[n_present++] = w * kMaskBits + std::countr_zero(bits);
  return n_present;
}

template <typename T>
void few_players(const MaskedAffineParams& p, int64_t work, bool stream) {
  parallel_items(p.batch * p.n_masks, work, [&](int64_t first, int64_t last) {
    std::vector<int64_t> players(p.n_players + 1);  // never null
    for (int64_t row = first; row < last; ++row) {
      const int64_t b = row / p.n_masks;
      const int64_t n_present = list_players(p, b, row - b * p.n_masks, players.data());
      sum_one(Job{p, row, row + 1, 0, 0, stream}, players.data(), n_present, T());
    }
    stream_fence();
  });
}

template <typename T>
void many_players(const MaskedAffineParams& p, int64_t span, bool stream) {
  const int64_t groups = (p.n_players + kAffineGroup - 1) / kAffineGroup;
  const int64_t tiles = (p.size + kTile<T> - 1) / kTile<T>;
  const int64_t chunks = (span + kChunkRows - 1) / kChunkRows;
  const int64_t work = std::min(span, kChunkRows) * std::min(p.size, kTile<T>) * (groups + 1);
  const int64_t items = p.batch * p.n_masks / span * chunks * tiles;
  parallel_items(items, work, [&](int64_t first, int64_t last) {
    std::vector<Entry> entries(std::min(groups, kBlockGroups) * kSubsets);
    for (int64_t i = first; i < last; ++i) {
      const int64_t place = i / tiles, whole = place / chunks * span;
      const int64_t begin = whole + (place % chunks) * kChunkRows;
      const int64_t end = std::min(begin + kChunkRows, whole + span);
      const int64_t column = (i % tiles) * kTile<T>;
      const int64_t count = std::min(kTile<T>, p.size - column);
      sum_columns(Job{p, begin, end, column, count, stream}, entries.data(), T());
    }
    stream_fence();
  });
}

// Players of a mask, about: some masks of the table are counted.
int64_t mean_players(const MaskedAffineParams& p) {
  const int64_t masks = p.masks.stride == 0 ? p.n_masks : p.batch * p.n_masks;
  const int64_t step = (masks + kCounted - 1) / kCounted;
  int64_t counted = 0, present = 0;
  for (int64_t i = 0; i < masks; i += step, ++counted)
    for (int64_t w = 0; w < p.masks.n_words; ++w)
      present += std::popcount(static_cast<uint32_t>(p.masks.data[i * p.masks.n_words + w]));
  return (present + counted - 1) / std::max<int64_t>(counted, 1);
}

template <typename T>
void sum_rows(const MaskedAffineParams& p) {
  const bool stream =
      p.batch * p.n_masks * p.size * static_cast<int64_t>(sizeof(T)) >= kStreamBytes;
  if (p.alone) return each_alone<T>(p, stream);
  const bool shared = p.parts_stride == 0 && p.scales == nullptr;
  const int64_t span = shared ? p.batch * p.n_masks : p.n_masks;
  const int64_t groups = (p.n_players + kAffineGroup - 1) / kAffineGroup;
  const int64_t present = mean_players(p), rows = std::min(span, kChunkRows);
  // As measured, in steps of one group of one row: a player by itself takes 2.5 and a row 5, the
  // subsets of a group 2 each.
  if (rows * (10 + 5 * present) <= 2 * groups * (rows + 2 * kSubsets))
    few_players<T>(p, p.size * (present + 1), stream);
  else
    many_players<T>(p, span, stream);
}

}  // namespace

void masked_affine(const MaskedAffineParams& p, void*) {
  if (p.dtype == DType::f64)
    sum_rows<double>(p);
  else
    sum_rows<float>(p);
}

}  // namespace pyxai::cpu
