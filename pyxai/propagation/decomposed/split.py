"""What every rule of contextual decomposition needs: the parts of operands, and shares of biases.

The graph runs with these rules in place of its ops. The value of a node that is split is then the
relevant part of each row, or in the pass for biases what biases alone explain (`ABSENT`: nothing
is); that of words is which of them belong to the group. What is frozen has no value: where it is
used, the total stands, like a constant.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from pyxai._backends import backends
from pyxai._errors import UnsupportedOperationError
from pyxai.ops.share_bias import share_bias
from pyxai.propagation.decomposed.kinds import SPLIT
from pyxai.propagation.decomposed.policies import Policies
from pyxai.propagation.decomposed.totals import Totals
from pyxai.propagation.multipliers.secant import accumulation_dtype
from pyxai.tracing import Call, Node, Run, Values
from pyxai.tracing.nodes import operands, substitute

__all__ = ["ABSENT", "Constant", "Judged", "Split", "Terms", "refusal", "split_of"]


class _Mark:
    """A value without a tensor; its parts are it too."""

    def __getitem__(self, place: int) -> _Mark:
        return self


ABSENT = _Mark()


class Judged(NamedTuple):
    """A value whose parts decide who gets a constant."""

    relevant: Tensor
    total: Tensor
    magnitude: Tensor | None
    """Sum of the absolute terms of the total; None: it is exact."""


class Constant(NamedTuple):
    """What an op adds whatever its operands are, and how sure its linear part is."""

    value: Tensor
    total: Tensor
    """The linear part of the total."""
    magnitude: Tensor | None
    """Sum of the absolute terms of the total's linear part; None: it is exact."""
    judged: Judged | None = None
    """What decides who gets the constant, in place of the linear parts."""


Value = Callable[[Node, Any], Any]
Terms = tuple[Tensor, Tensor | None]


class Shares(Protocol):
    """Which share of what a value reads belongs to the group; see `Coverage`."""

    of_constants: Tensor

    def of_value(self, node: Node, constants: Run) -> Tensor:
        """Return a number in [0, 1] for every element of an op's value."""
        ...

    def of_step(self, node: Node, policy: str, constants: Run) -> Tensor | float:
        """Return the group's share of the biases of a recurrent step."""
        ...


@dataclass
class Split:
    """One pass: its rows, what they are compared with, and how values are split.

    Attributes
    ----------
    policies : Policies
    kinds : dict
        Which values are split, words, or frozen.
    totals : Totals
        Ordinary values.
    streams : Values or None
        What biases alone explain, for the same rows; None where nothing goes there.
    coverage : Shares
        Which share of what a value reads belongs to the group.
    of_biases : bool
        Whether this is the pass that computes ``streams``.
    errors : dict or None
        Where given, how far parts of each node are from its total.
    hold : callable or None
        Where given, ``hold(index, compute)`` gives what `terms` does for the node of an index, by
        computing it or from what it holds.
    """

    policies: Policies
    kinds: Mapping[Node, str]
    totals: Totals
    streams: Values | None
    coverage: Shares
    of_biases: bool = False
    errors: dict[Node, float] | None = field(default=None)
    hold: Callable[[int, Callable[[], Terms]], Terms] | None = field(default=None)

    def moving(self, call: Call) -> tuple[str, ...]:
        """Names of the arguments that are split."""
        args, kinds = call.node.args, self.kinds
        return tuple(
            name
            for name in call.dependents()
            if any(kinds.get(node) == SPLIT for node in operands((args[name],)))
        )

    def arguments(self, call: Call, value: Value, *, lean: bool = False) -> dict[str, Any]:
        """Return all arguments, the split ones as ``value(node, held)`` and the rest as totals."""
        run = call.runs[0]

        def lookup(node: Node) -> Any:
            if not node.depends:
                return run[node]
            if self.kinds[node] != SPLIT:
                return self.totals.lean(node) if lean else self.totals.full(node)
            return value(node, run[node])

        return {name: substitute(each, lookup) for name, each in call.node.args.items()}

    def relevant(self, node: Node, held: Any) -> Any:
        """Return what is computed in this pass: the relevant part, or that of biases alone."""
        return torch.zeros_like(self.totals.full(node)) if held is ABSENT else held

    def total(self, node: Node, held: Any = None) -> Tensor:
        """Return the ordinary value, one row where there is one example."""
        return self.totals.lean(node)

    def whole(self, node: Node, held: Any = None) -> Tensor:
        """Return the ordinary value with all rows."""
        return self.totals.full(node)

    def nothing(self, node: Node, held: Any = None) -> Tensor:
        """Return zeros in the shape of a value."""
        return torch.zeros_like(self.totals.full(node))

    def size(self, node: Node, held: Any = None) -> Tensor:
        """Return the absolute value of the total, one row where there is one example."""
        return self.totals.lean(node).abs()

    def of_bias(self, node: Node, held: Any = None) -> Any:
        """Return what biases alone explain of a value, 0 where nothing is."""
        held = ABSENT if self.streams is None else self.streams[node]
        return self.nothing(node) if held is ABSENT else held

    def with_bias(self, node: Node, held: Any) -> Any:
        """Return the relevant part and what biases alone explain."""
        return held + self.of_bias(node)

    def rest(self, node: Node, held: Any) -> Tensor:
        """Return the total without the relevant part."""
        found: Tensor = self.totals.lean(node) - held
        return found

    def apart(self, node: Node, held: Any) -> Tensor:
        """Return what is neither relevant nor of biases alone."""
        found: Tensor = self.totals.lean(node) - self.with_bias(node, held)
        return found

    def has_stream(self, call: Call) -> bool:
        """Whether biases alone explain anything of an operand."""
        if self.streams is None:
            return False
        run = self.streams
        nodes = (node for node in call.node.operands() if node.depends)
        return any(isinstance(run[node], Tensor) for node in nodes)

    def absent(self, call: Call) -> bool:
        """Whether, in the pass for biases, nothing arrives at an op."""
        run = call.runs[0]
        return not any(isinstance(run[n], Tensor) for n in call.node.operands() if n.depends)

    def biases_apart(self, call: Call) -> bool:
        """Whether a bias goes to the stream: on request, and within a step of an LSTM or GRU."""
        return self.policies.bias == "stream" or "recurrent" in call.node.memory

    def is_state(self, call: Call) -> bool:
        """Whether an op makes the state that a recurrent step adds up to."""
        role = call.node.memory.get("recurrent")
        return role is not None and role.kind == "state"

    def output(self, call: Call) -> Tensor:
        """Return the total of an op's value, of the first where there are several."""
        node = call.node
        firsts = [u for u in node.users if u.op == "getitem" and u.args["1"] == 0]
        return self.totals.lean(firsts[0] if firsts else node)

    def terms(self, call: Call, compute: Callable[[], Terms]) -> Terms:
        """Return the linear part of an op's total, and the sum of its absolute terms."""
        return compute() if self.hold is None else self.hold(call.node.index, compute)

    def shared(self, call: Call, linear: Tensor, constant: Constant | None) -> Tensor:
        """Return the relevant part of ``linear + constant``.

        Parameters
        ----------
        call : Call
            The op, for coverage where it is needed.
        linear : Tensor
            The linear part of the relevant part.
        constant : Constant or None
            What is added to the total's.

        Notes
        -----
        ``w = |l| / (|l| + |L - l|)`` of the constant, with ``l`` the linear part of the relevant
        part and ``L`` that of the total [1]_. Where both are 0, or nothing but rounding, ties
        decide.

        References
        ----------
        .. [1] C. Singh, W. J. Murdoch, B. Yu, "Hierarchical interpretations for neural network
           predictions", ICLR 2019, equations 5 and 6.
        """
        if constant is None:
            return linear
        # Minus infinity masks: it is a constant to all parts.
        infinite = constant.value.isinf()
        masks = bool(infinite.any())
        bias = constant.value.masked_fill(infinite, 0) if masks else constant.value
        result = linear
        if self.policies.bias == "proportional" and not self.biases_apart(call):
            result = self._with_share(call, linear, constant._replace(value=bias))
        return torch.where(infinite, constant.value, result) if masks else result

    def _with_share(self, call: Call, linear: Tensor, constant: Constant) -> Tensor:
        """Add the group's share of a constant to the linear part."""
        if linear.is_complex():  # its real and its imaginary part each have one
            return _joined(self._with_share(call, *_parts(linear, constant, k)) for k in (0, 1))
        judged = constant.judged or Judged(linear, constant.total, constant.magnitude)
        rounding = 0.0 if judged.magnitude is None else self._rounding(call, linear)
        if _has_kernel(linear) and _per_row(rounding, linear):
            return self._in_one_pass(call, linear, constant, rounding)
        weights, whole = self._weights(call, judged, rounding)
        result = torch.addcmul(linear, weights, constant.value)
        if whole is None or constant.judged is not None:
            return result
        return torch.where(whole, constant.total + constant.value, result)

    def _in_one_pass(
        self, call: Call, linear: Tensor, constant: Constant, rounding: Tensor | float
    ) -> Tensor:
        by = constant.judged

        def share(ties: Tensor | float) -> tuple[Tensor, Tensor]:
            return share_bias(
                linear,
                constant.value,
                constant.total if by is None else by.total,
                magnitude=constant.magnitude if by is None else by.magnitude,
                rounding=rounding,
                ties=ties,
                judged=None if by is None else by.relevant,
            )

        # Coverage is costly, and most calls have no ties.
        late = self.policies.ties == "coverage"
        result, tied = share(0.0 if late else self._at_ties(call, linear))
        if late and bool(tied):
            result, _ = share(self._at_ties(call, linear))
        return result

    def _weights(
        self, call: Call, judged: Judged, rounding: Tensor | float
    ) -> tuple[Tensor, Tensor | None]:
        """Return the group's share of a constant, and where it has all but rounding, if anywhere.

        That is nothing: a bias much larger than the linear part would make it grow from layer to
        layer.
        """
        # In place where nobody differentiates: this is read for every element of every layer.
        recorded = torch.is_grad_enabled()
        mine, others = judged.relevant.abs(), judged.total - judged.relevant
        others = others.abs() if recorded else others.abs_()
        limit: Tensor | float = 0.0
        if judged.magnitude is not None:
            limit = judged.magnitude.detach() * rounding
        # One look decides whether there is anything to mend: what is tied has little of both.
        little = others.detach() <= (2 * limit)
        nothing_to_mend = not bool(little.any())
        whole = None if judged.magnitude is None or nothing_to_mend else others.detach() <= limit
        both = mine + others if recorded else others.add_(mine)
        if nothing_to_mend:
            return (mine / both if recorded else mine.div_(both)), None
        tied = both.detach() <= (2 * limit)
        weights = mine / both.masked_fill(tied, 1)
        if bool(tied.any()):
            weights = torch.where(tied, self._at_ties(call, mine), weights)
        return weights, None if whole is None else whole & ~tied

    def _rounding(self, call: Call, like: Tensor) -> Tensor | float:
        """Return how far apart equal sums may be, for terms whose sizes sum to 1.

        Sums are accumulated in float32 at least. Where a group has all features more than one
        sum's rounding is nobody else's; of other groups that much may be theirs.
        """
        if accumulation_dtype(like.dtype) == torch.float64:
            return 1e-11
        has_all = self.coverage.of_constants
        if not bool((has_all >= 1).any()):
            return 2**-22
        value = like.new_empty(1).expand(len(has_all), *like.shape[1:])  # for its dimensions
        rows = self.totals.per_row(has_all, call.node, value)
        return torch.where(rows >= 1, 1e-6, 2**-22).to(like.dtype)

    def _at_ties(self, call: Call, linear: Tensor) -> Tensor:
        ties = self.policies.ties
        if ties == "coverage":
            return self.coverage.of_value(call.node, call.runs[0]).to(linear)
        # The official code has a way of its own for batch norm.
        half = ties == "official" and "batch_norm" not in call.node.op
        return linear.new_full((), 0.5 if half else 0.0)

    def of_step(self, call: Call) -> Tensor | float:
        """Return the group's share of what biases alone add to the state of a recurrent step."""
        return self.coverage.of_step(call.node, self.policies.lstm_bias, call.runs[0])

    def note(self, call: Call, found: Tensor, expected: Tensor | None = None) -> None:
        """Compare the sum of an op's parts with its total, where that was asked for."""
        if self.errors is None or self.of_biases:
            return
        expected = self.output(call) if expected is None else expected
        # Infinite values that agree are no error, a NaN is.
        off = torch.where(found == expected, 0.0, (found - expected).abs())
        worst = float(torch.nan_to_num(off, nan=math.inf).max())
        self.errors[call.node] = max(self.errors.get(call.node, 0.0), worst)


def _has_kernel(linear: Tensor) -> bool:
    """Whether the op serves a value: nobody differentiates or traces, and it was built."""
    if torch.is_grad_enabled() or torch.compiler.is_compiling():
        return False
    served = linear.dim() > 0 and linear.dtype in (torch.float32, torch.float64)
    return served and linear.device.type in backends()["built"]


def _per_row(rounding: Tensor | float, linear: Tensor) -> bool:
    """Whether rounding is that of the first axis, if of any."""
    if not isinstance(rounding, Tensor) or rounding.dim() == 0:
        return True
    return rounding.dim() == linear.dim() and len(rounding) in (1, len(linear))


def split_of(call: Call) -> Split:
    """Return the pass that an op runs in."""
    found: Split = call.options["split"]
    return found


def refusal(call: Call, names: Sequence[str]) -> UnsupportedOperationError:
    """Return the error for an op with operands that its rule does not know."""
    return UnsupportedOperationError(
        f"contextual decomposition has no rule for {call.node.op} whose arguments {list(names)} "
        f"depend on the inputs, at {call.node.where}"
    )


def _parts(linear: Tensor, constant: Constant, place: int) -> tuple[Tensor, Constant]:
    """Return the real or the imaginary part of what is shared."""

    def part(value: Tensor) -> Tensor:
        whole = value if value.is_complex() else torch.complex(value, torch.zeros_like(value))
        return torch.view_as_real(whole.resolve_conj()).select(-1, place).contiguous()

    assert constant.judged is None
    return part(linear), Constant(part(constant.value), part(constant.total), constant.magnitude)


def _joined(parts: Iterable[Tensor]) -> Tensor:
    return torch.complex(*parts)
