"""Which ops are affine."""

from __future__ import annotations

from pyxai.tracing.nodes import Node, op_names

__all__ = [
    "AFFINE",
    "BILINEAR",
    "LINEAR_MAPS",
    "POSITIVE",
    "STRUCTURAL",
    "is_affine",
]

# Each element of the result is one element of an operand, or a constant.
STRUCTURAL = op_names(
    """_reshape_alias _to_copy _unsafe_view alias as_strided cat channel_shuffle chunk clone
    constant_pad_nd contiguous copy detach diagonal diag_embed expand flatten flip gather getitem
    im2col index index_put index_select lift_fresh_copy masked_fill movedim narrow permute
    pixel_shuffle pixel_unshuffle reflection_pad1d reflection_pad2d reflection_pad3d repeat
    replication_pad1d replication_pad2d replication_pad3d reshape roll scatter select
    select_scatter slice slice_scatter split split_with_sizes squeeze stack t to transpose tril
    triu unbind unfold unsqueeze upsample_nearest1d upsample_nearest2d upsample_nearest3d view
    where"""
)
# Sums of operand elements with weights >= 0 that do not depend on the model's parameters.
POSITIVE = op_names(
    """adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d _adaptive_avg_pool2d
    _adaptive_avg_pool3d add avg_pool1d avg_pool2d avg_pool3d col2im cumsum mean scatter_add sum
    upsample_bilinear2d upsample_linear1d upsample_trilinear3d"""
)
# Products: affine as long as only one factor depends on the inputs.
BILINEAR = op_names(
    """_trilinear addmm addmv baddbmm bmm convolution dot linear matmul mm mul mv"""
)
AFFINE = (
    STRUCTURAL
    | POSITIVE
    | op_names("_native_batch_norm_legit_no_training neg rsub sub upsample_bicubic2d")
)

# Linear maps between whole tensors, by the operands in which they are linear.
_LINEAR_IN = {
    "B": "_linalg_solve_ex linalg_lu_solve linalg_solve_triangular",
    "input": "grid_sampler_2d grid_sampler_3d",
    "self": """_conj _fft_c2c _fft_c2r _fft_r2c cholesky_solve conj conj_physical imag real
        resolve_conj view_as_complex view_as_real""",
    "real imag": "complex",
}
LINEAR_MAPS = {op: op_names(names) for names, ops in _LINEAR_IN.items() for op in op_names(ops)}

# Arguments of the ops above in which they are not affine.
_SELECTORS = frozenset({"condition", "index", "indices", "mask"})
_ADDENDS = frozenset({"bias"})  # and "self" of addmm-like ops


def is_affine(node: Node) -> bool:
    """Whether an op is an affine function of the operands that depend on the inputs."""
    if "affine" not in node.memory:
        node.memory["affine"] = _is_affine(node)
    return bool(node.memory["affine"])


def _is_affine(node: Node) -> bool:
    names = set(node.dependents())
    if node.op in AFFINE:
        return not names & _SELECTORS and not names & {"weight", "running_mean", "running_var"}
    if node.op in LINEAR_MAPS:
        return names <= LINEAR_MAPS[node.op]
    if node.op == "lerp":
        return "weight" not in names
    if node.op == "div":
        return names == {"self"} and node.args.get("rounding_mode") is None
    if node.op in BILINEAR:
        addends = {"self"} if node.op in {"addmm", "addmv", "baddbmm"} else _ADDENDS
        return len(names - addends) <= 1
    return False
