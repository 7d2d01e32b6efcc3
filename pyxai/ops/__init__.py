"""The package's own operations: checked wrappers of native kernels beside plain references.

May import torch, the native module and the checks. Start with `path_accumulate`.
"""

from __future__ import annotations

from pyxai.ops.dwt import (
    WAVELET_MODES,
    dwt,
    dwt_reference,
    filter_bank,
    idwt,
    idwt_reference,
    idwt_transpose,
    wavelet_bands,
)
from pyxai.ops.greedy_select import greedy_select, greedy_select_reference
from pyxai.ops.interaction_indices import (
    INTERACTION_INDICES,
    Interactions,
    interaction_indices_from_table,
    interaction_indices_from_table_reference,
    pair_interactions_from_table,
    shapley_values_from_table,
)
from pyxai.ops.masked_affine import masked_affine, masked_affine_reference
from pyxai.ops.masked_perturb import masked_perturb, masked_perturb_reference
from pyxai.ops.masks import pack_masks, unpack_masks
from pyxai.ops.moebius_transform import (
    moebius_transform,
    moebius_transform_reference,
    zeta_transform,
    zeta_transform_reference,
)
from pyxai.ops.ordered_affine import ordered_affine, ordered_affine_reference
from pyxai.ops.pairwise_taylor import (
    pairwise_taylor_hessian,
    pairwise_taylor_hessian_reference,
    pairwise_taylor_products,
    pairwise_taylor_products_reference,
    pairwise_taylor_values,
    pairwise_taylor_values_reference,
)
from pyxai.ops.path_accumulate import path_accumulate, path_accumulate_reference
from pyxai.ops.path_moments import path_moments, path_moments_reference
from pyxai.ops.path_points import path_points, path_points_reference
from pyxai.ops.philox_random import (
    philox_normal,
    philox_random,
    philox_random_reference,
    philox_uniform,
    philox_words_reference,
)
from pyxai.ops.player_sum import player_sum, player_sum_reference
from pyxai.ops.sample_coalitions import (
    sample_coalitions,
    sample_coalitions_reference,
    shapley_kernel_size_weights,
)
from pyxai.ops.sample_permutations import (
    permutation_prefixes,
    permutation_prefixes_reference,
    sample_permutations,
    sample_permutations_reference,
)
from pyxai.ops.share_bias import share_bias, share_bias_reference
from pyxai.ops.soft_perturb import soft_perturb, soft_perturb_reference
from pyxai.ops.table_sums import TableSums, table_sums, table_sums_reference

__all__ = [
    "INTERACTION_INDICES",
    "WAVELET_MODES",
    "Interactions",
    "TableSums",
    "dwt",
    "dwt_reference",
    "filter_bank",
    "greedy_select",
    "greedy_select_reference",
    "idwt",
    "idwt_reference",
    "idwt_transpose",
    "interaction_indices_from_table",
    "interaction_indices_from_table_reference",
    "masked_affine",
    "masked_affine_reference",
    "masked_perturb",
    "masked_perturb_reference",
    "moebius_transform",
    "moebius_transform_reference",
    "ordered_affine",
    "ordered_affine_reference",
    "pack_masks",
    "pair_interactions_from_table",
    "pairwise_taylor_hessian",
    "pairwise_taylor_hessian_reference",
    "pairwise_taylor_products",
    "pairwise_taylor_products_reference",
    "pairwise_taylor_values",
    "pairwise_taylor_values_reference",
    "path_accumulate",
    "path_accumulate_reference",
    "path_moments",
    "path_moments_reference",
    "path_points",
    "path_points_reference",
    "permutation_prefixes",
    "permutation_prefixes_reference",
    "philox_normal",
    "philox_random",
    "philox_random_reference",
    "philox_uniform",
    "philox_words_reference",
    "player_sum",
    "player_sum_reference",
    "sample_coalitions",
    "sample_coalitions_reference",
    "sample_permutations",
    "sample_permutations_reference",
    "shapley_kernel_size_weights",
    "shapley_values_from_table",
    "share_bias",
    "share_bias_reference",
    "soft_perturb",
    "soft_perturb_reference",
    "table_sums",
    "table_sums_reference",
    "unpack_masks",
    "wavelet_bands",
    "zeta_transform",
    "zeta_transform_reference",
]
