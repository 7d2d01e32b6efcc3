#include "../launch.h"
#include "../moebius_transform.h"
#include "../moebius_transform_element.h"

namespace pyxai::PYXAI_BACKEND_NS {
namespace {

constexpr int kRegisters = kTile / kBlock;  // sets that a thread holds
static_assert(kRegisters == 16 && kBlock == 256, "the two layouts below depend on it");

// One pass over the tables. A block gathers a tile of 2^bits rows, 2^low apart, and 2^column_bits
// neighbouring columns, and transforms the players of tile bits first .. last - 1.
struct Pass {
  int64_t total;  // elements of all tables
  int64_t low, column_bits, bits;
  int first, last;
};

// Where element t of a tile lies, t < kBlock; element r * kBlock + t lies r * register_stride on,
// because a row is never longer than kBlock.
PYXAI_HD int64_t tile_address(const Pass& pass, int64_t tile, int64_t t) {
  const int64_t group_bits = pass.low - pass.column_bits;
  const int64_t outer = tile >> group_bits, group = tile - (outer << group_bits);
  const int64_t row = t >> pass.column_bits, column = t - (row << pass.column_bits);
  return (outer << (pass.low + pass.bits)) + (row << pass.low) + (group << pass.column_bits) +
         column;
}
PYXAI_HD int64_t register_stride(const Pass& pass) {
  return int64_t{kBlock} >> pass.column_bits << pass.low;
}

// Tile bits 0-3 are exchanged between lanes, 4-7 and 8-11 lie in the registers of a thread, in two
// layouts that change through shared memory.
template <bool kZeta, typename T>
PYXAI_KERNEL __launch_bounds__(kBlock, 3)
    moebius_transform_kernel(const T* values, T* out, Pass pass) {
  PYXAI_DYNAMIC_SHARED(T, shared);
  const int t = static_cast<int>(threadIdx.x);
  const int64_t tiles = (pass.total + kTile - 1) / kTile, stride = register_stride(pass);
  for (int64_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    T sets[kRegisters];
    const int64_t address = tile_address(pass, tile, t);
    for (int r = 0; r < kRegisters; ++r)
      sets[r] = address + r * stride < pass.total ? values[address + r * stride] : T(0);
    for (int bit = pass.first; bit < 4 && bit < pass.last; ++bit)
      for (int r = 0; r < kRegisters; ++r) {
        const T other = __shfl_xor_sync(0xFFFFFFFFu, sets[r], 1 << bit);
        if ((t >> bit & 1) != 0) butterfly<kZeta>(other, &sets[r]);
      }
    if (pass.first < 8 && pass.last > 4) {
      for (int r = 0; r < kRegisters; ++r) shared[r * kBlock + t] = sets[r];
      __syncthreads();
      T* column = shared + (t & 15) + (t >> 4 << 8);
      for (int r = 0; r < kRegisters; ++r) sets[r] = column[r << 4];
      butterflies<kZeta, 4>(sets, pass.first - 4, pass.last - 4);
      for (int r = 0; r < kRegisters; ++r) column[r << 4] = sets[r];
      __syncthreads();
      for (int r = 0; r < kRegisters; ++r) sets[r] = shared[r * kBlock + t];
      __syncthreads();  // before the next tile overwrites
    }
    butterflies<kZeta, 4>(sets, pass.first - 8, pass.last - 8);
    for (int r = 0; r < kRegisters; ++r)
      if (address + r * stride < pass.total) out[address + r * stride] = sets[r];
  }
}

template <typename T>
void launch_pass(const MoebiusTransformParams& p, const void* values, const Pass& pass,
                 void* stream) {
  const auto kernel =
      p.zeta ? moebius_transform_kernel<true, T> : moebius_transform_kernel<false, T>;
  PYXAI_LAUNCH(kernel, grid_for(pass.total, kTile), kBlock, kTile * sizeof(T), stream,
               static_cast<const T*>(values), static_cast<T*>(p.out), pass);
}

template <typename T>
void launch_passes(const MoebiusTransformParams& p, void* stream) {
  const int64_t total = p.n_tables << p.n_players;
  const int64_t tile_players = p.n_players < kTileBits ? p.n_players : kTileBits;
  launch_pass<T>(p, p.values, {total, 0, 0, kTileBits, 0, static_cast<int>(tile_players)}, stream);
  for (int64_t low = kTileBits, bits; low < p.n_players; low += bits) {
    bits = pass_bits(p.n_players, low);
    // Rows of at most kBlock columns; where that takes more players, those below are left alone.
    const int64_t rows = bits < 4 ? 4 : bits;
    Pass pass{};
    pass.total = total;
    pass.bits = rows;
    pass.low = low + bits - rows;
    pass.column_bits = kTileBits - rows;
    pass.first = static_cast<int>(kTileBits - bits);
    pass.last = static_cast<int>(kTileBits);
    launch_pass<T>(p, p.out, pass, stream);
  }
}

}  // namespace

void moebius_transform(const MoebiusTransformParams& p, void* stream) {
  if (p.dtype == DType::f64)
    launch_passes<double>(p, stream);
  else
    launch_passes<float>(p, stream);
}

}  // namespace pyxai::PYXAI_BACKEND_NS
