// Which features and masks each thread is given where rows [batch, n_masks, n_draws, features] are
// written: what masked_perturb and soft_perturb share.
#pragma once

#include "../launch.h"
#include "pack.h"

namespace pyxai::PYXAI_BACKEND_NS {
namespace {

// One thread writes N features of `rows_each` masks: inputs, baselines and players are read once
// for all of them.
struct MaskRowPlan {
  int64_t chunks;     // packs of N features of a row
  int64_t groups;     // of at most rows_each masks
  int64_t rows_each;  // masks of a group
  int64_t count;      // threads' worth of work
};

struct MaskRows {
  int64_t b, d, f;     // example, draw, first feature
  int64_t begin, end;  // masks
};

template <int N, typename Params>
static inline MaskRowPlan plan_mask_rows(const Params& p) {
  const int64_t chunks = p.features / N, columns = chunks * p.n_draws * p.batch;
  const int64_t rows_each = items_each(columns, p.n_masks);
  const int64_t groups = (p.n_masks + rows_each - 1) / rows_each;
  return {chunks, groups, rows_each, columns * groups};
}

template <int N, typename Params>
PYXAI_HD MaskRows mask_rows(const Params& p, const MaskRowPlan& plan, int64_t index) {
  const int64_t rest = divide(index, plan.chunks), chunk = index - rest * plan.chunks;
  const int64_t example_draw = divide(rest, plan.groups);
  const int64_t begin = (rest - example_draw * plan.groups) * plan.rows_each;
  const int64_t b = divide(example_draw, p.n_draws), d = example_draw - b * p.n_draws;
  const int64_t end = begin + plan.rows_each;
  return {b, d, chunk * N, begin, end < p.n_masks ? end : p.n_masks};
}

}  // namespace
}  // namespace pyxai::PYXAI_BACKEND_NS
