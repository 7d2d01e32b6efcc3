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

  m.def("masked_perturb", &pyxai::masked_perturb);
  m.def("greedy_select", &pyxai::greedy_select);
  m.def("path_accumulate", &pyxai::path_accumulate);
  m.def("path_moments", &pyxai::path_moments);
  m.def("path_points", &pyxai::path_points);
  m.def("player_sum", &pyxai::player_sum);
  m.def("soft_perturb", &pyxai::soft_perturb);
  m.def("soft_perturb_backward", &pyxai::soft_perturb_backward);
  m.def("philox_random", &pyxai::philox_random);
  m.def("sample_coalitions", &pyxai::sample_coalitions);
  m.def("sample_permutations", &pyxai::sample_permutations);
  m.def("permutation_prefixes", &pyxai::permutation_prefixes);
  m.def("moebius_transform", &pyxai::moebius_transform);
  m.def("table_sums", &pyxai::table_sums);
  m.def("pairwise_taylor_values", &pyxai::pairwise_taylor_values);
  m.def("pairwise_taylor_hessian", &pyxai::pairwise_taylor_hessian);
}
