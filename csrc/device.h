// The only place that knows CUDA streams, guards and launch errors on the torch side.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

#include "dtype.h"

namespace pyxai {

DType dtype_of(const at::Tensor& tensor);

// Guards the device of a tensor while it lives and gives its current stream; does nothing for CPU
// tensors.
class DeviceScope {
 public:
  explicit DeviceScope(const at::Tensor& tensor);
  ~DeviceScope();
  DeviceScope(const DeviceScope&) = delete;
  DeviceScope& operator=(const DeviceScope&) = delete;

  void* stream() const;               // cudaStream_t, null on the CPU
  void check_launch(const char* op);  // raises if the last launch failed

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace pyxai
