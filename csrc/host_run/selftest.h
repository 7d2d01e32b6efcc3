// Kernels with planted mistakes, by name; test builds only.
#pragma once

#include <string>

namespace pyxai::host_run {

void selftest(const std::string& name, const float* in, float* out, int count);

}  // namespace pyxai::host_run
