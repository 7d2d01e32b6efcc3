#include "../dwt.h"
#include "../dwt_element.h"
#include "../launch.h"
#include "pack.h"

namespace pyxai::PYXAI_BACKEND_NS {
namespace {

constexpr int kWarps = kBlock / kWarp;

// Position i of line l is at[l * line + i * step]. Bands may be null: they are then left out.
template <typename T>
struct Lines {
  T* at;
  int64_t line, step;
};

// What the threads of a block share: the filters, the sums of the gradient and a work space.
template <typename T>
struct Block {
  const DwtParams& p;
  double* sums;  // [2, n_taps]
  T* bank;       // [2, n_taps]
  T* work;
  int64_t left;
};

// Neighbouring threads take what lies side by side.
template <typename T, typename Visit>
static inline __device__ void each_item(const Lines<T>& first, int64_t lines, int64_t count,
                                        const Visit& visit) {
  const bool along = first.step == 1;
  for (int64_t item = threadIdx.x; item < lines * count; item += kBlock) {
    const int64_t outer = divide(item, along ? count : lines);
    const int64_t inner = item - outer * (along ? count : lines);
    visit(along ? outer : inner, along ? inner : outer);
  }
}

template <typename T>
static __device__ void analyse_lines(const Block<T>& block, const Lines<const T>& x, int64_t lines,
                                     int64_t length, const Lines<T>& low, const Lines<T>& high) {
  const int64_t n = block.p.n_taps, count = dwt_count(block.p.extension, length, n);
  each_item(low, lines, count, [&](int64_t l, int64_t k) {
    const T* line = x.at + l * x.line;
    const int64_t first = 2 * k - block.left;
    T sums[2] = {};
    const auto add = [&](int64_t i, T value) {
      sums[0] += block.bank[i] * value;
      sums[1] += block.bank[n + i] * value;
    };
    if (first >= 0 && first + n <= length) {  // as most do: nothing is beyond the ends
      const T* from = line + first * x.step;
      for (int64_t i = 0; i < n; ++i, from += x.step) add(i, *from);
    } else {
      for (int64_t i = 0; i < n; ++i) {
        const int64_t place = dwt_place(block.p.extension, first + i, length);
        add(i, place < 0 ? T(0) : line[place * x.step]);
      }
    }
    low.at[l * low.line + k * low.step] = sums[0];
    if (high.at != nullptr) high.at[l * high.line + k * high.step] = sums[1];
  });
  __syncthreads();
}

// What coefficients of one line add up to at position t of the extended line.
template <typename T>
static __device__ T sum_at(const Block<T>& block, const T* low, const T* high, int64_t low_step,
                           int64_t high_step, int64_t count, int64_t t) {
  const int64_t n = block.p.n_taps;
  T sum = 0;
  for (int64_t i = t & 1; i < n; i += 2) {
    const int64_t k = (t - i) / 2;
    if (t < i || k >= count) continue;
    sum += block.bank[i] * low[k * low_step];
    sum += block.bank[n + i] * high[k * high_step];
  }
  return sum;
}

template <typename T>
static __device__ void synthesise_lines(const Block<T>& block, const Lines<const T>& low,
                                        const Lines<const T>& high, int64_t lines, int64_t length,
                                        const Lines<T>& x) {
  const Extension extension = block.p.extension;
  const int64_t n = block.p.n_taps, count = dwt_count(extension, length, n);
  const int64_t total = dwt_extended(count, n);
  each_item(x, lines, length, [&](int64_t l, int64_t r) {
    const T *of_low = low.at + l * low.line, *of_high = high.at + l * high.line;
    const auto at = [&](int64_t t) {
      return sum_at(block, of_low, of_high, low.step, high.step, count, t);
    };
    T sum = at(r + block.left);
    // What stands beyond the ends is a copy of samples near them.
    if (extension != Extension::zero && (r < n || r >= length - n)) {
      for (int64_t t = 0; t < block.left; ++t)
        if (dwt_place(extension, t - block.left, length) == r) sum += at(t);
      for (int64_t t = block.left + length; t < total; ++t)
        if (dwt_place(extension, t - block.left, length) == r) sum += at(t);
    }
    x.at[l * x.line + r * x.step] = sum;
  });
  __syncthreads();
}

// sums += gradient of the filters: a warp for each tap of each filter.
template <typename T>
static __device__ void correlate_lines(const Block<T>& block, const Lines<const T>& x,
                                       int64_t lines, int64_t length, const Lines<const T>& low,
                                       const Lines<const T>& high) {
  const int64_t n = block.p.n_taps, count = dwt_count(block.p.extension, length, n);
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  for (int64_t pair = warp; pair < 2 * n; pair += kWarps) {
    const Lines<const T>& band = pair < n ? low : high;
    const int64_t tap = pair < n ? pair : pair - n;
    double sum = 0;
    for (int64_t item = lane; item < lines * count; item += kWarp) {
      const int64_t l = divide(item, count), k = item - l * count;
      const int64_t place = dwt_place(block.p.extension, 2 * k + tap - block.left, length);
      if (place >= 0)
        sum += static_cast<double>(band.at[l * band.line + k * band.step]) *
               static_cast<double>(x.at[l * x.line + place * x.step]);
    }
    for (int lanes = kWarp / 2; lanes > 0; lanes /= 2)
      sum += __shfl_xor_sync(0xFFFFFFFFu, sum, lanes);
    if (lane == 0) block.sums[pair] += sum;
  }
  __syncthreads();
}

// The signals of a group as lines, or the rows of an image.
struct Group {
  int64_t first, count;
};

template <typename T>
static __device__ Lines<T> signal_lines(const DwtParams& p, T* base, const Group& group) {
  const int64_t width = p.width[0], size = p.height[0] * width;
  return {base + group.first * size, width, 1};
}

// A band of a level among the coefficients.
template <typename T>
static __device__ Lines<T> band_lines(const DwtParams& p, T* base, const Group& group, int level,
                                      int band) {
  if (base == nullptr) return {nullptr, 0, 1};
  T* at = dwt_band(p, base + group.first * p.n_coefficients, level, band);
  return {at, p.images ? p.width[level] : p.n_coefficients, 1};
}

// The approximation of a level in the work space: of the signals, or (1) of the gradient.
template <typename T>
static __device__ Lines<T> work_lines(const Block<T>& block, int level, int which) {
  const DwtParams& p = block.p;
  T* at = block.work + which * p.group * p.pyramid + p.place[level];
  return {at, p.images ? p.width[level] : p.pyramid, 1};
}

// The halves of an image's rows, beyond `pyramids` pyramids in the work space.
template <typename T>
static __device__ Lines<T> half_lines(const Block<T>& block, int level, int pyramids, int half) {
  const int64_t width = block.p.width[level];
  T* at = block.work + pyramids * block.p.group * block.p.pyramid;
  return {at + half * block.p.height[level - 1] * width, width, 1};
}

template <typename T>
static __device__ Lines<T> turned(const Lines<T>& lines) {
  return {lines.at, lines.step, lines.line};
}
template <typename T>
static __device__ Lines<const T> constant(const Lines<T>& lines) {
  return {lines.at, lines.line, lines.step};
}

// The approximation of a level goes to low, its details to the coefficients at out, unless null.
template <typename T>
static __device__ void analyse_level(const Block<T>& block, const Group& group, int level,
                                     const Lines<const T>& x, const Lines<T>& low, T* out,
                                     int pyramids) {
  const DwtParams& p = block.p;
  const int64_t height = p.height[level - 1], width = p.width[level - 1];
  const auto band = [&](int i) { return band_lines(p, out, group, level, i); };
  if (!p.images) {
    analyse_lines(block, x, group.count, width, low, band(1));
    return;
  }
  const Lines<T> left = half_lines(block, level, pyramids, 0);
  const Lines<T> right = half_lines(block, level, pyramids, 1);
  const int64_t columns = p.width[level];
  analyse_lines(block, x, height, width, left, right);
  analyse_lines(block, turned(constant(left)), columns, height, turned(low), turned(band(1)));
  if (out != nullptr)
    analyse_lines(block, turned(constant(right)), columns, height, turned(band(2)),
                  turned(band(3)));
}

// The halves of the rows of an image that its bands stand for.
template <typename T>
static __device__ void join_halves(const Block<T>& block, const Group& group, int level,
                                   const Lines<const T>& low, const T* coefficients, int pyramids) {
  const DwtParams& p = block.p;
  const auto band = [&](int i) { return turned(band_lines(p, coefficients, group, level, i)); };
  const int64_t columns = p.width[level], height = p.height[level - 1];
  synthesise_lines(block, turned(low), band(1), columns, height,
                   turned(half_lines(block, level, pyramids, 0)));
  synthesise_lines(block, band(2), band(3), columns, height,
                   turned(half_lines(block, level, pyramids, 1)));
}

template <typename T>
static __device__ void synthesise_level(const Block<T>& block, const Group& group, int level,
                                        const Lines<const T>& low, const T* coefficients,
                                        const Lines<T>& x) {
  const DwtParams& p = block.p;
  if (!p.images) {
    synthesise_lines(block, low, band_lines(p, coefficients, group, level, 1), group.count,
                     p.width[level - 1], x);
    return;
  }
  join_halves(block, group, level, low, coefficients, 1);
  synthesise_lines(block, constant(half_lines(block, level, 1, 0)),
                   constant(half_lines(block, level, 1, 1)), p.height[level - 1],
                   p.width[level - 1], x);
}

// Gradient of the filters at one level, and of the approximation above to grads, unless null.
template <typename T>
static __device__ void correlate_level(const Block<T>& block, const Group& group, int level,
                                       const Lines<const T>& x, const Lines<const T>& low,
                                       const Lines<T>& grads) {
  const DwtParams& p = block.p;
  const T* coefficients = static_cast<const T*>(p.coefficients);
  const int64_t height = p.height[level - 1], width = p.width[level - 1];
  const auto band = [&](int i) { return band_lines(p, coefficients, group, level, i); };
  if (!p.images) {
    correlate_lines(block, x, group.count, width, low, band(1));
    if (grads.at != nullptr) synthesise_lines(block, low, band(1), group.count, width, grads);
    return;
  }
  const Lines<T> left = half_lines(block, level, 2, 0), right = half_lines(block, level, 2, 1);
  const int64_t columns = p.width[level];
  analyse_lines(block, x, height, width, left, right);
  correlate_lines(block, turned(constant(left)), columns, height, turned(low), turned(band(1)));
  correlate_lines(block, turned(constant(right)), columns, height, turned(band(2)),
                  turned(band(3)));
  join_halves(block, group, level, low, coefficients, 2);
  correlate_lines(block, x, height, width, constant(left), constant(right));
  if (grads.at != nullptr)
    synthesise_lines(block, constant(left), constant(right), height, width, grads);
}

template <typename T>
static __device__ void analyse_group(const Block<T>& block, const Group& group, T* out) {
  const DwtParams& p = block.p;
  Lines<const T> x = signal_lines(p, static_cast<const T*>(p.signals), group);
  for (int level = 1; level <= (out == nullptr ? p.level - 1 : p.level); ++level) {
    const Lines<T> low =
        level == p.level ? band_lines(p, out, group, level, 0) : work_lines(block, level, 0);
    analyse_level(block, group, level, x, low, out, out == nullptr ? 2 : 1);
    x = constant(low);
  }
}

template <typename T>
static __device__ void synthesise_group(const Block<T>& block, const Group& group) {
  const DwtParams& p = block.p;
  const T* coefficients = static_cast<const T*>(p.coefficients);
  Lines<const T> low = band_lines(p, coefficients, group, p.level, 0);
  for (int level = p.level; level >= 1; --level) {
    const Lines<T> x = level == 1 ? signal_lines(p, static_cast<T*>(p.out), group)
                                  : work_lines(block, level - 1, 0);
    synthesise_level(block, group, level, low, coefficients, x);
    low = constant(x);
  }
}

template <typename T>
static __device__ void correlate_group(const Block<T>& block, const Group& group) {
  const DwtParams& p = block.p;
  analyse_group(block, group, static_cast<T*>(nullptr));
  Lines<const T> low = band_lines(p, static_cast<const T*>(p.coefficients), group, p.level, 0);
  for (int level = p.level; level >= 1; --level) {
    const Lines<const T> x = level == 1 ? signal_lines(p, static_cast<const T*>(p.signals), group)
                                        : constant(work_lines(block, level - 1, 0));
    const Lines<T> grads = level == 1 ? Lines<T>{nullptr, 0, 1} : work_lines(block, level - 1, 1);
    correlate_level(block, group, level, x, low, grads);
    low = constant(grads);
  }
}

enum class Task { analyse, synthesise, correlate };

// A block takes every n_parts-th group of signals through all levels.
template <Task kTask, typename T>
PYXAI_KERNEL __launch_bounds__(kBlock) dwt_kernel(DwtParams p) {
  PYXAI_DYNAMIC_SHARED(double, shared);
  const int t = static_cast<int>(threadIdx.x), n_sums = 2 * p.n_taps;
  T* bank = reinterpret_cast<T*>(shared + n_sums);
  T* work = p.work == nullptr ? bank + n_sums : static_cast<T*>(p.work) + blockIdx.x * p.work_size;
  const Block<T> block{p, shared, bank, work, dwt_left(p.extension, p.n_taps)};
  for (int i = t; i < n_sums; i += kBlock) {
    bank[i] = static_cast<const T*>(p.bank)[i];
    shared[i] = 0;
  }
  __syncthreads();
  for (int64_t first = blockIdx.x * p.group; first < p.n_signals; first += p.n_parts * p.group) {
    const int64_t left = p.n_signals - first;
    const Group group{first, left < p.group ? left : p.group};
    if constexpr (kTask == Task::analyse)
      analyse_group(block, group, static_cast<T*>(p.out));
    else if constexpr (kTask == Task::synthesise)
      synthesise_group(block, group);
    else
      correlate_group(block, group);
  }
  if constexpr (kTask == Task::correlate)
    for (int i = t; i < n_sums; i += kBlock) p.parts[blockIdx.x * n_sums + i] = shared[i];
}

PYXAI_KERNEL dwt_parts_kernel(DwtParams p) {
  for (int i = static_cast<int>(threadIdx.x); i < 2 * p.n_taps; i += kBlock) {
    double sum = 0;
    for (int64_t part = 0; part < p.n_parts; ++part) sum += p.parts[part * 2 * p.n_taps + i];
    static_cast<double*>(p.out)[i] = sum;
  }
}

template <Task kTask>
void launch_task(const DwtParams& p, void* stream) {
  const int64_t size = p.dtype == DType::f64 ? sizeof(double) : sizeof(float);
  const int64_t values = 2 * p.n_taps + (p.work == nullptr ? p.work_size : 0);
  const int64_t shared = 2 * p.n_taps * static_cast<int64_t>(sizeof(double)) + values * size;
  const auto kernel = p.dtype == DType::f64 ? dwt_kernel<kTask, double> : dwt_kernel<kTask, float>;
  PYXAI_LAUNCH(kernel, static_cast<unsigned>(p.n_parts), kBlock, shared, stream, p);
}

}  // namespace

void dwt(const DwtParams& p, void* stream) { launch_task<Task::analyse>(p, stream); }

void idwt(const DwtParams& p, void* stream) { launch_task<Task::synthesise>(p, stream); }

void dwt_filter_gradient(const DwtParams& p, void* stream) {
  launch_task<Task::correlate>(p, stream);
  PYXAI_LAUNCH(dwt_parts_kernel, 1, kBlock, 0, stream, p);
}

}  // namespace pyxai::PYXAI_BACKEND_NS
