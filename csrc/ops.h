// The tensor-level functions of all ops, one declaration each; `bindings.cpp` exposes them to
// Python.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace pyxai {

// A tensor [1 or batch, n_draws * features], or one number for all features.
using Baselines = std::variant<at::Tensor, double>;
// Features in the order of their players, int32 [1 or batch, features], and where each player's
// begin, int32 [1 or batch, n_players + 1].
using Segments = std::pair<at::Tensor, at::Tensor>;

void masked_perturb(const at::Tensor& inputs, const Baselines& baselines, int64_t n_draws,
                    const at::Tensor& masks, const std::optional<at::Tensor>& players,
                    at::Tensor& out, const std::string& backend);

void masked_affine(const at::Tensor& start, const at::Tensor& parts,
                   const std::optional<at::Tensor>& masks, const std::optional<at::Tensor>& scales,
                   bool relu, at::Tensor& out, const std::string& backend);

void ordered_affine(const at::Tensor& start, const at::Tensor& parts,
                    const std::optional<at::Tensor>& orders, bool relu, at::Tensor& out,
                    const std::string& backend);

void greedy_select(const at::Tensor& sums, at::Tensor& selected, int64_t n_select, bool absolute,
                   at::Tensor& indices, at::Tensor& scores, const std::string& backend);

void path_accumulate(const at::Tensor& grads, const at::Tensor& weights, const at::Tensor& inputs,
                     const Baselines& baselines, const std::optional<at::Tensor>& players,
                     const std::optional<at::Tensor>& selected, bool multiply_by_inputs,
                     at::Tensor& out, const std::string& backend);

void path_moments(const at::Tensor& grads, const at::Tensor& weights,
                  const std::optional<at::Tensor>& inputs,
                  const std::optional<at::Tensor>& baselines, const std::optional<at::Tensor>& rows,
                  const std::optional<at::Tensor>& origin, at::Tensor& out,
                  const std::string& backend);

void path_points(const at::Tensor& inputs, const Baselines& baselines, const at::Tensor& nodes,
                 const std::optional<at::Tensor>& rows, const std::optional<at::Tensor>& players,
                 const std::optional<at::Tensor>& selected, at::Tensor& out,
                 const std::string& backend);

void player_sum(const at::Tensor& values, const std::optional<at::Tensor>& players,
                const std::optional<Segments>& segments, int64_t n_players, at::Tensor& out,
                const std::string& backend);

void philox_random(const at::Tensor& example_ids, int64_t seed, int64_t stream, int64_t start,
                   const std::string& distribution, at::Tensor& out, const std::string& backend);

void sample_coalitions(const at::Tensor& example_ids, int64_t seed, int64_t stream, int64_t start,
                       const std::string& law, bool paired, int64_t n_players,
                       const at::Tensor& table, at::Tensor& out, const std::string& backend);

void sample_permutations(const at::Tensor& example_ids, int64_t seed, int64_t stream, int64_t start,
                         bool antithetic, at::Tensor& out, const std::string& backend);

void permutation_prefixes(const at::Tensor& permutations, at::Tensor& out,
                          const std::string& backend);

void moebius_transform(const at::Tensor& values, bool zeta, at::Tensor& out,
                       const std::string& backend);

void table_sums(const at::Tensor& values, const at::Tensor& weights,
                const std::vector<int64_t>& orders, at::Tensor& out, const std::string& backend);

void pairwise_taylor_values(const at::Tensor& empty, const at::Tensor& single,
                            const at::Tensor& pairs, bool from_input, at::Tensor& out,
                            const std::string& backend);

void pairwise_taylor_hessian(const at::Tensor& hessian, const at::Tensor& delta,
                             const std::optional<at::Tensor>& players,
                             const std::optional<Segments>& segments, int64_t n_players,
                             int64_t row_start, bool products, bool accumulate, at::Tensor& out,
                             const std::string& backend);

void soft_perturb(const at::Tensor& inputs, const Baselines& baselines, int64_t n_draws,
                  const at::Tensor& weights, const std::optional<at::Tensor>& players,
                  at::Tensor& out, const std::string& backend);

void soft_perturb_backward(const at::Tensor& grads, const at::Tensor& inputs,
                           const Baselines& baselines, int64_t n_draws, const at::Tensor& weights,
                           const std::optional<at::Tensor>& players,
                           const std::optional<Segments>& segments,
                           const std::optional<at::Tensor>& grad_weights,
                           const std::optional<at::Tensor>& grad_inputs,
                           const std::optional<at::Tensor>& grad_baselines,
                           const std::string& backend);

void share_bias(const at::Tensor& linear, const std::optional<at::Tensor>& judged,
                const at::Tensor& total, const at::Tensor& bias, const at::Tensor& magnitude,
                const at::Tensor& rounding, const at::Tensor& ties, at::Tensor& out,
                at::Tensor& tied, const std::string& backend);

void dwt(const at::Tensor& signals, const at::Tensor& bank, int64_t level,
         const std::string& extension, at::Tensor& out, const std::string& backend);

void idwt(const at::Tensor& coefficients, const at::Tensor& bank, int64_t level,
          const std::string& extension, at::Tensor& out, const std::string& backend);

void dwt_filter_gradient(const at::Tensor& signals, const at::Tensor& coefficients,
                         const at::Tensor& bank, int64_t level, const std::string& extension,
                         at::Tensor& out, const std::string& backend);

}  // namespace pyxai
