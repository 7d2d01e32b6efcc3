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

static __device__ double warp_sum(double value) {
  for (int lanes = kWarp / 2; lanes > 0; lanes /= 2)
    value += __shfl_xor_sync(0xFFFFFFFFu, value, lanes);
  return value;
}

// The sum of a chunk, and with `players` the sum over its sets with each low player. `partial`
// holds kWarps * kWarpParts numbers.
static __device__ void leave_parts(const double (&terms)[kRegisters], bool players, int64_t low,
                                   double* partial, double* parts) {
  const int t = static_cast<int>(threadIdx.x), lane = t % kWarp, warp = t / kWarp;
  double* own = partial + warp * kWarpParts;
  double sum = 0, with_register[kRegisterPlayers] = {};
  for (int r = 0; r < kRegisters; ++r) {
    sum += terms[r];
    for (int b = 0; b < kRegisterPlayers; ++b)
      if ((r >> b & 1) != 0) with_register[b] += terms[r];
  }
  const double whole = warp_sum(sum);
  if (lane == 0) own[0] = whole;
  if (players) {
    for (int b = 0; b < kLanePlayers; ++b) {
      const double part = warp_sum((lane >> b & 1) != 0 ? sum : 0.0);
      if (lane == 0) own[1 + b] = part;
    }
    for (int b = 0; b < kRegisterPlayers; ++b) {
      const double part = warp_sum(with_register[b]);
      if (lane == 0) own[1 + kLanePlayers + b] = part;
    }
  }
  __syncthreads();
  // Thread i adds up the warps for player i, thread `low` for all sets.
  if (t == low || (players && t < low)) {
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

// One block weighs and adds up one group of chunks of one table with one row of weights.
template <typename T>
PYXAI_KERNEL __launch_bounds__(kBlock, 2) table_sums_chunks_kernel(TableSumsParams p) {
  PYXAI_DYNAMIC_SHARED(double, shared);
  double* weights = shared + kWarps * kWarpParts;  // [n_players + 1]
  const int t = static_cast<int>(threadIdx.x);
  const TableShape shape = table_shape(p.n_players);
  const int64_t jobs = p.n_tables * p.n_rows * shape.groups;
  for (int64_t job = blockIdx.x; job < jobs; job += gridDim.x) {
    const int64_t group = job % shape.groups, table_row = job / shape.groups;
    const int row = static_cast<int>(table_row % p.n_rows);
    const T* values = static_cast<const T*>(p.values) + (table_row / p.n_rows << p.n_players);
    const double origin = static_cast<double>(values[0]);
    if (t <= p.n_players) weights[t] = p.weights[row * (p.n_players + 1) + t];
    __syncthreads();
    double sums[kRegisters] = {};
    const int64_t first = group * group_chunks(shape);
    for (int64_t c = first; c < first + group_chunks(shape); ++c) {
      double terms[kRegisters];
      for (int r = 0; r < kRegisters; ++r) {
        const int m = r * kBlock + t;
        const bool inside = m < shape.chunk;
        const int size = __popc(static_cast<unsigned>(c)) + __popc(static_cast<unsigned>(m));
        const double value = inside ? static_cast<double>(values[c * shape.chunk + m]) : origin;
        terms[r] = inside ? weights[size] * (value - origin) : 0.0;
        sums[r] += terms[r];
      }
      leave_parts(terms, p.order[row] > 1, shape.low, shared,
                  p.chunk_parts + (table_row * shape.chunks + c) * kChunkParts);
    }
    double* out = p.chunk_sums + job * shape.chunk;
    for (int r = 0; r < kRegisters; ++r)
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
    // Low players are looked for in the sums, high ones in the parts.
    const bool low = j >= 0 && j < shape.low;
    int64_t low_sets = 0, high_sets = 0, part = low ? -1 : shape.low;
    for (const int64_t player : {i, j}) {
      if (player < 0) continue;
      if (player >= shape.low)
        high_sets |= int64_t{1} << (player - shape.low);
      else if (low)
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

void table_sums(const TableSumsParams& p, void* stream) {
  const int64_t jobs = p.n_tables * p.n_rows * table_shape(p.n_players).groups;
  const int64_t shared = (kWarps * kWarpParts + p.n_players + 1) * sizeof(double);
  const auto kernel =
      p.dtype == DType::f64 ? table_sums_chunks_kernel<double> : table_sums_chunks_kernel<float>;
  PYXAI_LAUNCH(kernel, grid_for(jobs, 1), kBlock, shared, stream, p);
  PYXAI_LAUNCH(table_sums_results_kernel, grid_for(p.n_tables * p.width, 1), kBlock,
               kWarps * sizeof(double), stream, p);
}

}  // namespace pyxai::PYXAI_BACKEND_NS
