"""The only place that calls the user's model."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from pyxai._checks import check_bool, check_finite, check_int, check_model
from pyxai._deferred_checks import run_later
from pyxai._errors import warn
from pyxai.runner.arguments import as_arguments
from pyxai.runner.forward import Forward, Pass, Rows
from pyxai.runner.memory import Schedule, is_out_of_memory
from pyxai.runner.mixing import are_equal, blocks_of_rows
from pyxai.runner.plan import Build, Consume, Job, plan
from pyxai.runner.progress import Progress, ProgressOption, check_progress
from pyxai.runner.state import Found, RandomState, open_scope, recall, remember, warn_if_training
from pyxai.runner.target import Output, Target, check_output

__all__ = ["Build", "Consume", "Estimate", "Runner"]

Result = TypeVar("Result")
Find = Callable[[int], tuple[Tensor, Rows]]  # outputs and gradients of one of several passes


class Estimate(NamedTuple):
    """What a run would cost."""

    rows: int
    """Rows that go through the model in all."""
    passes: int
    """Calls of the model."""
    peak_bytes: int
    """Memory of one pass, besides the model and the inputs."""
    rows_per_pass: int


class Runner:
    """Run a model on many rows: target, extra arguments, batches, memory, dtype, state.

    Parameters
    ----------
    forward_func : callable
        The model: takes one or more tensors ``[rows, *feat]`` and then the extra arguments, returns
        ``[rows]``, ``[rows, 1]``, ``[rows, n_classes, ...]`` or one scalar for the whole batch.
    target : see `Target`
        Which output is explained.
    additional_forward_args : Any, optional
        One argument or a tuple of them, given to the model after the rows. A tensor whose dimension
        0 is the number of examples is taken to have a row for each and repeated along with them;
        everything else, also a tensor of another size and what is `pyxai.Shared`, is passed as it
        is. (captum repeats every tensor.)
    output : None, "logit", "probability", "log_probability" or callable
        Applied to the model's output before the target is selected.
    max_rows : int, optional
        Upper bound of the rows in one call of the model. Default: chosen from a memory model.
    progress : bool or callable, optional
        True shows a bar on runs of over two seconds; a function is called with the rows done and
        the rows in all.

    Notes
    -----
    The model is left as found, also after an exception; see `pyxai.runner.state`. The global random
    state is neither read for pyxai's own draws nor moved by a model that draws. Results are
    float64 for float64 outputs and float32 otherwise, are where the rows are, wherever the model
    ends, and never require gradients. The passes
    depend on sizes only, so the same call twice gives the same bits.

    A model that gives a row another output when other rows are beside it, as one does that takes
    means over its batch, gets one row at a time, with a warning; two passes over the first rows
    tell, once for each model and form of the rows. One that returns one scalar for the batch, or
    runs on no other number of rows, gets the batch as it is.
    """

    def __init__(
        self,
        forward_func: Callable[..., Any],
        *,
        target: Any = None,
        additional_forward_args: Any = None,
        output: Output = None,
        max_rows: int | None = None,
        progress: ProgressOption = None,
    ) -> None:
        check_model("model", forward_func)
        self.target = target if isinstance(target, Target) else Target(target)
        self.max_rows = None if max_rows is None else check_int("max_rows", max_rows, minimum=1)
        self.progress = check_progress("progress", progress)
        self.forward_func = forward_func
        self._question = forward_func, target, additional_forward_args, output
        self._forward = Forward(
            forward_func,
            self.target,
            as_arguments(additional_forward_args),
            check_output(output),
        )
        # Rows of a pass after memory ran out, without and with gradients; the next job starts so.
        self._went: dict[bool, int] = {}
        self._forward.is_noisy = warn_if_training(self._forward.modules, forward_func)
        # Whether the next pass tells if the model draws random numbers.
        self._watch = not self._forward.is_noisy
        # Whether nobody but the modules that were found can draw any.
        self._is_module = isinstance(forward_func, nn.Module) and not callable(output)

    @property
    def is_plain(self) -> bool:
        """Whether the model gets the rows alone, and is neither noisy nor compiled."""
        forward = self._forward
        return not (forward.arguments or forward.is_noisy or forward.is_compiled)

    def of(self, part: Callable[..., Any]) -> Runner:
        """Return a runner that asks the same of a part of the model, which runs nothing besides."""
        whole = self._forward
        other = copy.copy(self)
        other.forward_func = part
        other._question = part, *self._question[1:]
        other._forward = Forward(part, self.target, whole.arguments, whole.output, whole.modules)
        other._forward.is_noisy = whole.is_noisy
        other._went = {}
        other._watch = not whole.is_noisy
        return other

    def outputs(self, inputs: Rows) -> Tensor:
        """Return the explained output of each example.

        Parameters
        ----------
        inputs : tuple of Tensor, shape [batch, *feat] each

        Returns
        -------
        Tensor, shape [batch], or [1] if the model returns one scalar for the batch
        """

        def build(examples: slice, _: slice) -> Rows:
            # Copies, since the model may have learned to write into its rows since it was measured.
            return tuple([value[examples].clone() for value in inputs])

        return self._run(Job(build, inputs[0].shape[0], 1, like=inputs, own_rows=True))[:, 0]

    def keep_outputs(self, inputs: Rows, outputs: Tensor) -> None:
        """Let `known_outputs` of runners that ask the same find them in the scope that is open."""
        remember(self._question, inputs, outputs)

    @property
    def joined(self) -> bool:
        """Whether the last outputs belonged to all rows together, as a sum over them does.

        Only with `EveryOutput` of outputs that aggregate, and only where they have no dimension of
        size 1 in place of that of the rows.
        """
        return self._forward.joined

    def known_outputs(self, inputs: Rows) -> Tensor | None:
        """Return outputs that were kept for these very tensors, if there are any."""
        return recall(self._question, inputs)

    def values(
        self,
        build: Build,
        n_examples: int,
        n_repeats: int,
        *,
        like: Rows | None = None,
        own_rows: bool = False,
    ) -> Tensor:
        """Return the explained output of ``n_examples`` x ``n_repeats`` rows.

        Parameters
        ----------
        build : callable
            ``build(examples, repeats)`` takes two slices and returns a tuple of tensors with the
            rows example-major: row ``e * len(repeats) + r``. It may be called again for the same
            slices, so it must not keep count. It runs without gradients.
        n_examples, n_repeats : int
            Number of examples, and of rows for each. Targets and extra arguments follow.
        like : tuple of Tensor, shape [any, *feat] each, optional
            Tensors whose rows have the form of those that ``build`` makes, where there are some at
            hand; else a row is made to look at.
        own_rows : bool
            Whether ``build`` runs nothing of the user's, which may draw random numbers.

        Returns
        -------
        Tensor, shape [n_examples, n_repeats]
            ``[1, n_repeats]`` if the model returns one scalar for the batch; with `EveryOutput` of
            several outputs ``[n_examples, n_repeats, n_outputs]``.

        Raises
        ------
        ValueError
            If the target does not fit the model's output, or an output is NaN or infinite.
        TypeError
            If ``own_rows`` is no flag.
        """
        check_bool("own_rows", own_rows)
        return self._run(Job(build, n_examples, n_repeats, like=like, own_rows=own_rows))

    def gradients(
        self,
        build: Build,
        n_examples: int,
        n_repeats: int,
        consume: Consume,
        *,
        example_major: bool = False,
        with_values: bool = False,
        like: Rows | None = None,
        own_rows: bool = False,
    ) -> Tensor:
        """Take gradients of the explained output with respect to the rows.

        Parameters
        ----------
        build : callable
            As for `values`, but the rows are node-major: row ``r * len(examples) + e``, so that
            gradients reshape to ``[n_repeats, batch, *feat]``.
        n_examples, n_repeats : int
            Number of examples, and of rows for each.
        consume : callable
            ``consume(examples, repeats, grads)`` is called once for each pass, in order, with one
            gradient tensor per input tensor, in the dtype of the rows; without gradients on.
        example_major : bool
            Whether the rows are example-major instead.
        with_values : bool
            Whether ``consume`` gets the outputs of the pass as a fourth argument,
            ``[repeats, examples]``, or ``[examples, repeats]`` if example-major.
        like : tuple of Tensor, optional
            As for `values`.
        own_rows : bool
            Whether ``build`` runs nothing of the user's, which may draw random numbers.

        Returns
        -------
        Tensor, shape [n_examples, n_repeats]
            The outputs at the rows; ``[1, n_repeats]`` for one scalar per batch.

        Raises
        ------
        TypeError
            If a row tensor is not floating point.
        ValueError
            As for `values`, if a gradient is NaN or infinite, and if the output does not depend on
            the rows in a way that autograd can see.
        """
        return self._run(
            Job(build, n_examples, n_repeats, consume, example_major, with_values, like, own_rows)
        )

    def estimate(
        self, build: Build, n_examples: int, n_repeats: int, *, gradients: bool = False
    ) -> Estimate:
        """Tell what `values` or `gradients` would cost; runs the model on a few rows at most.

        Parameters
        ----------
        build, n_examples, n_repeats
            As in `values`.
        gradients : bool
            Whether the rows would be differentiated.

        Returns
        -------
        Estimate
            Rows, passes, peak memory and rows of the largest pass.
        """
        job = Job(build, n_examples, n_repeats, _ignore if gradients else None, not gradients)
        self._check(job)
        measure, schedule = self._holding(
            job, lambda _: plan(job, self._forward, self.max_rows, always_measure=True)
        )
        passes = [job.part(*each) for each in schedule]
        largest = max(each.rows for each in passes)
        peak = int(measure.constant_bytes + largest * measure.bytes_per_row)
        return Estimate(n_examples * n_repeats, len(passes), peak, largest)

    def _check(self, job: Job) -> None:
        check_int("n_examples", job.n_examples, minimum=1)
        check_int("n_repeats", job.n_repeats, minimum=1)
        self.target.check_examples(job.n_examples, sums=True)

    def _holding(self, job: Job, work: Callable[[_Held], Result]) -> Result:
        """Do work with the model held still: no parameter needs a gradient, all is put back."""
        with open_scope() as opened, torch.set_grad_enabled(False):
            found = opened.hold(self._forward.modules)
            held = _Held(found, self._random_state(job, found))
            try:
                if _is_refused(job, held):
                    with torch.backends.cudnn.flags(enabled=False):  # torch's own code does it
                        return work(held)
                return work(held)
            finally:
                if held.random is not None:
                    held.random.restore()

    def _random_state(self, job: Job, found: Found) -> RandomState | None:
        """Return the random state, to be watched and put back; None where nobody draws."""
        known = found.draws_nothing and self._is_module and job.own_rows
        known = known and not torch._C._len_torch_function_stack()  # a mode may draw
        if known and not nn.modules.module._has_any_global_hook():  # type: ignore[no-untyped-call] # torch's
            return None
        return RandomState(found.devices)

    def _run(self, job: Job) -> Tensor:
        self._check(job)
        values, ranges = self._holding(job, partial(self._passes, job))
        run_later([values, *ranges], partial(_check_numbers, values, ranges))
        return values

    def _passes(self, job: Job, held: _Held) -> tuple[Tensor, list[Tensor]]:
        """Run all rows; return the outputs, and what tells that gradients are finite."""
        with Progress(self.progress, job.n_examples * job.n_repeats) as bar:
            taken = _Taken(job, bar)
            _, schedule = plan(job, self._forward, self.max_rows)
            went = self._went.get(job.consume is None)
            if went is not None:
                schedule.start_at(went)
            blocks = blocks_of_rows(job.n_examples)
            if blocks > 1 and not schedule.whole_batch:
                self._run_blocks(job, blocks, schedule.rows, held, taken)
            else:
                self._run_passes(job, schedule, held, taken)
        assert taken.values is not None
        return taken.values, taken.ranges

    def _run_passes(
        self, job: Job, schedule: Schedule, held: _Held, taken: _Taken, first: Pass | None = None
    ) -> None:
        """Run the passes of a schedule, which counts from the first rows of ``first``."""
        for examples, repeats in schedule:
            if first is not None:
                examples = _moved(examples, first.examples.start)
                repeats = _moved(repeats, first.repeats.start)
            part = job.part(examples, repeats)
            result = self._attempt(job, part, held)
            if isinstance(result, Exception):
                if not schedule.halve(part.rows):
                    raise result
                self._went[job.consume is None] = schedule.rows
                continue
            taken.add(part, *result)
            schedule.succeeded()

    def _run_blocks(self, job: Job, blocks: int, rows: int, held: _Held, taken: _Taken) -> None:
        """Run rows once that are the same for several blocks of examples, each with a target."""
        size = job.n_examples // blocks
        if job.consume is not None:
            rows = max(1, rows // 2)  # what autograd has recorded lives until the last gradient
        for examples, repeats in Schedule(size, job.n_repeats, rows):
            parts = [job.part(_moved(examples, at * size), repeats) for at in range(blocks)]
            for part in self._share(job, parts, held, taken):
                alone = Schedule(part.rows // part.width, part.width, part.rows)
                self._run_passes(job, alone, held, taken, part)

    def _share(self, job: Job, parts: list[Pass], held: _Held, taken: _Taken) -> list[Pass]:
        """Run the rows of the first pass for all that have the same; return the others.

        So are those that memory ran out for, or that cannot be gone back through once more.
        """
        first, left = parts[0], list(parts)
        forward = self._forward

        def run() -> tuple[Rows, Find]:
            rows = job.build(first.examples, first.repeats)
            if job.consume is not None:
                recorded = self._watched(lambda: forward.record(rows, parts), first, job, held)
                return rows, recorded.gradients
            values = self._watched(lambda: forward.values_of(rows, parts), first, job, held)
            return rows, lambda number: (values[number], ())

        try:
            results = _tried(run)
            if isinstance(results, Exception):
                return left
            for number, part in enumerate(parts):
                found = _tried(partial(self._found_again, job, parts, number, *results))
                if isinstance(found, Exception):
                    break
                if found is not None:
                    taken.add(part, *found)
                    left.remove(part)
        finally:
            held.found.restore()  # not before, as what is recorded goes back through it
        return left

    def _found_again(
        self, job: Job, parts: list[Pass], number: int, rows: Rows, find: Find
    ) -> tuple[Tensor, Rows] | None:
        """Return what a pass finds, if it has the rows and arguments of the first one."""
        first, part = parts[0], parts[number]
        if number > 0:
            theirs, arguments = job.build(part.examples, part.repeats), self._forward.expanded
            if not (are_equal(rows, theirs) and are_equal(arguments(first), arguments(part))):
                return None
        try:
            return find(number)
        except RuntimeError as error:
            # Some functions let themselves be differentiated once; what is wrong shows again.
            if is_out_of_memory(error):
                raise
            return None

    def _attempt(self, job: Job, part: Pass, held: _Held) -> tuple[Tensor, Rows] | Exception:
        """Run one pass; an error that says that memory ran out is returned, not raised."""

        def run() -> tuple[Tensor, Rows]:
            rows = job.build(part.examples, part.repeats)

            def call() -> tuple[Tensor, Rows]:
                if job.consume is not None:
                    return self._forward.gradients(rows, part)
                return self._forward.values(rows, part), ()

            try:
                return self._watched(call, part, job, held)
            finally:
                held.found.restore()  # the next pass starts from it

        return _tried(run)

    def _watched(self, call: Callable[[], Result], part: Pass, job: Job, held: _Held) -> Result:
        """Run the model; the first time, see whether it draws random numbers."""
        random, watch = held.random, False
        if random is not None:
            watch, self._watch, random.is_settled = self._watch, False, False
        found = call()
        if random is None or not watch or random.settle():
            return found
        if random.moved_besides(lambda: job.build(*part[:2])):  # it was not whoever made the rows
            warn(
                "the model draws random numbers, so results depend on the global random state and "
                "on which rows it gets together; if this is dropout, call model.eval() first and "
                "pass training=self.training to functional dropout"
            )
        return found


def _tried(work: Callable[[], Result]) -> Result | Exception:
    """Do work; an error that says that memory ran out is returned, not raised."""
    try:
        return work()
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        # The frames of the traceback hold the tensors that should be freed.
        failure = error.with_traceback(None)
        failure.__context__ = None
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return failure


class _Taken:
    """What the passes of a job have found so far."""

    def __init__(self, job: Job, bar: Progress) -> None:
        self._job, self._bar = job, bar
        self.values: Tensor | None = None
        self.ranges: list[Tensor] = []  # looked at once, since that waits for the device

    def add(self, part: Pass, found: Tensor, grads: Rows) -> None:
        """Store outputs, and give gradients to whoever asked for them."""
        job = self._job
        self.values = _stored(self.values, job, part, found)
        if job.consume is not None:
            for grad in grads:
                self.ranges += _range_of(grad)
            also = (_grid(part, found),) if job.with_values else ()
            job.consume(part.examples, part.repeats, grads, *also)
        self._bar.advance(part.rows)


def _moved(part: slice, by: int) -> slice:
    return slice(part.start + by, part.stop + by)


class _Held(NamedTuple):
    """What a run found, to be put back."""

    found: Found
    random: RandomState | None
    """None where nobody draws."""


def _is_refused(job: Job, held: _Held) -> bool:
    """Tell whether cudnn refuses the backward pass: that of recurrent nets in eval mode."""
    return (
        held.random is not None  # as of nets with such layers it is
        and held.random.is_on_gpu
        and job.consume is not None
        and any(isinstance(m, nn.RNNBase) and not m.training for m in held.found.modules)
    )


def _grid(part: Pass, found: Tensor) -> Tensor:
    """Return the outputs of a pass in the order of its rows, one dimension for each index."""
    if found.shape[0] != part.rows:
        return found
    shape = (-1, part.width) if part.example_major else (part.width, -1)
    return found.reshape(shape)


def _ignore(examples: slice, repeats: slice, grads: Rows) -> None:
    """Take gradients and do nothing with them."""


def _range_of(grad: Tensor) -> Rows:
    """Return finite numbers if a gradient is finite; what decides may still be on a device."""
    if not grad.numel():
        return ()
    # A sum takes a twentieth of the time, but overflows: where it does, look closer.
    if grad.device.type == "cpu" and math.isfinite(grad.sum().item()):
        return ()
    return grad.aminmax()


def _check_numbers(values: Tensor, ranges: list[Tensor]) -> None:
    check_finite("model output", values)
    if ranges:
        _check_gradients(ranges)


def _check_gradients(ranges: list[Tensor]) -> None:
    """Raise unless the smallest and largest gradients of all passes are finite."""
    if not bool(torch.stack([end.double() for end in ranges]).isfinite().all()):
        raise ValueError(
            "gradients of the model must be finite, got NaN or infinite ones; a root or logarithm "
            "at 0, or torch.where over a branch that is not defined, has such gradients"
        )


def _stored(values: Tensor | None, job: Job, part: Pass, found: Tensor) -> Tensor:
    """Put the outputs of a pass among those of all; one row for one scalar for the batch."""
    whole = found.shape[0] == 1 and part.rows > 1
    if not whole and found.shape[0] != part.rows:
        raise ValueError(
            f"model must return one scalar for each of {part.rows} rows, got {found.shape[0]}"
        )
    if whole and (part.examples != slice(0, part.n_examples) or part.width != 1):
        raise ValueError(
            "model must return one row per input row, or one scalar for the whole batch at "
            f"once, got one scalar for {part.rows} rows"
        )
    examples = part.examples.stop - part.examples.start
    if values is None:
        if part.rows == job.n_examples * job.n_repeats and not whole:
            return _by_example(found, examples, part)
        rows = 1 if whole else job.n_examples
        values = found.new_empty((rows, job.n_repeats, *found.shape[1:]))
    if whole:
        values[:, part.repeats] = found
    else:
        values[part.examples, part.repeats] = _by_example(found, examples, part)
    return values


def _by_example(found: Tensor, examples: int, part: Pass) -> Tensor:
    """Return outputs as [examples, repeats, ...]."""
    if part.width == 1:
        return found.unsqueeze(1)
    if part.example_major or examples == 1:
        return found.view(examples, part.width, *found.shape[1:])
    return found.view(part.width, examples, *found.shape[1:]).transpose(0, 1).contiguous()
