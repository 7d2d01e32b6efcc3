"""Which ops are affine, and how much of a model before its first nonlinearity is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pyxai.tracing.nodes import Node, op_names

if TYPE_CHECKING:
    from pyxai.tracing.graph import Graph

__all__ = [
    "AFFINE",
    "BILINEAR",
    "LINEAR_MAPS",
    "POSITIVE",
    "STRUCTURAL",
    "AffinePrefix",
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


@dataclass(frozen=True, eq=False)
class AffinePrefix:
    """The affine ops between an input and the model's first nonlinear ops.

    ``boundary`` holds the values that nonlinear ops (or the output) read. They are
    ``z(x) = W x + c`` with ``linear(d) = W d``; ``resume(z)`` gives the output. So a model need
    not run its first layer again for each of many perturbations of one input.
    """

    graph: Graph
    input_index: int
    boundary: tuple[Node, ...]
    n_ops: int

    def apply(
        self, inputs: Sequence[Tensor], additional_forward_args: tuple[Any, ...] = ()
    ) -> dict[Node, Tensor]:
        """Return the boundary values for the model's inputs."""
        values = self.graph.run(
            inputs, additional_forward_args, targets=self.boundary, keep=self.boundary.__contains__
        )
        return {node: values[node] for node in self.boundary}

    def linear(
        self,
        directions: Tensor,  # [batch, *features]
        inputs: Sequence[Tensor],
        additional_forward_args: tuple[Any, ...] = (),
    ) -> dict[Node, Tensor]:
        """Return how the boundary values change when the input changes by ``directions``.

        Parameters
        ----------
        directions : Tensor, shape [batch, *features]
            Changes of the input that the prefix starts at, in its units.
        inputs : sequence of Tensor
            All inputs of the model, row by row with ``directions``; the changed one is not read.
        additional_forward_args : tuple
            Further arguments of the model.
        """
        there, here = list(inputs), list(inputs)
        there[self.input_index] = directions
        here[self.input_index] = torch.zeros_like(directions)
        changed = self.apply(there, additional_forward_args)
        origin = self.apply(here, additional_forward_args)
        return {node: changed[node] - origin[node] for node in self.boundary}

    def resume(
        self,
        boundary: dict[Node, Tensor],
        inputs: Sequence[Tensor] = (),
        additional_forward_args: tuple[Any, ...] = (),
    ) -> Tensor:
        """Return the model's output from boundary values, without its affine prefix.

        Parameters
        ----------
        boundary : dict of Node to Tensor
            Values where the prefix ends, as `apply` and sums with `linear` give them.
        inputs : sequence of Tensor
            What the rest of the model reads of its inputs. Without them the first axis of the
            boundary values counts as the batch, and the model must not read other inputs.
        additional_forward_args : tuple
            Further arguments of the model.
        """
        graph = self.graph
        given = list(inputs)
        if not given:  # only their shapes are read
            first = next(iter(boundary.values()))
            nothing = first.new_full((), torch.nan)
            given = [
                nothing.expand(first.shape[0], *features) for features in graph.program.features
            ]
        values = graph.run(
            given, additional_forward_args, start=dict(boundary), keep=lambda node: False
        )
        output: Tensor = values[graph.output]
        return output


def affine_prefix(graph: Graph, input_index: int) -> AffinePrefix | None:
    """Return the affine ops after an input, ``None`` if the first op is nonlinear already."""
    source = graph.inputs[input_index]
    reached = {source}
    prefix = {source}
    for node in graph.nodes:
        if node.kind != "call" or not node.depends:
            continue
        dependents = [operand for operand in node.operands() if operand in reached]
        if not dependents:
            continue
        reached.add(node)
        known = all(operand in prefix for operand in dependents)
        if known and is_affine(node) and not node.is_complex:
            prefix.add(node)
    boundary = [
        node
        for node in graph.nodes
        if node in prefix
        and (
            node is graph.output or any(user.depends and user not in prefix for user in node.users)
        )
    ]
    if source in boundary:
        return None
    # A list of split parts is no tensor to restart from.
    if any(node.op in {"chunk", "split", "split_with_sizes", "unbind"} for node in boundary):
        return None
    return AffinePrefix(graph, input_index, tuple(boundary), len(prefix) - 1)
