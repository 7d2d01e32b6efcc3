#include "dwt.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <utility>

#include "arguments.h"
#include "dispatch.h"
#include "dwt_element.h"
#include "ops.h"

namespace pyxai {
namespace {

constexpr int64_t kGroupSamples = 1024;  // short signals share a block
constexpr int64_t kMaxParts = 512;
constexpr int64_t kSharedBytes = 24576;  // a block's work space, so that two blocks fit

Extension extension_of(const std::string& name) {
  constexpr std::pair<const char*, Extension> kNames[] = {
      {"zero", Extension::zero},       {"symmetric", Extension::symmetric},
      {"reflect", Extension::reflect}, {"periodic", Extension::periodic},
      {"wrapped", Extension::wrapped}, {"periodization", Extension::periodization},
  };
  for (const auto& [known, extension] : kNames)
    if (name == known) return extension;
  TORCH_CHECK_VALUE(false, "extension must be a known one, got '", name, "'");
}

// The sizes of all levels below the signal, and where they lie.
void set_levels(DwtParams& p) {
  const int64_t n_details = p.images ? 3 : 1;
  for (int32_t j = 1; j <= p.level; ++j) {
    const int64_t height = p.height[j - 1], width = p.width[j - 1];
    TORCH_CHECK_VALUE(std::min(p.images ? height : width, width) >= p.n_taps,
                      "signals must have at least ", p.n_taps, " samples at every level, got ",
                      height, " x ", width);
    p.height[j] = p.images ? dwt_count(p.extension, height, p.n_taps) : 1;
    p.width[j] = dwt_count(p.extension, width, p.n_taps);
    p.place[j] = p.pyramid;
    if (j < p.level) p.pyramid += p.height[j] * p.width[j];
  }
  p.n_coefficients = p.height[p.level] * p.width[p.level];
  for (int32_t j = p.level; j > 0; --j) {
    p.offset[j] = p.n_coefficients;
    p.n_coefficients += n_details * p.height[j] * p.width[j];
  }
  p.rows = p.images ? 2 * p.height[0] * p.width[1] : 0;
}

DwtParams dwt_params(const at::Tensor& values, const at::Tensor& signals, const at::Tensor& bank,
                     int64_t level, const std::string& extension) {
  TORCH_CHECK_TYPE(values.scalar_type() == at::kFloat || values.scalar_type() == at::kDouble,
                   "values must have dtype float32 or float64, got ", values.scalar_type());
  TORCH_CHECK_VALUE(signals.dim() == 2 || signals.dim() == 3,
                    "signals must have 2 or 3 dimensions, got ", signals.dim());
  TORCH_CHECK_VALUE(level >= 1 && level <= kMaxLevels, "level must be between 1 and ", kMaxLevels,
                    ", got ", level);
  check_dtype(bank, values.scalar_type(), "bank");
  check_same_device(bank, values, "bank");
  check_contiguous(bank, "bank");
  TORCH_CHECK_VALUE(bank.dim() == 2 && bank.size(0) == 2 && bank.size(1) >= 2 &&
                        bank.size(1) % 2 == 0 && bank.size(1) <= kMaxTaps,
                    "bank must have shape [2, n_taps] with an even number of taps up to ", kMaxTaps,
                    ", got ", bank.sizes());
  DwtParams p{};
  p.dtype = dtype_of(values);
  p.extension = extension_of(extension);
  p.n_taps = static_cast<int32_t>(bank.size(1));
  p.level = static_cast<int32_t>(level);
  p.images = signals.dim() == 3;
  p.n_signals = signals.size(0);
  p.height[0] = p.images ? signals.size(1) : 1;
  p.width[0] = signals.size(-1);
  set_levels(p);
  p.bank = bank.const_data_ptr();
  p.group = p.images ? 1 : std::clamp<int64_t>(kGroupSamples / p.width[0], 1, 64);
  p.n_parts = std::min((p.n_signals + p.group - 1) / p.group, kMaxParts);
  return p;
}

void check_values(const at::Tensor& values, const at::Tensor& like, const char* name) {
  check_dtype(values, like.scalar_type(), name);
  check_same_device(values, like, name);
  check_contiguous(values, name);
}

// The work spaces of CUDA's blocks, where they do not fit in shared memory.
at::Tensor work_space(DwtParams& p, int64_t size, const at::Tensor& like,
                      const std::string& backend) {
  p.work_size = size;
  if (resolve_backend(like, backend) == Backend::cpu || size * like.element_size() <= kSharedBytes)
    return {};
  at::Tensor work = like.new_empty({p.n_parts, size});
  p.work = work.data_ptr();
  return work;
}

}  // namespace

void dwt(const at::Tensor& signals, const at::Tensor& bank, int64_t level,
         const std::string& extension, at::Tensor& out, const std::string& backend) {
  DwtParams p = dwt_params(signals, signals, bank, level, extension);
  check_contiguous(signals, "signals");
  check_values(out, signals, "out");
  check_shape(out, {p.n_signals, p.n_coefficients}, "out");
  if (p.n_signals == 0) return;
  p.signals = signals.const_data_ptr();
  p.out = out.data_ptr();
  const at::Tensor work = work_space(p, p.group * p.pyramid + p.rows, signals, backend);
  PYXAI_DISPATCH(dwt, signals, backend, p);
}

void idwt(const at::Tensor& coefficients, const at::Tensor& bank, int64_t level,
          const std::string& extension, at::Tensor& out, const std::string& backend) {
  DwtParams p = dwt_params(coefficients, out, bank, level, extension);
  check_contiguous(coefficients, "coefficients");
  check_shape(coefficients, {p.n_signals, p.n_coefficients}, "coefficients");
  check_values(out, coefficients, "out");
  if (p.n_signals == 0) return;
  p.coefficients = coefficients.const_data_ptr();
  p.out = out.data_ptr();
  const at::Tensor work = work_space(p, p.group * p.pyramid + p.rows, coefficients, backend);
  PYXAI_DISPATCH(idwt, coefficients, backend, p);
}

void dwt_filter_gradient(const at::Tensor& signals, const at::Tensor& coefficients,
                         const at::Tensor& bank, int64_t level, const std::string& extension,
                         at::Tensor& out, const std::string& backend) {
  DwtParams p = dwt_params(signals, signals, bank, level, extension);
  check_contiguous(signals, "signals");
  check_values(coefficients, signals, "coefficients");
  check_shape(coefficients, {p.n_signals, p.n_coefficients}, "coefficients");
  p.out = output_pointer(out, at::kDouble, {2, p.n_taps}, signals);
  if (p.n_signals == 0) {
    out.zero_();
    return;
  }
  p.signals = signals.const_data_ptr();
  p.coefficients = coefficients.const_data_ptr();
  const at::Tensor work = work_space(p, 2 * p.group * p.pyramid + p.rows, signals, backend);
  const at::Tensor parts = out.new_empty({p.n_parts, 2, p.n_taps});
  p.parts = parts.data_ptr<double>();
  PYXAI_DISPATCH(dwt_filter_gradient, signals, backend, p);
}

}  // namespace pyxai
