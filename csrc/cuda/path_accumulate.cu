#include "../launch.h"
#include "../path_accumulate.h"
#include "../path_accumulate_element.h"

namespace pyxai::PYXAI_BACKEND_NS {
namespace {

template <typename T>
PYXAI_KERNEL path_accumulate_kernel(PathAccumulateParams p) {
  using acc_t = accumulate_t<T>;
  const T* grads = static_cast<const T*>(p.grads);
  acc_t* out = static_cast<acc_t*>(p.out);
  const int64_t count = p.batch * p.features;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += static_cast<int64_t>(gridDim.x) * blockDim.x) {
    acc_t sum = 0;
    for (int64_t s = 0; s < p.n_nodes; ++s)
      sum += static_cast<acc_t>(p.weights[s]) * load(grads[s * count + i]);
    out[i] += sum * path_difference<T>(p, i / p.features, i % p.features);
  }
}

}  // namespace

void path_accumulate(const PathAccumulateParams& p, void* stream) {
  const unsigned grid = grid_for(p.batch * p.features);
  PYXAI_VISIT_DTYPE(p.dtype,
                    PYXAI_LAUNCH(path_accumulate_kernel<scalar_t>, grid, kBlock, 0, stream, p));
}

}  // namespace pyxai::PYXAI_BACKEND_NS
