// Where an op runs. Each op's raw function exists once per backend:
// pyxai::{cpu,cuda,host_run}::<op>(params, stream).
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

#include <string>

#include "device.h"

namespace pyxai {

enum class Backend { cpu, cuda, host_run };

inline Backend resolve_backend(const at::Tensor& tensor, const std::string& requested) {
  TORCH_CHECK_VALUE(requested == "cpu" || requested == "cuda" || requested == "host_run",
                    "backend must be one of 'cpu', 'cuda', 'host_run', got '", requested, "'");
  const bool wants_cuda = requested == "cuda";
  TORCH_CHECK_VALUE(wants_cuda ? tensor.is_cuda() : tensor.device().is_cpu(), "backend '",
                    requested, "' must get ", wants_cuda ? "CUDA" : "CPU",
                    " tensors, got a tensor on ", tensor.device());
  if (wants_cuda) return Backend::cuda;
  return requested == "cpu" ? Backend::cpu : Backend::host_run;
}

[[noreturn]] inline void backend_unavailable(const char* backend) {
  TORCH_CHECK(false, "backend unavailable: this build of pyxai has no ", backend, " kernels");
}

}  // namespace pyxai

#ifdef PYXAI_WITH_CUDA
#define PYXAI_CALL_CUDA(op, tensor, ...)            \
  do {                                              \
    ::pyxai::DeviceScope scope(tensor);             \
    ::pyxai::cuda::op(__VA_ARGS__, scope.stream()); \
    scope.check_launch(#op);                        \
  } while (false)
#else
#define PYXAI_CALL_CUDA(op, tensor, ...) ::pyxai::backend_unavailable("cuda")
#endif

#ifdef PYXAI_WITH_HOST_RUN
#define PYXAI_CALL_HOST_RUN(op, ...) ::pyxai::host_run::op(__VA_ARGS__, nullptr)
#else
#define PYXAI_CALL_HOST_RUN(op, ...) ::pyxai::backend_unavailable("host_run")
#endif

// Run pyxai::<backend>::op(args..., stream) where `tensor` lives.
#define PYXAI_DISPATCH(op, tensor, backend, ...)         \
  do {                                                   \
    switch (::pyxai::resolve_backend(tensor, backend)) { \
      case ::pyxai::Backend::cpu:                        \
        ::pyxai::cpu::op(__VA_ARGS__, nullptr);          \
        break;                                           \
      case ::pyxai::Backend::cuda:                       \
        PYXAI_CALL_CUDA(op, tensor, __VA_ARGS__);        \
        break;                                           \
      case ::pyxai::Backend::host_run:                   \
        PYXAI_CALL_HOST_RUN(op, __VA_ARGS__);            \
        break;                                           \
    }                                                    \
  } while (false)
