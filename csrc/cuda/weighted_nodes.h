// Sums over the nodes of a path, one read of the gradients: what path_accumulate and path_moments
// share.
#pragma once

#include "../launch.h"
#include "pack.h"

namespace pyxai::PYXAI_BACKEND_NS {
namespace {

struct NodePlan {
  unsigned grid;
  int slices;  // threads that share the nodes of one pack of features
};

// A short row does not fill the device with one thread per pack, so nodes are shared out.
static inline NodePlan plan_nodes(int64_t chunks, int64_t n_nodes) {
  int slices = 1;
  while (slices < 8 && chunks * slices < kBusyThreads && n_nodes >= 8 * slices) slices *= 2;
  return {grid_for(chunks, kBlock / slices), slices};
}

// Add up kSums sums for each of N elements over the nodes slice, slice + slices, ...
template <typename acc_t, int N, int kSums, typename Read, typename Add>
static inline __device__ void weigh_slice(acc_t (*sums)[kSums], const double* weights,
                                          int64_t n_nodes, int slice, int slices, const Read& read,
                                          const Add& add) {
  constexpr int kAtOnce = 4;  // reads under way before the first is used
  const auto add_all = [&](int64_t s, const acc_t(&values)[N]) {
    const acc_t weight = static_cast<acc_t>(weights[s]);
    for (int j = 0; j < N; ++j) add(sums[j], weight, values[j]);
  };
  int64_t s = slice;
  for (; s + (kAtOnce - 1) * slices < n_nodes; s += kAtOnce * slices) {
    acc_t values[kAtOnce][N];
    for (int i = 0; i < kAtOnce; ++i) read(s + i * slices, values[i]);
    for (int i = 0; i < kAtOnce; ++i) add_all(s + i * slices, values[i]);
  }
#pragma unroll 1
  for (; s < n_nodes; s += slices) {
    acc_t values[N];
    read(s, values);
    add_all(s, values);
  }
}

// For each element i of [total]: add(sums, weights[s], value of i at node s) over all nodes s, then
// finish(i, sums); reader(i)(s, values) reads the values of elements i .. i + N - 1. Needs
// kBlock * N sums of shared memory; the order of additions depends on the sizes only.
template <typename acc_t, int N, int kSums, typename Reader, typename Add, typename Finish>
static inline __device__ void weigh_nodes(const double* weights, int64_t n_nodes, int64_t total,
                                          int slices, const Reader& reader, const Add& add,
                                          const Finish& finish) {
  PYXAI_DYNAMIC_SHARED(acc_t, shared);
  const int lanes = kBlock / slices, lane = static_cast<int>(threadIdx.x) % lanes;
  const int slice = static_cast<int>(threadIdx.x) / lanes;
  const int64_t chunks = total / N, step = static_cast<int64_t>(gridDim.x) * lanes;
  // All threads of a block take part in every round: there are barriers inside.
  for (int64_t first = static_cast<int64_t>(blockIdx.x) * lanes; first < chunks; first += step) {
    const int64_t chunk = first + lane;
    acc_t sums[N][kSums] = {};
    if (chunk < chunks)
      weigh_slice<acc_t, N, kSums>(sums, weights, n_nodes, slice, slices, reader(chunk * N), add);
    for (int k = 0; slices > 1 && k < kSums; ++k) {
      for (int j = 0; j < N; ++j) shared[j * kBlock + threadIdx.x] = sums[j][k];
      __syncthreads();
      for (int other = 1; slice == 0 && other < slices; ++other)
        for (int j = 0; j < N; ++j) sums[j][k] += shared[j * kBlock + other * lanes + lane];
      __syncthreads();
    }
    if (slice == 0 && chunk < chunks)
      for (int j = 0; j < N; ++j) finish(chunk * N + j, sums[j]);
  }
}

}  // namespace
}  // namespace pyxai::PYXAI_BACKEND_NS
