// Sums over the nodes of a path, one read of the gradients: what path_accumulate and path_moments
// share.
#pragma once

#include <algorithm>

#include "../dtype.h"
#include "parallel.h"

namespace pyxai::cpu {
namespace {

// Long runs of each node's gradients are read in turn: short ones would cost a new page and a new
// start of the prefetcher each. The sums of a tile stay in the second-level cache.
constexpr int64_t kSumBytes = 65536;
constexpr int64_t kNodesAtOnce = 8;  // nodes between two looks at a sum

template <int64_t kNodes, int kSums, typename T, typename Add>
PYXAI_HD void weigh(accumulate_t<T>* sums, int64_t sums_stride, const T* grads, int64_t stride,
                    const double* weights, int64_t count, const Add& add) {
  using acc_t = accumulate_t<T>;
  acc_t weight[kNodes];
  for (int64_t s = 0; s < kNodes; ++s) weight[s] = static_cast<acc_t>(weights[s]);
#pragma GCC ivdep
  for (int64_t f = 0; f < count; ++f) {
    acc_t sum[kSums];
    for (int k = 0; k < kSums; ++k) sum[k] = sums[k * sums_stride + f];
    for (int64_t s = 0; s < kNodes; ++s) add(sum, weight[s], load(grads[s * stride + f]));
    for (int k = 0; k < kSums; ++k) sums[k * sums_stride + f] = sum[k];
  }
}

// add(sum, weights[s], grads[s * stride + f]) for each f of `count`, for all nodes s in their
// order; sum k of f is at sums[k * sums_stride + f].
template <int kSums, typename T, typename Add>
PYXAI_HD void weigh_nodes(accumulate_t<T>* sums, int64_t sums_stride, const T* grads,
                          int64_t stride, const double* weights, int64_t n_nodes, int64_t count,
                          const Add& add) {
  int64_t s = 0;
  for (; s + kNodesAtOnce <= n_nodes; s += kNodesAtOnce)
    weigh<kNodesAtOnce, kSums>(sums, sums_stride, grads + s * stride, stride, weights + s, count,
                               add);
  for (; s < n_nodes; ++s)
    weigh<1, kSums>(sums, sums_stride, grads + s * stride, stride, weights + s, count, add);
}

// Call visit(begin, end) for tiles of [0, total), each read at all nodes, in parallel. No sum
// depends on where tiles end.
template <typename acc_t, typename Visit>
static inline void for_each_tile(int64_t total, int64_t n_nodes, const Visit& visit) {
  const int64_t share = total / (4 * at::get_num_threads()) + 1;
  const int64_t tile = std::clamp<int64_t>(share, 1024, kSumBytes / sizeof(acc_t));
  parallel_items((total + tile - 1) / tile, tile * n_nodes, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) visit(i * tile, std::min((i + 1) * tile, total));
  });
}

}  // namespace
}  // namespace pyxai::cpu
