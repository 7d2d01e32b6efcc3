#include "../table_sums.h"

#include <algorithm>
#include <bit>
#include <vector>

#include "../table_sums_element.h"
#include "parallel.h"
#include "vector_clones.h"

namespace pyxai::cpu {
namespace {

constexpr int64_t kRowBits = 6;
constexpr int64_t kRow = int64_t{1} << kRowBits;  // sets whose weights lie side by side
constexpr int64_t kLanes = 16;                    // partial sums, so that adding vectorises

// weights[q][m] = weight of a set of q + |m| players, m < kRow.
using SpreadWeights = std::vector<double>;

SpreadWeights spread_weights(const double* weights, int64_t n_players) {
  SpreadWeights spread((n_players + 1) * kRow, 0.0);
  for (int64_t q = 0; q <= n_players; ++q)
    for (int64_t m = 0; m < kRow; ++m) {
      const int64_t size = q + std::popcount(static_cast<uint64_t>(m));
      if (size <= n_players) spread[q * kRow + m] = weights[size];
    }
  return spread;
}

// out[m] = weight of the set m of a chunk, times what its value has more than the empty set's.
#define PYXAI_WEIGH(T)                                                                          \
  PYXAI_VECTOR_CLONES void weigh(double* __restrict out, const T* __restrict values,            \
                                 double origin, const double* __restrict weights, int64_t size, \
                                 int64_t chunk) {                                               \
    for (int64_t m = 0; m < chunk; m += kRow) {                                                 \
      const double* row = weights + (size + std::popcount(static_cast<uint64_t>(m))) * kRow;    \
      const int64_t count = std::min(kRow, chunk - m);                                          \
      for (int64_t i = 0; i < count; ++i)                                                       \
        out[m + i] = row[i] * (static_cast<double>(values[m + i]) - origin);                    \
    }                                                                                           \
  }
PYXAI_WEIGH(float)
PYXAI_WEIGH(double)
#undef PYXAI_WEIGH

PYXAI_VECTOR_CLONES void add(double* __restrict sums, const double* __restrict terms,
                             int64_t count) {
  for (int64_t i = 0; i < count; ++i) sums[i] += terms[i];
}

PYXAI_VECTOR_CLONES double sum(const double* x, int64_t count) {
  double lanes[kLanes] = {}, rest = 0;
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (int64_t k = 0; k < kLanes; ++k) lanes[k] += x[i + k];
  for (; i < count; ++i) rest += x[i];
  for (const double lane : lanes) rest += lane;
  return rest;
}

// lower[i] += upper[i]; the sum of upper.
PYXAI_VECTOR_CLONES double fold(double* __restrict lower, const double* __restrict upper,
                                int64_t count) {
  double lanes[kLanes] = {}, rest = 0;
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (int64_t k = 0; k < kLanes; ++k) {
      lower[i + k] += upper[i + k];
      lanes[k] += upper[i + k];
    }
  for (; i < count; ++i) {
    lower[i] += upper[i];
    rest += upper[i];
  }
  for (const double lane : lanes) rest += lane;
  return rest;
}

// parts[b] = sum of the x[m] with bit b of m, parts[bits] = sum of all. Overwrites x.
void bit_sums(double* x, int64_t bits, double* parts) {
  for (int64_t b = bits - 1; b >= 0; --b) {
    const int64_t half = int64_t{1} << b;
    parts[b] = fold(x, x + half, half);
  }
  parts[bits] = x[0];
}

// Also the sums of the x[m] with bits a < b, as pair(a, b, sum).
template <typename Pair>
void bit_pair_sums(double* x, int64_t bits, double* parts, const Pair& pair) {
  double upper_parts[64];
  for (int64_t b = bits - 1; b >= 0; --b) {
    const int64_t half = int64_t{1} << b;
    parts[b] = fold(x, x + half, half);
    bit_sums(x + half, b, upper_parts);
    for (int64_t a = 0; a < b; ++a) pair(a, b, upper_parts[a]);
  }
  parts[bits] = x[0];
}

double* chunk_sums_of(const TableSumsParams& p, const TableShape& shape, int64_t table, int64_t row,
                      int64_t group) {
  return p.chunk_sums + ((table * p.n_rows + row) * shape.groups + group) * shape.chunk;
}
double* chunk_parts_of(const TableSumsParams& p, const TableShape& shape, int64_t table,
                       int64_t row) {
  return p.chunk_parts + (table * p.n_rows + row) * shape.chunks * kChunkParts;
}

// Weigh and add up the chunks of one group, for all rows of weights.
template <typename T>
void add_group(const TableSumsParams& p, const TableShape& shape,
               const std::vector<SpreadWeights>& weights, int64_t table, int64_t group) {
  const T* values = static_cast<const T*>(p.values) + (table << p.n_players);
  const int64_t first = group * group_chunks(shape), last = first + group_chunks(shape);
  double terms[int64_t{1} << kChunkBits];
  for (int64_t c = first; c < last; ++c) {
    const int64_t size = std::popcount(static_cast<uint64_t>(c));
    for (int32_t row = 0; row < p.n_rows; ++row) {
      weigh(terms, values + c * shape.chunk, static_cast<double>(values[0]), weights[row].data(),
            size, shape.chunk);
      if (p.order[row] > 0) {
        double* sums = chunk_sums_of(p, shape, table, row, group);
        if (c == first)
          std::copy_n(terms, shape.chunk, sums);
        else
          add(sums, terms, shape.chunk);
      }
      double* parts = chunk_parts_of(p, shape, table, row) + c * kChunkParts;
      if (p.order[row] > 1)
        bit_sums(terms, shape.low, parts);
      else
        parts[shape.low] = sum(terms, shape.chunk);
    }
  }
}

// From the sums and parts of chunks to the results of one row of weights.
void finish(const TableSumsParams& p, const TableShape& shape, int64_t table, int64_t row) {
  const int64_t n = p.n_players, low = shape.low, high = n - low;
  double* total = p.out + table * p.width + p.column[row];
  double *players = total + 1, *pairs = players + n, low_parts[64], high_parts[64];
  const double* chunk_parts = chunk_parts_of(p, shape, table, row);
  std::vector<double> column(shape.chunks);
  const auto take = [&](int64_t part) {
    for (int64_t c = 0; c < shape.chunks; ++c) column[c] = chunk_parts[c * kChunkParts + part];
    return column.data();
  };
  if (p.order[row] == 0) {
    bit_sums(take(low), high, high_parts);
    *total = high_parts[high];
    return;
  }
  double* sums = chunk_sums_of(p, shape, table, row, 0);
  for (int64_t group = 1; group < shape.groups; ++group)
    add(sums, sums + group * shape.chunk, shape.chunk);
  if (p.order[row] == 1) {
    bit_sums(sums, low, low_parts);
    bit_sums(take(low), high, high_parts);
  } else {
    const auto pair = [&](int64_t i, int64_t j, double sum) { pairs[pair_row(i, n) + j] = sum; };
    for (int64_t i = 0; i < low; ++i) {
      bit_sums(take(i), high, high_parts);
      for (int64_t b = 0; b < high; ++b) pair(i, low + b, high_parts[b]);
    }
    bit_pair_sums(sums, low, low_parts, pair);
    bit_pair_sums(take(low), high, high_parts,
                  [&](int64_t a, int64_t b, double sum) { pair(low + a, low + b, sum); });
  }
  *total = high_parts[high];
  std::copy_n(low_parts, low, players);
  std::copy_n(high_parts, high, players + low);
}

template <typename T>
void sum_tables(const TableSumsParams& p) {
  const TableShape shape = table_shape(p.n_players);
  std::vector<SpreadWeights> weights;
  for (int32_t row = 0; row < p.n_rows; ++row)
    weights.push_back(spread_weights(p.weights + row * (p.n_players + 1), p.n_players));
  const int64_t table = int64_t{1} << p.n_players;
  parallel_items(p.n_tables * shape.groups, p.n_rows * table / shape.groups,
                 [&](int64_t first, int64_t last) {
                   for (int64_t i = first; i < last; ++i)
                     add_group<T>(p, shape, weights, i / shape.groups, i % shape.groups);
                 });
  parallel_items(p.n_tables * p.n_rows, shape.groups * shape.chunk,
                 [&](int64_t first, int64_t last) {
                   for (int64_t i = first; i < last; ++i)
                     finish(p, shape, i / p.n_rows, i % p.n_rows);
                 });
}

}  // namespace

void table_sums(const TableSumsParams& p, void*) {
  if (p.dtype == DType::f64)
    sum_tables<double>(p);
  else
    sum_tables<float>(p);
}

}  // namespace pyxai::cpu
