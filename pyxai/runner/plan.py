"""Learn from a few rows how a model behaves, and decide how many go through at once."""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from pyxai._errors import warn
from pyxai.runner.arguments import follows, own_values
from pyxai.runner.forward import Forward, Pass, Rows
from pyxai.runner.memory import LiveBytes, Measure, Schedule, is_out_of_memory, rows_for
from pyxai.runner.mixing import MixedRowsError, agree, another_row
from pyxai.runner.state import left_as_found
from pyxai.runner.target import MisfitTargetError

__all__ = ["Build", "Consume", "Job", "plan"]

Build = Callable[[slice, slice], Rows]
Consume = Callable[..., Any]

# Fewer rows than this, each once, go through together without a measurement.
_FEW_ROWS = 8
_PROBE_ROWS = (2, 4)
_NOTHING = Measure()  # is known

# What was learned, by model and by the form of the rows; forgotten with the model.
_known: weakref.WeakKeyDictionary[Any, dict[Any, Any]] = weakref.WeakKeyDictionary()


class Job(NamedTuple):
    """One question to the model: rows, their number and order, gradients or not."""

    build: Build
    n_examples: int
    n_repeats: int
    consume: Consume | None = None
    example_major: bool = True
    with_values: bool = False
    like: Rows | None = None
    """Tensors whose rows have the form of those that ``build`` makes."""
    own_rows: bool = False
    """Whether ``build`` runs nothing of the user's, which may draw random numbers."""

    def part(self, examples: slice, repeats: slice) -> Pass:
        """Name the rows of these examples and repeats."""
        width = repeats.stop - repeats.start
        rows = (examples.stop - examples.start) * width
        return Pass(examples, repeats, self.n_examples, self.example_major, width, rows)

    def first(self, size: int) -> Pass:
        """Name the first ``size`` rows along examples or repeats, whichever there are more of."""
        one, many = slice(0, 1), slice(0, size)
        along_examples = self.n_examples >= self.n_repeats
        return self.part(many, one) if along_examples else self.part(one, many)


def plan(
    job: Job, forward: Forward, max_rows: int | None, *, always_measure: bool = False
) -> tuple[Measure, Schedule]:
    """Return what is known about the model and the passes of ``job``; sets up ``forward``.

    Raises
    ------
    ValueError
        If ``max_rows`` is too small for a model that needs the whole batch.
    """
    total = job.n_examples * job.n_repeats
    if forward.target.counts_outputs(job.n_examples):
        max_rows = 1
    few = job.n_repeats == 1 and total < _FEW_ROWS and (max_rows is None or max_rows >= total)
    form = _form_of(job, forward) if total > 1 else None
    alone = None if form is None else _mixes_rows(job, forward, max_rows, form)
    rows = 1 if alone == "alone" else total
    if few and not always_measure:
        # Nothing is known of how the model treats them; an earlier job may have been of gradients.
        forward.copy_rows = True
        return _NOTHING, Schedule(job.n_examples, 1, rows)
    form = form or _form_of(job, forward)
    measure = _measured(job, forward, max_rows, form)
    if alone == "joined":
        measure = replace(measure, whole_batch=True, joins_rows=True)
    forward.copy_rows = measure.writes_inputs
    forward.aggregates = measure.joins_rows
    if not measure.whole_batch:
        rows = min(rows, rows_for(measure, form.rows[0].device, max_rows, job.n_repeats))
    else:
        rows = job.n_examples
        if max_rows is not None and max_rows < rows:
            raise ValueError(
                f"max_rows must be at least the batch size, {rows}, for a model that needs the "
                f"whole batch at once, got {max_rows}"
            )
    return measure, Schedule(job.n_examples, job.n_repeats, rows, measure.whole_batch)


class _Form(NamedTuple):
    """What is known of a model on rows of some form, and rows of that form."""

    known: dict[Any, Any]
    name: tuple[Any, ...]
    rows: Rows


def _form_of(job: Job, forward: Forward) -> _Form:
    rows = job.build(slice(0, 1), slice(0, 1)) if job.like is None else job.like
    apart: set[int] = set()
    leaves: list[Any] = []
    if forward.arguments:
        marked = pytree.tree_leaves(forward.arguments)
        apart = {id(leaf) for leaf in marked if follows(leaf, job.n_examples)}
        leaves = pytree.tree_leaves(own_values(marked))
    known, name = _known_of(forward.forward_func)
    forms = (
        name,
        *((t.shape[1:], t.dtype, t.device) for t in rows),
        *(
            (t.shape[1:] if id(t) in apart else t.shape, t.dtype, t.device)
            for t in leaves
            if isinstance(t, Tensor)
        ),
    )
    return _Form(known, forms, rows)


def _measured(job: Job, forward: Forward, max_rows: int | None, form: _Form) -> Measure:
    """Look up or take the measure of the model on rows of this form."""
    key = job.consume is not None, form.name
    found: Measure | None = form.known.get(key)
    if found is not None:
        return found
    longest = max(job.n_examples, job.n_repeats)
    longest = longest if max_rows is None else min(longest, max_rows)
    try:
        measure = _probe(job, forward, longest, sum(row[:1].nbytes for row in form.rows))
    except (MixedRowsError, MisfitTargetError):
        raise
    except Exception as error:
        # Short of memory: go row by row. Else: a model that fails on some rows of the batch may
        # yet run on the batch that the user gave; if not, its error comes from there.
        no_room = is_out_of_memory(error)
        return Measure(float("inf") if no_room else 0.0, whole_batch=not no_room)
    if longest >= _PROBE_ROWS[0]:
        form.known[key] = measure
    return measure


def _mixes_rows(job: Job, forward: Forward, max_rows: int | None, form: _Form) -> str | None:
    """Look whether rows must go through "alone", once for each form of them, and warn.

    Or whether outputs are "joined", of all rows together.
    """
    key = "mixes rows", forward.may_join, form.name
    if forward.is_noisy or max_rows == 1:  # the user was told, or they go through alone
        return None
    if key not in form.known:
        form.known[key] = None
        try:
            form.known[key] = _look_at_rows(job, forward)
        except MixedRowsError:
            raise
        except Exception:  # see `_measured`
            return None
    if form.known[key] in (None, "joined"):
        return form.known[key]  # type: ignore[no-any-return]
    what = "the model gives a row another output when other rows are beside it"
    if form.known[key] == "not alone":
        warn(
            f"{what}, and does not run on a single one, so attributions depend on which rows go "
            "through together"
        )
        return None
    warn(
        f"{what}, so rows go through one at a time and attributions are those of each example alone"
    )
    return "alone"


def _look_at_rows(job: Job, forward: Forward) -> str | None:
    """Compare the first row beside the second with the first row beside itself.

    Both times two rows go through, so that rounding is the same. Of two equal rows the second is
    made up.
    """
    one, two = slice(0, 1), job.first(2)
    outputs = []
    rows = job.build(two.examples, two.repeats)
    first = tuple(row[:1] for row in rows)
    if all(torch.equal(row[1:], one_row) for row, one_row in zip(rows, first, strict=True)):
        rows = tuple(torch.cat([row, another_row(row)]) for row in first)
    for given, part in (
        (rows, two),
        (tuple(torch.cat([row, row]) for row in first), job.part(one, slice(0, 2))),
    ):
        with left_as_found(forward.modules):
            outputs.append(forward.values(given, part))
    beside, itself = outputs
    if len(beside) != 2 or agree(beside[:1], itself[:1]):
        return None
    try:
        with left_as_found(forward.modules):
            forward.values(first, job.part(one, one))
    except Exception:
        return "not alone"
    return "joined" if forward.joined else "alone"


def _probe(job: Job, forward: Forward, longest: int, input_bytes: int) -> Measure:
    """Run the model on two and on four rows, if so many may be, and see what lives at once."""
    small, large = (min(size, longest) for size in _PROBE_ROWS)
    forward.copy_rows = True
    first, found = _observe(job, forward, small)
    if found < small:
        return Measure(first.peak / small, whole_batch=True, joins_rows=True)
    second, found = _observe(job, forward, large)
    if found == large == small and forward.may_join:
        _observe(job, forward, 1)  # as many outputs as rows may be chance
        found = 0 if forward.joined else found
    if found < large:
        return Measure(second.peak / large, whole_batch=True, joins_rows=True)
    per_row = first.peak / small
    if large > small:
        per_row = (second.peak - first.peak) / (large - small)
    return Measure(
        bytes_per_row=per_row - (0 if forward.wrote_rows else input_bytes),
        constant_bytes=max(0.0, first.peak - small * per_row),
        writes_inputs=forward.wrote_rows,
    )


def _observe(job: Job, forward: Forward, size: int) -> tuple[LiveBytes, int]:
    """Run the first ``size`` rows; return what was seen and the number of outputs."""
    part = job.first(size)
    counter = LiveBytes()
    with left_as_found(forward.modules), counter:
        rows = job.build(part.examples, part.repeats)
        if job.consume is None:
            found = forward.values(rows, part)
        else:
            found, _ = forward.gradients(rows, part)
    return counter, found.shape[0]


def _known_of(forward_func: Any) -> tuple[dict[Any, Any], Any]:
    """Return what was learned about a model, and a name for what is called among them.

    Of an object without weak references nothing is kept. What is made anew for every call, around a
    model that is not, says so by an attribute ``measured_as``.
    """
    owner: Any
    owner, name = forward_func, None
    if hasattr(type(forward_func), "measured_as"):
        owner, name = forward_func.measured_as
    if inspect.ismethod(owner):
        owner, name = owner.__self__, (owner.__name__, name)
    try:
        return _known.setdefault(owner, {}), name
    except TypeError:
        return {}, name
