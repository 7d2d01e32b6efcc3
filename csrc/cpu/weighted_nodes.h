// Sums over the nodes of a path, one read of the gradients: what path_accumulate and path_moments
// share.
#pragma once

#include <algorithm>

#include "../dtype.h"
#include "parallel.h"
#include "vector_clones.h"

namespace pyxai::cpu {
namespace {

// Long runs of each node's gradients are read in turn: short ones would cost a new page and a new
// start of the prefetcher each. The sums of a tile stay in the second-level cache.
constexpr int64_t kSumBytes = 65536;
constexpr int64_t kNodesAtOnce = 8;  // nodes between two looks at a sum

// `node(s)` gives what node s holds, as value(f).
template <int64_t kNodes, int kSums, typename acc_t, typename Node, typename Add>
PYXAI_INLINE void weigh(acc_t* sums, int64_t sums_stride, const double* weights, int64_t first,
                        int64_t count, const Node& node, const Add& add) {
  using Value = decltype(node(0));
  acc_t weight[kNodes];
  Value value[kNodes];
  for (int64_t s = 0; s < kNodes; ++s) {
    weight[s] = static_cast<acc_t>(weights[first + s]);
    value[s] = node(first + s);
  }
#pragma GCC ivdep
  for (int64_t f = 0; f < count; ++f) {
    acc_t sum[kSums];
    for (int k = 0; k < kSums; ++k) sum[k] = sums[k * sums_stride + f];
    for (int64_t s = 0; s < kNodes; ++s) add(sum, weight[s], value[s](f));
    for (int k = 0; k < kSums; ++k) sums[k * sums_stride + f] = sum[k];
  }
}

// add(sum, weights[s], node(s)(f)) for each f of `count`, for all nodes s in their order; sum k of
// f is at sums[k * sums_stride + f].
template <int kSums, typename acc_t, typename Node, typename Add>
PYXAI_INLINE void weigh_nodes(acc_t* sums, int64_t sums_stride, const double* weights,
                              int64_t n_nodes, int64_t count, const Node& node, const Add& add) {
  int64_t s = 0;
  for (; s + kNodesAtOnce <= n_nodes; s += kNodesAtOnce)
    weigh<kNodesAtOnce, kSums>(sums, sums_stride, weights, s, count, node, add);
  for (; s < n_nodes; ++s) weigh<1, kSums>(sums, sums_stride, weights, s, count, node, add);
}

// A gradient, read as it is.
template <typename T>
struct Gradient {
  const T* grads;
  accumulate_t<T> operator()(int64_t f) const { return load(grads[f]); }
};

// Call visit(group, begin, end) for tiles of [0, total) of each group, each read at all nodes, in
// parallel. No sum depends on where tiles end.
template <typename acc_t, typename Visit>
static inline void for_each_tile(int64_t groups, int64_t total, int64_t n_nodes,
                                 const Visit& visit) {
  const int64_t share = groups * total / (4 * at::get_num_threads()) + 1;
  const int64_t tile = std::clamp<int64_t>(share, 1024, kSumBytes / sizeof(acc_t));
  const int64_t tiles = (total + tile - 1) / tile;
  const int64_t work = std::min(tile, total) * n_nodes;
  parallel_items(groups * tiles, work, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const int64_t begin = i % tiles * tile;
      visit(i / tiles, begin, std::min(begin + tile, total));
    }
  });
}

}  // namespace
}  // namespace pyxai::cpu
