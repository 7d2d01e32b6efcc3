// What an op's `<op>.h` needs, free of torch: element types and the declaration of its raw function
// per backend.
#pragma once

#include <cstdint>

#include "dtype.h"

#define PYXAI_DECLARE_OP(op, params)      \
  namespace cpu {                         \
  void op(const params& p, void* stream); \
  }                                       \
  namespace cuda {                        \
  void op(const params& p, void* stream); \
  }                                       \
  namespace host_run {                    \
  void op(const params& p, void* stream); \
  }
