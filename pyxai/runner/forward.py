"""One call of the model: rows in, one scalar per row out, and its gradient."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from pyxai._checks import OUTPUTS_ALONE, describe
from pyxai._inputs import NO_IDS
from pyxai.runner.arguments import Shared, map_rows, own_values
from pyxai.runner.arrays import is_array, tensor_of
from pyxai.runner.execution import prepare
from pyxai.runner.mixing import MixedRowsError, are_copies, check_rows
from pyxai.runner.notes import (
    check_form,
    named,
    note_call,
    note_single_example,
    takes_as_one,
)
from pyxai.runner.state import left_as_found, modules_of
from pyxai.runner.target import EveryOutput, Output, Target, apply_output, expand_rows

__all__ = ["Forward", "Pass", "Recorded", "Rows"]

Rows = tuple[Tensor, ...]

_version = operator.attrgetter("_version")

NO_GRADIENTS = f"this model has no gradients: {OUTPUTS_ALONE}"


class Pass(NamedTuple):
    """Which rows one call of the model gets."""

    examples: slice
    repeats: slice
    n_examples: int
    """Examples in the whole run: arguments of this length are repeated."""
    example_major: bool
    width: int
    """Rows for each example."""
    rows: int
    """Rows in all."""


class Forward:
    """Call ``forward_func`` on rows and select the explained output.

    Parameters
    ----------
    forward_func : callable
        The model.
    target : Target
        Which output is explained.
    arguments : tuple
        Given to the model after the rows; see `map_rows` for which of them follow the examples.
    output : Output
        Applied before the target is selected.
    modules : tuple of Module, optional
        What is known to be all that the model runs; default: what is found.
    """

    def __init__(
        self,
        forward_func: Callable[..., Any],
        target: Target,
        arguments: tuple[Any, ...],
        output: Output,
        modules: tuple[nn.Module, ...] | None = None,
    ) -> None:
        self.forward_func = forward_func
        self.target = target
        self.arguments = arguments
        self.output = output
        self.modules = modules_of(forward_func) if modules is None else modules
        """What is seen of the model's modules."""
        self.copy_rows = True
        """Whether `values` gives the model copies of the rows: it might write into them."""
        self.is_noisy = False
        """Whether the user was told that the model is random or mixes rows as in training."""
        self.wrote_rows = False
        """Whether the model was seen to write into its input."""
        self.aggregates = False
        """Whether it is known that outputs belong to all rows together, whatever their number."""
        self.joined = False
        """Whether the last outputs belonged to all rows together, without a dimension for them."""
        self._copy_leaves = False
        self._knows_joined = False  # whether the rows were looked at that outputs belong to
        self._knows_form = False  # whether it is settled that dimension 0 counts examples
        self._call, self._copy_results = prepare(forward_func)

    @property
    def is_compiled(self) -> bool:
        """Whether the model runs as `pyxai.runner.execution` makes it."""
        return self._call is not self.forward_func

    @property
    def may_join(self) -> bool:
        """Whether outputs that belong to all rows together are asked for as they are."""
        return isinstance(self.target, EveryOutput) and self.target.aggregates

    def values(self, rows: Rows, this: Pass) -> Tensor:
        """Return the explained outputs ``[rows]``, or ``[1]`` for one scalar per batch."""
        return self.values_of(rows, (this,))[0]

    def values_of(self, rows: Rows, parts: Sequence[Pass]) -> list[Tensor]:
        """Return the explained outputs of several passes that have the same rows, run once."""
        # Not in inference mode: it saves 0 to 4 % of a pass (an MLP, a residual net and a
        # transformer on CPU), and tensors made in it that a model keeps where nobody looks, in a
        # cache say, would make a later training step fail.
        if torch.is_inference_mode_enabled():
            with torch.inference_mode(False):  # in which tensors do not count the writes to them
                return self.values_of(rows, parts)
        with torch.set_grad_enabled(False):
            given = tuple([row.clone() for row in rows]) if self.copy_rows else rows
            results = [self._result(each) for each in self._each_scalars(given, parts)]
        if self.copy_rows and any(map(_version, given)):
            self.wrote_rows = True
        return results

    def gradients(self, rows: Rows, this: Pass) -> tuple[Tensor, Rows]:
        """Return the explained outputs and the gradient with respect to each row tensor."""
        return self.record(rows, (this,)).gradients(0)

    def record(self, rows: Rows, parts: Sequence[Pass]) -> Recorded:
        """Run rows once, for the gradients of several passes that have the same rows."""
        for row in rows:
            if not row.is_floating_point():
                raise TypeError(
                    f"inputs must be floating point for gradients to be taken, got {row.dtype}"
                    f"{NO_IDS}"
                )
        if torch.is_inference_mode_enabled():
            with torch.inference_mode(False):
                return self.record(rows, parts)
        with torch.set_grad_enabled(True):
            if self.arguments:
                # Autograd refuses to save what was made in inference mode; copied once for all
                # passes.
                self.arguments = pytree.tree_map(_out_of_inference, self.arguments)
            try:
                return self._recorded(rows, parts)
            except RuntimeError as error:
                if self._copy_leaves or not _writes_leaf(error):
                    raise
            self._copy_leaves = True
            return self._recorded(rows, parts)

    def _recorded(self, rows: Rows, parts: Sequence[Pass]) -> Recorded:
        leaves = tuple([_out_of_inference(row).detach().requires_grad_() for row in rows])
        given = tuple([leaf.clone() for leaf in leaves]) if self._copy_leaves else leaves
        scalars = self._each_scalars(given, parts)
        results = [self._result(each.detach()) for each in scalars]
        return Recorded(scalars, results, leaves, self._copy_results)

    def _result(self, scalars: Tensor) -> Tensor:
        result = _as_result(scalars)
        # A copy: it may be part of something that the model keeps and writes into again.
        return result.clone() if result is scalars else result

    def _scalars(self, rows: Rows, this: Pass) -> Tensor:
        return self._each_scalars(rows, (this,))[0]

    def _each_scalars(self, rows: Rows, parts: Sequence[Pass]) -> list[Tensor]:
        this = parts[0]
        given = self.expanded(this)
        together = this.width == 1 and this.rows == this.n_examples
        if together and not self._knows_form:
            if rows[0].dim() == 1 and all(row.dim() == 1 for row in rows):
                with left_as_found(self.modules):
                    check_form(self._call, rows, given)
            self._knows_form = True
        try:
            outputs = self._call(*rows, *given)
        except Exception as error:
            if _leaves_torch(error):
                raise ValueError(
                    f"model must be made of torch's functions, got NumPy's; {NO_GRADIENTS}"
                ) from error
            note_call(error, named(rows, given), self.modules)
            if together:
                self._note_single_example(error, rows, given)
            raise
        try:
            # Where the rows are: a model may end on the CPU, or on another of its devices.
            changed = self._transformed(outputs)
            explained = [self._explained(changed, each).to(rows[0].device) for each in parts]
            if self.joined and together and this.rows > 1 and not self._knows_joined:
                self._check_joined(outputs, rows, given)
                self._knows_joined = True
            return explained
        except MixedRowsError:
            raise
        except ValueError as error:
            # With an output for each row, something else is wrong: a target, say.
            each = isinstance(outputs, Tensor) and outputs.shape[:1] == (this.rows,)
            if together and not each:
                self._note_single_example(error, rows, given)
            raise

    def _check_joined(self, outputs: Tensor, rows: Rows, given: tuple[Any, ...]) -> None:
        """Raise if the model takes as one example what it seems to have aggregated over."""
        with left_as_found(self.modules) as state:
            state.restore()
            if takes_as_one(self._call, rows, given):
                check_rows(outputs.shape, rows[0].shape[0])

    def _note_single_example(self, error: Exception, rows: Rows, given: tuple[Any, ...]) -> None:
        with left_as_found(self.modules) as state:
            state.restore()  # from what the call that failed has left
            note_single_example(error, self._call, rows, given)

    def _transformed(self, outputs: Any) -> Tensor:
        """Return what the targets choose from."""
        if not isinstance(outputs, Tensor):
            outputs = _as_outputs(outputs)
        return apply_output(self.output, outputs)

    def _explained(self, outputs: Tensor, this: Pass) -> Tensor:
        """Return the explained output of each row, or of all of them."""
        self.joined = False
        if self.target.counts_outputs(this.n_examples):
            return self.target.sum_over(outputs)
        if self._belong_to_all(outputs.shape, this.rows):
            self.joined = outputs.shape[:1] != (1,) and outputs.numel() > 1
            whole = outputs if outputs.shape[:1] == (1,) else outputs.unsqueeze(0)
            return self.target.select(whole, this.examples, 1, True)
        if not check_rows(outputs.shape, this.rows):
            return self._batch_scalar(outputs)
        return self.target.select(outputs, this.examples, this.width, this.example_major)

    def _belong_to_all(self, shape: torch.Size, n_rows: int) -> bool:
        """Whether outputs belong to all rows together, and the target chooses among them."""
        if are_copies():
            return False
        if self.may_join:
            return self.aggregates or shape[:1] != (n_rows,)
        one = len(shape) > 1 and shape[0] == 1 != n_rows
        return one and self.target.aggregates and self.target.is_shared

    def _batch_scalar(self, outputs: Tensor) -> Tensor:
        if self.target.given:
            raise ValueError(
                "target must be None for a model that returns one scalar per batch, "
                f"got {self.target}"
            )
        return outputs.reshape(1)

    def expanded(self, this: Pass) -> tuple[Any, ...]:
        """Return the extra arguments of the rows of a pass."""
        if not self.arguments:
            return ()
        arguments = self.arguments
        if this.width > 1 or this.examples != slice(0, this.n_examples):

            def expand(leaf: Tensor) -> Tensor:
                return expand_rows(leaf[this.examples], this.width, this.example_major)

            arguments = map_rows(expand, arguments, this.n_examples)
        given: tuple[Any, ...] = own_values(arguments)
        return given


class Recorded:
    """What autograd has recorded of rows, from which each of several passes takes its gradients."""

    def __init__(
        self, scalars: list[Tensor], results: list[Tensor], leaves: Rows, copy_results: bool
    ) -> None:
        self._scalars, self._results, self._leaves = scalars, results, leaves
        self._copy_results = copy_results

    def gradients(self, number: int) -> tuple[Tensor, Rows]:
        """Return outputs and gradients of a pass; that of the last one frees what was recorded."""
        if torch.is_inference_mode_enabled():
            with torch.inference_mode(False):
                return self.gradients(number)
        scalars = self._scalars[number]
        if not scalars.requires_grad:
            raise _disconnected(scalars)
        # Of a single number the gradient starts at 1, which torch need not be told and check.
        start = torch.ones_like(scalars) if scalars.numel() > 1 or scalars.is_complex() else None
        is_last = number == len(self._scalars) - 1
        found = _differentiated(scalars, self._leaves, start, keep=not is_last)
        without = [grad is None for grad in found]
        if all(without):  # what needs a gradient is not the inputs
            raise _disconnected(scalars)
        grads: Rows = tuple(
            [
                torch.zeros_like(leaf) if grad is None else grad.resolve_neg()
                for leaf, grad in zip(self._leaves, found, strict=True)
            ]
        )
        if self._copy_results:
            grads = tuple(grad.clone() for grad in grads)
        return self._results[number], grads


def _differentiated(scalars: Tensor, leaves: Rows, start: Tensor | None, *, keep: bool) -> Any:
    try:
        return torch.autograd.grad(scalars, leaves, start, retain_graph=keep, allow_unused=True)
    except RuntimeError as error:
        if "use_reentrant=True" not in str(error):
            raise
        raise ValueError(
            "model must call torch.utils.checkpoint with use_reentrant=False for gradients with "
            "respect to its inputs to be taken, got use_reentrant=True"
        ) from error


def _disconnected(outputs: Tensor) -> ValueError:
    """Return the error for outputs that gradients do not lead from to the inputs."""
    return ValueError(
        "model output must depend on the inputs in a way that autograd can follow, "
        f"got an output that needs no gradient ({outputs.dtype}); {NO_GRADIENTS}"
    )


def _as_outputs(value: Any) -> Tensor:
    """Return what a model returned, which is no tensor, as one."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return torch.tensor(value, dtype=torch.float64)
    if is_array(value):
        return tensor_of("model output", value)
    raise TypeError(
        f"model must return a tensor, got {describe(value)}; "
        "pass a function that picks the tensor out of what the model returns"
    )


def _as_result(scalars: Tensor) -> Tensor:
    if scalars.dtype in (torch.float32, torch.float64):
        return scalars.resolve_neg()  # kernels read what memory holds
    if scalars.is_complex():
        raise TypeError(f"model output must be real, got {scalars.dtype}")
    return scalars.float()


def _out_of_inference(value: Any) -> Any:
    """Return a copy of a tensor that was made in inference mode, and anything else as it is."""
    if isinstance(value, Shared):
        return Shared(pytree.tree_map(_out_of_inference, value.value))
    return value.clone() if isinstance(value, Tensor) and value.is_inference() else value


def _leaves_torch(error: Exception) -> bool:
    """Tell whether a model asked for the numbers of a tensor whose gradient is followed."""
    return isinstance(error, RuntimeError) and "Can't call numpy() on Tensor that" in str(error)


def _writes_leaf(error: RuntimeError) -> bool:
    return "leaf Variable that requires grad" in str(error) and "in-place" in str(error)
