#include "device.h"

#include <c10/core/ScalarType.h>
#include <c10/util/Exception.h>

#ifdef PYXAI_WITH_CUDA
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#endif

namespace pyxai {

DType dtype_of(const at::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case at::kFloat:
      return DType::f32;
    case at::kDouble:
      return DType::f64;
    case at::kBFloat16:
      return DType::bf16;
    case at::kHalf:
      return DType::f16;
    default:
      TORCH_CHECK_TYPE(false, "tensor must have dtype float32, float64, bfloat16 or float16, got ",
                       tensor.scalar_type());
  }
}

#ifdef PYXAI_WITH_CUDA

struct DeviceScope::State {
  explicit State(const at::Tensor& tensor)
      : guard(tensor.device()), stream(c10::cuda::getCurrentCUDAStream(tensor.get_device())) {}
  c10::cuda::CUDAGuard guard;
  c10::cuda::CUDAStream stream;
};

DeviceScope::DeviceScope(const at::Tensor& tensor)
    : state_(tensor.is_cuda() ? std::make_unique<State>(tensor) : nullptr) {}
void* DeviceScope::stream() const { return state_ ? state_->stream.stream() : nullptr; }
void DeviceScope::check_launch(const char* op) {
  const cudaError_t error = cudaGetLastError();
  TORCH_CHECK(error == cudaSuccess, op, " could not be launched: ", cudaGetErrorString(error));
}

#else

struct DeviceScope::State {};

DeviceScope::DeviceScope(const at::Tensor&) {}
void* DeviceScope::stream() const { return nullptr; }
void DeviceScope::check_launch(const char*) {}

#endif

DeviceScope::~DeviceScope() = default;

}  // namespace pyxai
