// Sizes that kernels, their host runner and the checks of arguments agree on; each is named here
// only.
#pragma once

#include <cstdint>

namespace pyxai {

constexpr int kMaskBits = 32;        // players in a word of a packed mask
constexpr int kWarp = 32;            // CUDA threads that exchange registers
constexpr int kBlock = 256;          // CUDA threads of a block
constexpr int64_t kMaxGrid = 65535;  // CUDA blocks of a launch; grid-stride loops cover the rest
constexpr int kPackBytes = 16;       // the widest access of a CUDA thread
constexpr int kMaxWeightRows = 8;    // rows of weights that `table_sums` takes at once

}  // namespace pyxai
