"""Which share of the inputs that a value reads belongs to the group.

Where neither part has anything to say about a bias (a black background, a dead unit), the bias is
shared by coverage, so that an empty group gets none of it and a full one all. An input counts as
often as it is read on the way, by weights other than 0. What reads no input is a constant of the
model, which belongs to nobody but all features together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from pyxai._inputs import flat_features
from pyxai.propagation.decomposed.affine import CONSTANTS
from pyxai.propagation.decomposed.kinds import FROZEN, SOFTMAX, SPLIT, WORDS
from pyxai.propagation.decomposed.norms import NORMS
from pyxai.propagation.decomposed.selections import EXTREMA, ORDERED, POOLS, picks
from pyxai.propagation.decomposed.totals import Totals
from pyxai.tracing import BILINEAR, LINEAR_MAPS, POSITIVE, STRUCTURAL, Call, Node, Run
from pyxai.tracing.interpreter import invoke
from pyxai.tracing.nodes import operands, substitute

__all__ = ["Coverage"]

_MATRIX = BILINEAR - {"mul"}
_POOLED = POSITIVE - {"add"}
_LAYERS = frozenset({"linear", "convolution"})
_VIEWS = frozenset({"view", "_unsafe_view"})


class Coverage:
    """Shares of the groups of one pass, computed where they are asked for.

    Parameters
    ----------
    kinds : dict
        Which values are split.
    totals : Totals
        They decide what a max pool selects.
    masks : dict of Node to Tensor, shape [rows, *features]
        Share of the group in every feature of each input.
    known : dict of Node to Tensor, optional
        Shares of other values that are known already.
    """

    def __init__(
        self,
        kinds: Mapping[Node, str],
        totals: Totals,
        masks: Mapping[Node, Tensor],
        known: Mapping[Node, Tensor] | None = None,
    ) -> None:
        self.kinds, self.totals = kinds, totals
        self.constants: Run | None = None
        self.known: dict[Node, Any] = {**masks, **(known or {})}
        least = [flat_features(mask).amin(1) for mask in masks.values() if mask.numel()]
        self.of_constants = (torch.stack(least).amin(0) >= 1).to(least[0])  # [rows]

    def __getitem__(self, node: Node) -> Any:
        if not node.depends:
            assert self.constants is not None
            return self.constants[node]
        if self.kinds[node] == FROZEN:
            return self.totals.full(node)
        return self.known[node]

    def shape(self, node: Node) -> torch.Size:
        """Return the shape of a value."""
        return self.totals.shape(node)

    def of_value(self, node: Node, constants: Run) -> Tensor:
        """Return the share of every element of a node's value, in the value's shape.

        ``constants`` has the values that do not depend on the inputs.
        """
        self.constants = constants
        for each in self._missing(node):
            self.known[each] = self.share(Call(each, (self,)))
        found: Tensor = self.known[node]
        return found

    def of_step(self, node: Node, policy: str, constants: Run) -> Tensor | float:
        """Return the share of the token that a recurrent step reads, [rows, 1].

        ``"paper"`` gives nothing to the group, ``"phrase_exclusive"`` nothing at the last token of
        a phrase.
        """
        if policy == "paper":
            return 0.0
        role = node.memory["recurrent"]
        steps = self.of_value(role.sequence, constants)
        now = steps[role.time].mean(-1, keepdim=True)
        if policy == "phrase_inclusive":
            return now
        if role.time + 1 == role.length:
            return 0.0
        return torch.minimum(now, steps[role.time + 1].mean(-1, keepdim=True))

    def _missing(self, node: Node) -> list[Node]:
        """Return what must be known first, in order."""
        found, stack = set(), [node]
        while stack:
            each = stack.pop()
            if each in self.known or each in found or not each.depends:
                continue
            if self.kinds[each] == FROZEN:
                continue
            found.add(each)
            stack.extend(each.operands())
        return sorted(found, key=lambda each: each.index)

    def share(self, call: Call) -> Any:
        """Return the share of every element of an op's value from those of its operands."""
        node = call.node
        if node.op == "getitem":
            source = self.known[node.args["0"]]
            return source[node.args["1"]] if isinstance(source, (list, tuple)) else source
        if node.op == "embedding":
            mask = self.known[node.args["indices"]].unsqueeze(-1)
            return mask.expand(self.totals.shape(node))
        if node.op in _MATRIX:
            return self._mean_of_terms(call)
        if node.op in CONSTANTS:
            return self._beside_constants(call)
        if node.op in STRUCTURAL:
            return self._at(call, lambda each: self.known[each])
        if node.op in _POOLED:
            ones = self._at(call, lambda each: torch.ones_like(self.known[each]))
            return self._quotient(call, self._at(call, lambda each: self.known[each]), ones)
        if node.op in LINEAR_MAPS:
            return self._mapped(call)
        if node.op in (*POOLS, *EXTREMA) or (node.op in ORDERED and "dim" in node.args):
            source = node.args[call.sole()]
            return picks(call, self.totals.lean(source))(self.known[source])
        return self._elementwise(call)

    def _at(self, call: Call, value: Any) -> Any:
        """Run an op with ``value(node)`` in place of what is split."""
        arguments = {
            name: substitute(each, self._or(value)) for name, each in call.node.args.items()
        }
        if call.node.op in _VIEWS:
            return arguments["self"].reshape(arguments["size"])
        if call.node.op in ("_to_copy", "to"):
            return arguments["self"]
        return invoke(call.node, arguments)

    def _or(self, value: Any) -> Any:
        def lookup(node: Node) -> Any:
            return value(node) if self._is_known(node) else self[node]

        return lookup

    def _is_known(self, node: Node) -> bool:
        return node.depends and self.kinds[node] in (SPLIT, WORDS)

    def _names(self, call: Call) -> list[str]:
        """Names of the arguments that are split."""
        args = call.node.args
        return [n for n in call.dependents() if any(map(self._is_known, operands((args[n],))))]

    def _quotient(self, call: Call, part: Tensor, whole: Tensor) -> Tensor:
        nobody = whole == 0
        if not bool(nobody.any()):
            return part / whole
        constant = self.totals.per_row(self.of_constants, call.node, part)
        return torch.where(nobody, constant, part / torch.where(nobody, 1, whole))

    def _mean_of_terms(self, call: Call) -> Tensor:
        """Mean of what a product sums, every weight other than 0 taken as 1."""
        parts, wholes = [], []
        addend = {"addmm": "self", "addmv": "self", "baddbmm": "self"}.get(call.node.op, "bias")
        for name in self._names(call):
            if name == addend:
                continue
            share = self.known[call.node.args[name]]
            arguments = {key: _one(value, share) for key, value in call.arguments().items()}
            arguments.update(_without_addend(call))
            parts.append(invoke(call.node, {**arguments, name: share}))
            # The weights of a layer are the same for all rows.
            alike = call.node.op in _LAYERS and name == "input" and share.dim() > 1
            ones = torch.ones_like(share[:1] if alike else share)
            wholes.append(invoke(call.node, {**arguments, name: ones}))
        return self._quotient(call, sum(parts[1:], parts[0]), sum(wholes[1:], wholes[0]))

    def _beside_constants(self, call: Call) -> Tensor:
        nothing = self._at(call, lambda each: torch.zeros_like(self.known[each]))
        part = self._at(call, lambda each: self.known[each])
        whole = self._at(call, lambda each: torch.ones_like(self.known[each]))
        part, whole = (torch.nan_to_num(each - nothing, nan=0.0) for each in (part, whole))
        return self._quotient(call, part, whole)

    def _mapped(self, call: Call) -> Tensor:
        """Mean over the axes of a linear map of whole tensors."""
        op, found = call.node.op, []
        shape = self.totals.shape(self._first(call.node))
        for name in self._names(call):
            share = self.known[call.node.args[name]]
            if op == "view_as_complex":
                share = share.mean(-1)
            elif op == "view_as_real":
                share = share.unsqueeze(-1)
            elif op.startswith("_fft"):
                share = share.mean(call["dim"], keepdim=True)
            elif op.startswith("grid_sampler"):
                share = share.mean(tuple(range(2, share.dim())), keepdim=True)
            elif "solve" in op:
                left = call["left"] if "left" in call.node.args else True
                share = share.mean(-2 if left else -1, keepdim=True)
            found.append(share.expand(shape))
        return torch.stack(found).mean(0)

    def _elementwise(self, call: Call) -> Tensor:
        """Mean over what is read together: both operands, or an axis."""
        node = call.node
        shape = self.totals.shape(self._first(node))
        found = []
        for name in self._names(call):
            share = self.known[node.args[name]]
            if node.op in NORMS:
                axes = len(call["normalized_shape"]) if node.op[0] in "lr" else share.dim() - 2
                share = share.mean(tuple(range(-axes, 0)), keepdim=True) if axes else share
            elif node.op in SOFTMAX or node.op == "_log_softmax":
                share = share.mean(call["dim"], keepdim=True)
            elif "dim" in node.args and len(shape) <= share.dim() and share.shape != shape:
                dims = node.args["dim"]
                share = share.mean(dims, keepdim=bool(node.args.get("keepdim")))
            found.append(share.expand(shape))
        return found[0] if len(found) == 1 else torch.stack(found).mean(0)

    def _first(self, node: Node) -> Node:
        firsts = [user for user in node.users if user.op == "getitem" and user.args["1"] == 0]
        return firsts[0] if firsts else node


def _without_addend(call: Call) -> dict[str, Any]:
    if call.node.op in _LAYERS:
        return {"bias": None}
    return {"beta": 0} if call.node.op in ("addmm", "addmv", "baddbmm") else {}


def _one(value: Any, share: Tensor) -> Any:
    """Return 1 where there is a weight other than 0, in the dtype of shares."""
    numbers = isinstance(value, Tensor) and value.is_floating_point()
    return (value != 0).to(share.dtype) if numbers else value
