#include "../dwt.h"

#include <algorithm>
#include <vector>

#include "../dwt_element.h"
#include "dwt_lines.h"
#include "parallel.h"

namespace pyxai::cpu {
namespace {

// The bands of a level: its approximation, then its details.
template <typename T>
struct Bands {
  T* at[4];
};

// Position t of an extended line, beyond its ends, where the sample `place` stands; -1 for zero.
struct Outside {
  int64_t t, place;
};

// One thread's work space, and the passes over a line or an image.
template <typename T>
class Passes {
 public:
  explicit Passes(const DwtParams& p)
      : p_(p),
        n_(p.n_taps),
        left_(dwt_left(p.extension, p.n_taps)),
        analysis_(4 * n_),
        synthesis_(4 * n_),
        pyramid_(2 * p.pyramid) {
    const T* bank = static_cast<const T*>(p.bank);
    for (int64_t i = 0; i < n_; ++i) {
      analysis_[2 * i] = bank[i];
      analysis_[2 * i + 1] = bank[n_ + i];
    }
    // As `along` takes them: even and odd taps of h, then of g.
    for (int64_t m = 0; m < n_ / 2; ++m)
      for (int64_t i = 0; i < 4; ++i)
        analysis_[2 * n_ + 4 * m + i] = bank[i / 2 * n_ + 2 * m + i % 2];
    // Turned around: h and g for even positions, then for odd ones; for `across` line by line.
    for (int64_t m = 0; m < n_ / 2; ++m)
      for (int64_t i = 0; i < 4; ++i) {
        const int64_t tap = n_ - 2 - 2 * m;
        synthesis_[4 * m + i] = bank[i / 2 * n_ + tap + i % 2];
        synthesis_[2 * n_ + 4 * m + i] = bank[i % 2 * n_ + tap + i / 2];
      }
    const int64_t longest = std::max(p.height[1], p.width[1]) + n_ + kLanes<T>;
    for (std::vector<T>& line : halves_) line.assign(longest, T(0));
    for (int level = 0; level < p.level; ++level)
      for (int axis = 0; axis < (p.images ? 2 : 1); ++axis) {
        const int64_t length = axis == 0 ? p.width[level] : p.height[level];
        const int64_t total = dwt_extended(dwt_count(p.extension, length, n_), n_);
        for (int64_t t = 0; t < total; ++t) {
          if (t == left_) t += length;
          if (t < total)
            outside_[axis][level].push_back({t, dwt_place(p.extension, t - left_, length)});
        }
      }
    if (!p.images) return;
    stride_ = (p.width[1] + kAligned - 1) / kAligned * kAligned;
    ring_.assign(2 * (n_ + 1) * stride_ + kAligned, T(0));
    const int64_t bytes = -reinterpret_cast<intptr_t>(ring_.data()) & 63;
    rows_ = reinterpret_cast<T*>(reinterpret_cast<char*>(ring_.data()) + bytes);
    for (std::vector<T>& line : lines_) line.assign(stride_, T(0));
    pointers_.resize(2 * n_);
  }

  // Where the approximation of a level lies, of the signal or (1) of its gradient.
  T* approximation(int level, int which = 0) {
    return pyramid_.data() + which * p_.pyramid + p_.place[level];
  }

  void analyse_line(const T* x, int level, T* low, T* high) {
    split(x, level);
    const int64_t count = p_.width[level];
    along(halves_[0].data(), halves_[1].data(), &analysis_[2 * n_], n_ / 2, count, low, high);
  }

  // A place for a line that is not needed.
  T* waste() { return halves_[4].data(); }

  // Without details only the approximation is written.
  void analyse_image(const T* x, int level, const Bands<T>& bands, bool details) {
    const int64_t width = p_.width[level];
    each_window(x, level, [&](int64_t k, const T* const* low, const T* const* high) {
      const int64_t row = k * width;
      if (!details) {
        across(low, analysis_.data(), n_, width, bands.at[0] + row, lines_[0].data());
        return;
      }
      across(low, analysis_.data(), n_, width, bands.at[0] + row, bands.at[1] + row);
      across(high, analysis_.data(), n_, width, bands.at[2] + row, bands.at[3] + row);
    });
  }

  // x += or = the samples that the coefficients of one line stand for.
  void synthesise_line(const T* low, const T* high, int level, bool add, T* x) {
    const int64_t count = p_.width[level], length = p_.width[level - 1];
    const int64_t pad = n_ / 2 - 1, total = count + pad;
    const T* given[2] = {low, high};
    for (int i = 0; i < 2; ++i) {
      T* padded = halves_[2 + i].data();
      std::fill_n(padded, pad, T(0));
      std::copy_n(given[i], count, padded + pad);
      std::fill_n(padded + pad + count, pad, T(0));
    }
    T *even = halves_[4].data(), *odd = halves_[5].data();
    along(halves_[2].data(), halves_[3].data(), &synthesis_[2 * n_], n_ / 2, total, even, odd);
    const T* first = (left_ % 2 == 0 ? even : odd) + left_ / 2;
    const T* second = left_ % 2 == 0 ? odd + left_ / 2 : even + left_ / 2 + 1;
    weave(first, second, length / 2, add, x);
    if (length % 2 != 0) x[length - 1] = (add ? x[length - 1] : T(0)) + first[length / 2];
    if (p_.extension == Extension::zero) return;
    for (const Outside& each : outside_[0][level - 1])
      if (each.place >= 0) x[each.place] += (each.t % 2 == 0 ? even : odd)[each.t / 2];
  }

  void synthesise_image(const Bands<const T>& bands, int level, T* x) {
    const int64_t width = p_.width[level - 1];
    each_row(bands, level, [&](int64_t r, bool add, const T* low, const T* high) {
      synthesise_line(low, high, level, add, x + r * width);
    });
  }

  // sums += gradient of the filters; the gradient of the line goes to grads, unless null.
  void correlate_line(const T* x, const T* low, const T* high, int level, bool add, double* sums,
                      T* grads) {
    split(x, level);
    for (int64_t i = 0; i < n_; ++i)
      dots(halves_[i % 2].data() + i / 2, low, high, p_.width[level], n_, sums + i);
    if (grads != nullptr) synthesise_line(low, high, level, add, grads);
  }

  void correlate_image(const T* x, const Bands<const T>& bands, int level, double* sums, T* grads) {
    const int64_t width = p_.width[level], full = p_.width[level - 1];
    each_window(x, level, [&](int64_t k, const T* const* low, const T* const* high) {
      const int64_t row = k * width;
      for (int64_t i = 0; i < n_; ++i) {
        dots(low[i], bands.at[0] + row, bands.at[1] + row, width, n_, sums + i);
        dots(high[i], bands.at[2] + row, bands.at[3] + row, width, n_, sums + i);
      }
    });
    each_row(bands, level, [&](int64_t r, bool add, const T* low, const T* high) {
      correlate_line(x + r * full, low, high, level, add, sums,
                     grads == nullptr ? nullptr : grads + r * full);
    });
  }

 private:
  // Bring a line with what stands beyond its ends to even and odd positions.
  void split(const T* x, int level) {
    const int64_t length = p_.width[level - 1];
    T *even = halves_[0].data(), *odd = halves_[1].data();
    T* first = (left_ % 2 == 0 ? even : odd) + left_ / 2;
    T* second = left_ % 2 == 0 ? odd + left_ / 2 : even + left_ / 2 + 1;
    halve(x, length / 2, first, second);
    if (length % 2 != 0) first[length / 2] = x[length - 1];
    for (const Outside& each : outside_[0][level - 1])
      (each.t % 2 == 0 ? even : odd)[each.t / 2] = each.place < 0 ? T(0) : x[each.place];
  }

  // Call visit(k, low, high) for each row k of coefficients, with pointers to the n_taps rows that
  // it is computed from; rows are divided when the window reaches them.
  template <typename Visit>
  void each_window(const T* x, int level, const Visit& visit) {
    const int64_t height = p_.height[level - 1], width = p_.width[level - 1];
    const std::vector<Outside>& outside = outside_[1][level - 1];
    const auto place_of = [&](int64_t t) {
      if (t < left_) return outside[t].place;
      return t < left_ + height ? t - left_ : outside[t - height].place;
    };
    // Slots of the ring, and whether each row is there or zero, of the window at hand.
    int64_t done = 0, next = 0;
    for (int64_t k = 0; k < p_.height[level]; ++k) {
      for (int64_t i = 0; i + 2 < n_ && k > 0; ++i) {
        pointers_[i] = pointers_[i + 2];
        pointers_[n_ + i] = pointers_[n_ + i + 2];
      }
      for (; done < 2 * k + n_; ++done, next = next + 1 == n_ ? 0 : next + 1) {
        const int64_t place = place_of(done);
        T* row = ring_row(place < 0 ? n_ : next);
        if (place >= 0) analyse_line(x + place * width, level, row, row + stride_);
        pointers_[done - 2 * k] = row;
        pointers_[n_ + done - 2 * k] = row + stride_;
      }
      visit(k, pointers_.data(), pointers_.data() + n_);
    }
  }

  // Both halves of a row; the last row is zero.
  T* ring_row(int64_t i) { return rows_ + 2 * i * stride_; }

  // Call visit(r, add, low, high) with the halves of rows r: first each row once, then what rows
  // beyond the ends add.
  template <typename Visit>
  void each_row(const Bands<const T>& bands, int level, const Visit& visit) {
    const int64_t height = p_.height[level - 1];
    for (int64_t t = left_ - left_ % 2; t < left_ + height; t += 2) {
      join(bands, level, t / 2);
      for (int64_t odd = 0; odd < 2; ++odd) {
        const int64_t r = t + odd - left_;
        if (r >= 0 && r < height) visit(r, false, lines_[odd].data(), lines_[2 + odd].data());
      }
    }
    for (const Outside& each : outside_[1][level - 1]) {
      if (each.place < 0) continue;
      join(bands, level, each.t / 2);
      visit(each.place, true, lines_[each.t % 2].data(), lines_[2 + each.t % 2].data());
    }
  }

  // Rows 2 q and 2 q + 1 of the extended image: low halves in lines 0 and 1, high ones in 2 and 3.
  void join(const Bands<const T>& bands, int level, int64_t q) {
    const int64_t width = p_.width[level], count = p_.height[level], pad = n_ / 2 - 1;
    for (int half = 0; half < 2; ++half) {
      for (int64_t m = 0; m < n_ / 2; ++m) {
        const int64_t k = q - pad + m;
        const bool inside = k >= 0 && k < count;
        for (int i = 0; i < 2; ++i)
          pointers_[2 * m + i] = inside ? bands.at[2 * half + i] + k * width : ring_row(n_);
      }
      across(pointers_.data(), synthesis_.data(), n_, width, lines_[2 * half].data(),
             lines_[2 * half + 1].data());
    }
  }

  const DwtParams& p_;
  const int64_t n_, left_;
  std::vector<T> analysis_, synthesis_;  // taps: for `across`, then for `along`
  std::vector<T> pyramid_;
  std::vector<T> halves_[6];  // even and odd positions: given, padded coefficients, made
  std::vector<T> ring_, lines_[4];
  std::vector<const T*> pointers_;
  // By dimension (along a line, across lines) and level: what stands beyond the ends.
  std::vector<Outside> outside_[2][kMaxLevels];
  static constexpr int64_t kAligned = 64 / sizeof(T);  // elements of a cache line
  int64_t stride_ = 0;
  T* rows_ = nullptr;  // in ring_, where a cache line begins
};

template <typename C>
Bands<C> bands_of(const DwtParams& p, int level, C* approximation, C* coefficients) {
  Bands<C> bands{{approximation}};
  for (int band = 1; band < (p.images ? 4 : 2); ++band)
    bands.at[band] = dwt_band(p, coefficients, level, band);
  return bands;
}

// Details go to out; approximations of levels below the last to the work space.
template <typename T>
void analyse(const DwtParams& p, Passes<T>* passes, const T* x, T* out) {
  for (int level = 1; level <= p.level; ++level) {
    T* low = level == p.level ? out : passes->approximation(level);
    const Bands<T> bands = bands_of(p, level, low, out);
    if (p.images)
      passes->analyse_image(x, level, bands, true);
    else
      passes->analyse_line(x, level, low, bands.at[1]);
    x = low;
  }
}

// Approximations of levels below the last, to the work space.
template <typename T>
void approximate(const DwtParams& p, Passes<T>* passes, const T* x) {
  for (int level = 1; level < p.level; ++level) {
    T* low = passes->approximation(level);
    if (p.images)
      passes->analyse_image(x, level, {{low}}, false);
    else
      passes->analyse_line(x, level, low, passes->waste());
    x = low;
  }
}

template <typename T>
void synthesise(const DwtParams& p, Passes<T>* passes, const T* coefficients, T* out) {
  const T* low = coefficients;
  for (int level = p.level; level >= 1; --level) {
    T* x = level == 1 ? out : passes->approximation(level - 1);
    const Bands<const T> bands = bands_of(p, level, low, coefficients);
    if (p.images)
      passes->synthesise_image(bands, level, x);
    else
      passes->synthesise_line(low, bands.at[1], level, false, x);
    low = x;
  }
}

// The gradient goes up with the synthesis; at each level it meets the approximation that the
// analysis left there.
template <typename T>
void correlate(const DwtParams& p, Passes<T>* passes, const T* signal, const T* coefficients,
               double* sums) {
  approximate(p, passes, signal);
  const T* low = coefficients;
  for (int level = p.level; level >= 1; --level) {
    const T* x = level == 1 ? signal : passes->approximation(level - 1);
    T* grads = level == 1 ? nullptr : passes->approximation(level - 1, 1);
    const Bands<const T> bands = bands_of(p, level, low, coefficients);
    if (p.images)
      passes->correlate_image(x, bands, level, sums, grads);
    else
      passes->correlate_line(x, low, bands.at[1], level, false, sums, grads);
    low = grads;
  }
}

// Element operations of a signal, for the sharing among threads.
int64_t work_of(const DwtParams& p) { return 2 * p.n_taps * p.height[0] * p.width[0]; }

// Call visit(passes, i) for each signal.
template <typename T, typename Visit>
void each_signal(const DwtParams& p, const Visit& visit) {
  parallel_items(p.n_signals, work_of(p), [&](int64_t begin, int64_t end) {
    Passes<T> passes(p);
    for (int64_t i = begin; i < end; ++i) visit(&passes, i);
  });
}

template <typename T>
void analyse_signals(const DwtParams& p) {
  each_signal<T>(p, [&](Passes<T>* passes, int64_t i) {
    const int64_t samples = p.height[0] * p.width[0];
    analyse(p, passes, static_cast<const T*>(p.signals) + i * samples,
            static_cast<T*>(p.out) + i * p.n_coefficients);
  });
}

template <typename T>
void synthesise_signals(const DwtParams& p) {
  each_signal<T>(p, [&](Passes<T>* passes, int64_t i) {
    const int64_t samples = p.height[0] * p.width[0];
    synthesise(p, passes, static_cast<const T*>(p.coefficients) + i * p.n_coefficients,
               static_cast<T*>(p.out) + i * samples);
  });
}

template <typename T>
void correlate_signals(const DwtParams& p) {
  const int64_t samples = p.height[0] * p.width[0], n_sums = 2 * p.n_taps;
  const int64_t each = (p.n_signals + p.n_parts - 1) / p.n_parts;
  parallel_items(p.n_parts, 2 * each * work_of(p), [&](int64_t first, int64_t last) {
    Passes<T> passes(p);
    for (int64_t part = first; part < last; ++part) {
      double* sums = p.parts + part * n_sums;
      std::fill_n(sums, n_sums, 0.0);
      for (int64_t i = part * each; i < std::min(p.n_signals, (part + 1) * each); ++i)
        correlate(p, &passes, static_cast<const T*>(p.signals) + i * samples,
                  static_cast<const T*>(p.coefficients) + i * p.n_coefficients, sums);
    }
  });
  double* out = static_cast<double*>(p.out);
  std::copy_n(p.parts, n_sums, out);
  for (int64_t part = 1; part < p.n_parts; ++part)
    for (int64_t i = 0; i < n_sums; ++i) out[i] += p.parts[part * n_sums + i];
}

}  // namespace

void dwt(const DwtParams& p, void*) {
  p.dtype == DType::f64 ? analyse_signals<double>(p) : analyse_signals<float>(p);
}

void idwt(const DwtParams& p, void*) {
  p.dtype == DType::f64 ? synthesise_signals<double>(p) : synthesise_signals<float>(p);
}

void dwt_filter_gradient(const DwtParams& p, void*) {
  p.dtype == DType::f64 ? correlate_signals<double>(p) : correlate_signals<float>(p);
}

}  // namespace pyxai::cpu
