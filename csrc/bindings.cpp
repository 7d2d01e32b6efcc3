// The only file that includes torch/extension.h (it costs more compile time than all others
// together).
#include <ATen/Parallel.h>
#include <torch/extension.h>

#include <algorithm>
#include <vector>

#include "ops.h"

#ifdef PYXAI_WITH_HOST_RUN
#include "host_run/runtime.h"
#include "host_run/selftest.h"
#endif

// Threads that share a loop of the CPU kernels: 1 where the module was built without OpenMP.
static int64_t loop_threads() {
  std::vector<int64_t> seen(at::get_num_threads());
  at::parallel_for(0, at::get_num_threads(), 1,
                   [&](int64_t, int64_t) { seen[at::get_thread_num()] = 1; });
  return std::count(seen.begin(), seen.end(), 1);
}

PYBIND11_MODULE(TORCH_EXTENSION_NAME, m) {
  std::vector<std::string> backends{"cpu"};
#ifdef PYXAI_WITH_CUDA
  backends.push_back("cuda");
#endif
#ifdef PYXAI_WITH_HOST_RUN
  backends.push_back("host_run");
  m.def("host_run_reverse_threads",
        [](bool reverse) { pyxai::host_run::reverse_threads() = reverse; });
  m.def("host_run_selftest", [](const std::string& name, const at::Tensor& in, at::Tensor& out) {
    pyxai::host_run::selftest(name, in.const_data_ptr<float>(), out.data_ptr<float>(),
                              static_cast<int>(in.numel()));
  });
#endif
  m.attr("backends") = backends;
  m.def("loop_threads", &loop_threads);

  // Kernels touch no Python object, so other Python threads go on meanwhile.
  const auto def = [&m](const char* name, auto function) {
    m.def(name, function, pybind11::call_guard<pybind11::gil_scoped_release>());
  };
  def("masked_perturb", &pyxai::masked_perturb);
  def("greedy_select", &pyxai::greedy_select);
  def("path_accumulate", &pyxai::path_accumulate);
  def("path_moments", &pyxai::path_moments);
  def("path_points", &pyxai::path_points);
  def("player_sum", &pyxai::player_sum);
  def("soft_perturb", &pyxai::soft_perturb);
  def("soft_perturb_backward", &pyxai::soft_perturb_backward);
  def("philox_random", &pyxai::philox_random);
  def("sample_coalitions", &pyxai::sample_coalitions);
  def("sample_permutations", &pyxai::sample_permutations);
  def("permutation_prefixes", &pyxai::permutation_prefixes);
  def("moebius_transform", &pyxai::moebius_transform);
  def("table_sums", &pyxai::table_sums);
  def("pairwise_taylor_values", &pyxai::pairwise_taylor_values);
  def("pairwise_taylor_hessian", &pyxai::pairwise_taylor_hessian);
}
