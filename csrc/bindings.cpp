// The only file that includes torch/extension.h (it costs more compile time than all others
// together).
#include <ATen/Parallel.h>
#include <torch/extension.h>

#include <algorithm>
#include <vector>

#include "dwt.h"
#include "ops.h"
#include "sizes.h"

#ifdef PYXAI_WITH_HOST_RUN
#include "host_run/runtime.h"
#include "host_run/selftest.h"
#endif

namespace py = pybind11;
using py::literals::operator""_a;

// Threads that share a loop of the CPU kernels: 1 where the module was built without OpenMP.
static int64_t loop_threads() {
  std::vector<int64_t> seen(at::get_num_threads());
  at::parallel_for(0, at::get_num_threads(), 1,
                   [&](int64_t, int64_t) { seen[at::get_thread_num()] = 1; });
  return std::count(seen.begin(), seen.end(), 1);
}

// Arguments have the names of ops.h and are given by name only: what is swapped is an error.
template <typename Function, typename... Names>
static void define(py::module_& m, const char* name, Function function, const Names&... names) {
  // Kernels touch no Python object, so other Python threads go on meanwhile.
  m.def(name, function, py::kw_only(), names..., py::call_guard<py::gil_scoped_release>());
}

static void define_perturbations(py::module_& m) {
  define(m, "masked_perturb", &pyxai::masked_perturb, "inputs"_a, "baselines"_a, "n_draws"_a,
         "masks"_a, "players"_a, "out"_a, "backend"_a);
  define(m, "masked_affine", &pyxai::masked_affine, "start"_a, "parts"_a, "masks"_a, "scales"_a,
         "relu"_a, "out"_a, "backend"_a);
  define(m, "ordered_affine", &pyxai::ordered_affine, "start"_a, "parts"_a, "orders"_a, "relu"_a,
         "out"_a, "backend"_a);
  define(m, "soft_perturb", &pyxai::soft_perturb, "inputs"_a, "baselines"_a, "n_draws"_a,
         "weights"_a, "players"_a, "out"_a, "backend"_a);
  define(m, "soft_perturb_backward", &pyxai::soft_perturb_backward, "grads"_a, "inputs"_a,
         "baselines"_a, "n_draws"_a, "weights"_a, "players"_a, "segments"_a, "grad_weights"_a,
         "grad_inputs"_a, "grad_baselines"_a, "backend"_a);
}

static void define_paths(py::module_& m) {
  define(m, "path_points", &pyxai::path_points, "inputs"_a, "baselines"_a, "nodes"_a, "rows"_a,
         "players"_a, "selected"_a, "out"_a, "backend"_a);
  define(m, "path_accumulate", &pyxai::path_accumulate, "grads"_a, "weights"_a, "inputs"_a,
         "baselines"_a, "players"_a, "selected"_a, "multiply_by_inputs"_a, "out"_a, "backend"_a);
  define(m, "path_moments", &pyxai::path_moments, "grads"_a, "weights"_a, "inputs"_a, "baselines"_a,
         "rows"_a, "origin"_a, "out"_a, "backend"_a);
  define(m, "player_sum", &pyxai::player_sum, "values"_a, "players"_a, "segments"_a, "n_players"_a,
         "out"_a, "backend"_a);
  define(m, "greedy_select", &pyxai::greedy_select, "sums"_a, "selected"_a, "n_select"_a,
         "absolute"_a, "indices"_a, "scores"_a, "backend"_a);
}

static void define_draws(py::module_& m) {
  define(m, "philox_random", &pyxai::philox_random, "example_ids"_a, "seed"_a, "stream"_a,
         "start"_a, "distribution"_a, "out"_a, "backend"_a);
  define(m, "sample_coalitions", &pyxai::sample_coalitions, "example_ids"_a, "seed"_a, "stream"_a,
         "start"_a, "law"_a, "paired"_a, "n_players"_a, "table"_a, "out"_a, "backend"_a);
  define(m, "sample_permutations", &pyxai::sample_permutations, "example_ids"_a, "seed"_a,
         "stream"_a, "start"_a, "antithetic"_a, "out"_a, "backend"_a);
  define(m, "permutation_prefixes", &pyxai::permutation_prefixes, "permutations"_a, "out"_a,
         "backend"_a);
}

static void define_effects(py::module_& m) {
  define(m, "moebius_transform", &pyxai::moebius_transform, "values"_a, "zeta"_a, "out"_a,
         "backend"_a);
  define(m, "table_sums", &pyxai::table_sums, "values"_a, "weights"_a, "orders"_a, "out"_a,
         "backend"_a);
  define(m, "pairwise_taylor_values", &pyxai::pairwise_taylor_values, "empty"_a, "single"_a,
         "pairs"_a, "from_input"_a, "out"_a, "backend"_a);
  define(m, "pairwise_taylor_hessian", &pyxai::pairwise_taylor_hessian, "hessian"_a, "delta"_a,
         "players"_a, "segments"_a, "n_players"_a, "row_start"_a, "products"_a, "accumulate"_a,
         "out"_a, "backend"_a);
  define(m, "share_bias", &pyxai::share_bias, "linear"_a, "judged"_a, "total"_a, "bias"_a,
         "magnitude"_a, "rounding"_a, "ties"_a, "out"_a, "tied"_a, "backend"_a);
}

static void define_wavelets(py::module_& m) {
  define(m, "dwt", &pyxai::dwt, "signals"_a, "bank"_a, "level"_a, "extension"_a, "out"_a,
         "backend"_a);
  define(m, "idwt", &pyxai::idwt, "coefficients"_a, "bank"_a, "level"_a, "extension"_a, "out"_a,
         "backend"_a);
  define(m, "dwt_filter_gradient", &pyxai::dwt_filter_gradient, "signals"_a, "coefficients"_a,
         "bank"_a, "level"_a, "extension"_a, "out"_a, "backend"_a);
}

PYBIND11_MODULE(TORCH_EXTENSION_NAME, m) {
  std::vector<std::string> backends{"cpu"};
#ifdef PYXAI_WITH_CUDA
  backends.push_back("cuda");
#endif
#ifdef PYXAI_WITH_HOST_RUN
  backends.push_back("host_run");
  m.def(
      "host_run_reverse_threads",
      [](bool reverse) { pyxai::host_run::reverse_threads() = reverse; }, "reverse"_a);
  m.def(
      "host_run_selftest",
      [](const std::string& name, const at::Tensor& values, at::Tensor& out) {
        pyxai::host_run::selftest(name, values.const_data_ptr<float>(), out.data_ptr<float>(),
                                  static_cast<int>(values.numel()));
      },
      "name"_a, "values"_a, "out"_a);
#endif
  m.attr("backends") = backends;
  m.attr("mask_bits") = pyxai::kMaskBits;
  m.attr("max_weight_rows") = pyxai::kMaxWeightRows;
  m.attr("max_levels") = pyxai::kMaxLevels;
  m.attr("max_taps") = pyxai::kMaxTaps;
  m.def("loop_threads", &loop_threads);
  define_perturbations(m);
  define_paths(m);
  define_draws(m);
  define_effects(m);
  define_wavelets(m);
}
