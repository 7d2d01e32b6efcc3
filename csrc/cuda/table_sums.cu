#include "../launch.h"
#include "../table_sums.h"
#include "../table_sums_element.h"

namespace pyxai::PYXAI_BACKEND_NS {
namespace {

constexpr int kRegisters = (1 << kChunkBits) / kBlock;  // sets of a chunk that a thread holds
constexpr int kWarps = kBlock / kWarp;
static_assert(kRegisters == 16 && kWarps == 8, "players of a chunk: 5 lane, 3 warp, 4 register");
constexpr int kLanePlayers = 5, kWarpPlayers = 3, kRegisterPlayers = 4;
constexpr int kWarpParts = 1 + kLanePlayers + kRegisterPlayers;  // what a warp adds up by itself

static __device__ double from_lane(double value, int lanes) {
  return __shfl_xor_sync(0xFFFFFFFFu, value, lanes);
}

static __device__ double warp_sum(double value) {
  for (int lanes = kWarp / 2; lanes > 0; lanes /= 2) value += from_lane(value, lanes);
  return value;
}

// The sum of the terms, and in `with` the sum of those whose number has each bit.
static __device__ double fold_registers(const double (&terms)[kRegisters],
                                        double (&with)[kRegisterPlayers]) {
  double folded[kRegisters];
  for (int r = 0; r < kRegisters; ++r) folded[r] = terms[r];
  for (int b = kRegisterPlayers - 1; b >= 0; --b) {
    with[b] = 0;
    for (int r = 0; r < 1 << b; ++r) {
      const double upper = folded[r + (1 << b)];
      with[b] += upper;
      folded[r] += upper;
    }
  }
  return folded[0];
}

// In lane L the sum over the lanes whose numbers have all bits of L: over all in lane 0, over those
// with bit b in lane 2^b.
static __device__ double lane_sums(double value) {
  for (int lanes = kWarp / 2; lanes > 0; lanes /= 2) {
    const double other = from_lane(value, lanes);
    if ((threadIdx.x & lanes) == 0) value += other;
  }
  return value;
}

// The sums of four numbers over the lanes, that of number i in lanes 8 i to 8 i + 7.
static __device__ double four_sums(const double (&values)[kRegisterPlayers]) {
  const bool second = (threadIdx.x & 16) != 0, odd = (threadIdx.x & 8) != 0;
  const double low = from_lane(second ? values[0] : values[2], 16);
  const double high = from_lane(second ? values[1] : values[3], 16);
  const double even_sum = (second ? values[2] : values[0]) + low;
  const double odd_sum = (second ? values[3] : values[1]) + high;
  double sum = (odd ? odd_sum : even_sum) + from_lane(odd ? even_sum : odd_sum, 8);
  for (int lanes = 4; lanes > 0; lanes /= 2) sum += from_lane(sum, lanes);
  return sum;
}

// The sum of a chunk, and its sum over the sets with each low player. `partial` holds
// kWarps * kWarpParts numbers.
static __device__ void leave_parts(const double (&terms)[kRegisters], int64_t low, double* partial,
                                   double* parts) {
  const int t = static_cast<int>(threadIdx.x), lane = t % kWarp, warp = t / kWarp;
  double* own = partial + warp * kWarpParts;
  double with_register[kRegisterPlayers];
  const double by_lane = lane_sums(fold_registers(terms, with_register));
  const double by_register = four_sums(with_register);
  if ((lane & (lane - 1)) == 0) own[lane == 0 ? 0 : 1 + __popc(lane - 1)] = by_lane;
  if (lane % 8 == 0) own[1 + kLanePlayers + lane / 8] = by_register;
  __syncthreads();
  // Thread i adds up the warps for player i, thread `low` for all sets.
  if (t <= low) {
    const int b = t - kLanePlayers;
    const bool is_warp = t != low && b >= 0 && b < kWarpPlayers;
    const int part = t == low || is_warp ? 0 : b < 0 ? 1 + t : 1 + t - kWarpPlayers;
    double all = 0;
    for (int w = 0; w < kWarps; ++w)
      if (!is_warp || (w >> b & 1) != 0) all += partial[w * kWarpParts + part];
    parts[t] = all;
  }
  __syncthreads();  // before the next chunk overwrites
}

// One block weighs and adds up one group of chunks of one table with one row of weights. kWhole:
// chunks are as large as can be, no set of a thread is outside.
template <typename T, bool kWhole>
PYXAI_KERNEL __launch_bounds__(kBlock, 2) table_sums_chunks_kernel(TableSumsParams p) {
  PYXAI_DYNAMIC_SHARED(double, shared);
  double* weights = shared + kWarps * kWarpParts;  // [at least n_players + 1]
  const int t = static_cast<int>(threadIdx.x);
  const TableShape shape = table_shape(p.n_players);
  const int64_t jobs = p.n_tables * p.n_rows * shape.groups;
  for (int64_t job = blockIdx.x; job < jobs; job += gridDim.x) {
    // Neighbours read the same group for another row of weights, so that one finds it cached.
    const int64_t table_group = job / p.n_rows, table = table_group / shape.groups;
    const int64_t group = table_group - table * shape.groups;
    const int row = static_cast<int>(job - table_group * p.n_rows);
    const int64_t table_row = table * p.n_rows + row;
    const T* values = static_cast<const T*>(p.values) + (table << p.n_players);
    const double origin = static_cast<double>(values[0]);
    if (t <= p.n_players) weights[t] = p.weights[row * (p.n_players + 1) + t];
    __syncthreads();
    const bool pairs = p.order[row] > 1;
    double sums[kRegisters] = {};
    const int64_t first = group * group_chunks(shape);
    for (int64_t c = first; c < first + group_chunks(shape); ++c) {
      const T* chunk = values + c * shape.chunk + t;
      const double* weight = weights + __popc(static_cast<unsigned>(c)) + __popc(t);
      T held[kRegisters];  // all reads are under way before the first is used
      for (int r = 0; r < kRegisters; ++r)
        held[r] = kWhole || r * kBlock + t < shape.chunk ? chunk[r * kBlock] : T(0);
      double terms[kRegisters];
      for (int r = 0; r < kRegisters; ++r) {
        const double term = weight[__popc(r)] * (static_cast<double>(held[r]) - origin);
        terms[r] = kWhole || r * kBlock + t < shape.chunk ? term : 0.0;
      }
      for (int r = 0; pairs && r < kRegisters; ++r) sums[r] += terms[r];
      leave_parts(terms, shape.low, shared,
                  p.chunk_parts + (table_row * shape.chunks + c) * kChunkParts);
    }
    double* out = p.chunk_sums + (table_row * shape.groups + group) * shape.chunk;
    for (int r = 0; pairs && r < kRegisters; ++r)
      if (r * kBlock + t < shape.chunk) out[r * kBlock + t] = sums[r];
  }
}

// What one thread adds to a result: sets of a chunk that contain `low_sets`, or chunks that contain
// `high_sets` by their part.
static __device__ double thread_share(const TableSumsParams& p, const TableShape& shape,
                                      int64_t table_row, int64_t low_sets, int64_t high_sets,
                                      int64_t part) {
  double share = 0;
  if (part < 0) {
    const double* sums = p.chunk_sums + table_row * shape.groups * shape.chunk;
    for (int64_t i = threadIdx.x; i < shape.groups * shape.chunk; i += kBlock)
      if ((i & low_sets) == low_sets) share += sums[i];
  } else {
    const double* parts = p.chunk_parts + table_row * shape.chunks * kChunkParts + part;
    for (int64_t c = threadIdx.x; c < shape.chunks; c += kBlock)
      if ((c & high_sets) == high_sets) share += parts[c * kChunkParts];
  }
  return share;
}

// One block adds up one result: the total, a player or a pair.
PYXAI_KERNEL table_sums_results_kernel(TableSumsParams p) {
  PYXAI_DYNAMIC_SHARED(double, partial);
  const int t = static_cast<int>(threadIdx.x);
  const TableShape shape = table_shape(p.n_players);
  const int64_t n = p.n_players;
  for (int64_t job = blockIdx.x; job < p.n_tables * p.width; job += gridDim.x) {
    int row = p.n_rows - 1;
    while (job % p.width < p.column[row]) --row;
    const int64_t table_row = job / p.width * p.n_rows + row;
    int64_t result = job % p.width - p.column[row], i = -1, j = -1;
    if (result > n) {
      result -= n + 1;
      for (i = 0; result >= n - 1 - i; ++i) result -= n - 1 - i;
      j = i + 1 + result;
    } else if (result > 0) {
      j = result - 1;
    }
    // Two low players are looked for in the sums of chunks, all else in the parts.
    const bool low_pair = i >= 0 && j < shape.low;
    int64_t low_sets = 0, high_sets = 0, part = low_pair ? -1 : shape.low;
    for (const int64_t player : {i, j}) {
      if (player < 0) continue;
      if (player >= shape.low)
        high_sets |= int64_t{1} << (player - shape.low);
      else if (low_pair)
        low_sets |= int64_t{1} << player;
      else
        part = player;
    }
    const double sum = warp_sum(thread_share(p, shape, table_row, low_sets, high_sets, part));
    if (t % kWarp == 0) partial[t / kWarp] = sum;
    __syncthreads();
    if (t == 0) {
      double all = 0;
      for (int w = 0; w < kWarps; ++w) all += partial[w];
      p.out[job] = all;
    }
    __syncthreads();
  }
}

}  // namespace

template <typename T>
static void launch_chunks(const TableSumsParams& p, void* stream) {
  const TableShape shape = table_shape(p.n_players);
  const int64_t weights = (p.n_players > kChunkBits ? p.n_players : kChunkBits) + 1;
  const int64_t shared = (kWarps * kWarpParts + weights) * sizeof(double);
  const auto kernel = p.n_players >= kChunkBits ? table_sums_chunks_kernel<T, true>
                                                : table_sums_chunks_kernel<T, false>;
  PYXAI_LAUNCH(kernel, grid_for(p.n_tables * p.n_rows * shape.groups, 1), kBlock, shared, stream,
               p);
}

void table_sums(const TableSumsParams& p, void* stream) {
  if (p.dtype == DType::f64)
    launch_chunks<double>(p, stream);
  else
    launch_chunks<float>(p, stream);
  PYXAI_LAUNCH(table_sums_results_kernel, grid_for(p.n_tables * p.width, 1), kBlock,
               kWarps * sizeof(double), stream, p);
}

}  // namespace pyxai::PYXAI_BACKEND_NS
