"""From what a model returns to one scalar per row: output transform and target."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import describe
from pyxai.runner.arrays import is_array, tensor_of

__all__ = [
    "EveryOutput",
    "MisfitTargetError",
    "Output",
    "Target",
    "Targets",
    "apply_output",
    "check_output",
    "expand_rows",
    "explained_together",
]

Output = str | Callable[[Tensor], Tensor] | None

_OUTPUTS = ("logit", "probability", "log_probability")


def check_output(output: Any) -> Output:
    """Return ``output`` if it is None, a known name or callable."""
    if output is None or output in _OUTPUTS or callable(output):
        return output  # type: ignore[no-any-return]
    listed = ", ".join(repr(name) for name in _OUTPUTS)
    raise ValueError(f"output must be one of {listed} or a function, got {describe(output)}")


def apply_output(output: Output, outputs: Tensor) -> Tensor:
    """Transform what the model returned, before a target is selected.

    Dimension 1 counts classes. A model with a single output per row is taken as a binary one:
    its probability is the logistic function of the output. 16-bit outputs are computed in float32.
    """
    if output is None or output == "logit":
        return outputs
    if callable(output):
        return output(outputs)
    if outputs.dtype in (torch.float16, torch.bfloat16):
        outputs = outputs.float()
    single = outputs.dim() < 2 or outputs.shape[1] == 1
    if output == "probability":
        return torch.sigmoid(outputs) if single else torch.softmax(outputs, 1)
    if single:
        return torch.nn.functional.logsigmoid(outputs)
    return torch.log_softmax(outputs, 1)


def expand_rows(value: Tensor, n_repeats: int, example_major: bool) -> Tensor:
    """Repeat each row of ``value`` ``n_repeats`` times, in the order of the rows of a pass.

    ``[n, *] -> [n * n_repeats, *]``: example-major puts the repeats of an example side by side,
    else all examples of a repeat lie side by side.
    """
    if n_repeats == 1:
        return value
    count, rest = value.shape[0], value.shape[1:]
    if example_major:
        value = value.unsqueeze(1).expand(count, n_repeats, *rest)
    else:
        value = value.unsqueeze(0).expand(n_repeats, count, *rest)
    return value.reshape(count * n_repeats, *rest)


class MisfitTargetError(ValueError):
    """A target that the outputs of the model do not have, however many rows it is given."""


class Target:
    """Which scalar of the model's output is explained.

    Parameters
    ----------
    target : None, int, tuple of int, Tensor, list of int, or list of tuple of int
        None: the model returns one scalar per row (or one per batch). An int, or a tensor with one
        element, is the column for every example. A tuple holds one index for each dimension after
        the batch; last ones of size 1 need none. A list of ints or a 1-d tensor holds one column
        per example, a list of tuples one tuple per example. Negative indices are refused: -1 is a
        common "no label".

    aggregates : bool
        Whether the outputs may belong to all rows together, as those of a sum over them do: such a
        model gives [1, ...], of which one index is explained.

    Raises
    ------
    TypeError
        If ``target`` holds something else than integers.
    ValueError
        If it has another form, or a negative index.
    """

    def __init__(self, target: Any, *, aggregates: bool = False) -> None:
        self.aggregates = aggregates
        self.shared: tuple[int, ...] | None = None
        self.rows: Tensor | None = None  # int64 [n_examples, n_indices], on the CPU
        self._fits: tuple[int, ...] | None = None  # the last output sizes that passed the check
        if target is None:
            return
        if type(target) is int:  # as most are
            self.shared = (target,)
            return self._check_negative()
        if is_array(target):
            target = tensor_of("target", target)
        if isinstance(target, Tensor):
            self._set_tensor(target)
        elif isinstance(target, tuple):
            if not target:
                raise ValueError("target must have at least one index, got an empty tuple")
            self.shared = tuple(_as_index(index) for index in target)
        elif isinstance(target, list):
            self._set_list(target)
        else:
            self.shared = (_as_index(target),)
        self._check_negative()

    @property
    def given(self) -> bool:
        """Whether there is a target at all."""
        return self.shared is not None or self.rows is not None

    @property
    def is_shared(self) -> bool:
        """Whether all examples have the same."""
        return self.shared is not None

    def each(self, n_examples: int) -> list[tuple[int, ...]]:
        """Return the indices of every example."""
        if self.shared is not None:
            return [self.shared] * n_examples
        return [tuple(row) for row in self._rows().tolist()]

    def __repr__(self) -> str:
        if self.rows is not None:
            return f"one index tuple for each of {self.rows.shape[0]} examples"
        return str(self.shared)

    def check_examples(self, n_examples: int, *, sums: bool = False) -> None:
        """Raise ``ValueError`` unless there is one target for all or one for each example.

        With ``sums`` those of several outputs of a single example will do, see `counts_outputs`.
        """
        if sums and self.counts_outputs(n_examples):
            return
        if self.rows is not None and self.rows.shape[0] != n_examples:
            raise ValueError(
                f"target must have one entry per example, {n_examples}, got {self.rows.shape[0]}"
            )

    def counts_outputs(self, n_examples: int) -> bool:
        """Whether there are several targets for the outputs of a single example.

        A model of graphs has an output for each node of the one graph that it is given: what is
        explained is the sum of what the targets choose, one in each row of the outputs.
        """
        return self.rows is not None and n_examples == 1 and self.rows.shape[0] > 1

    def sum_over(self, outputs: Tensor) -> Tensor:
        """Return the sum of what the targets choose in the outputs of one example, ``[1]``.

        Raises
        ------
        ValueError
            If there is not one target for each row of the outputs.
        """
        count = self._rows().shape[0]
        if outputs.dim() < 2 or outputs.shape[0] != count:
            raise ValueError(
                "target must have one entry per example, 1, or one per row of what the model "
                f"returns for it, got {count} for outputs of shape {list(outputs.shape)}"
            )
        return self.select(outputs, slice(0, count), 1, True).sum(0, keepdim=True)

    def select(
        self, outputs: Tensor, examples: slice, n_repeats: int, example_major: bool
    ) -> Tensor:
        """Return one scalar per row.

        Parameters
        ----------
        outputs : Tensor, shape [rows, ...]
            What the model returned for ``examples`` x ``n_repeats`` rows.
        examples : slice
            Which examples the rows belong to.
        n_repeats : int
            Rows per example.
        example_major : bool
            Order of the rows, see ``expand_rows``.

        Returns
        -------
        Tensor, shape [rows]
        """
        if not self.given:
            return _only_scalar(outputs)
        outputs = self._without_tail(outputs)
        sizes = tuple(outputs.shape[1:])
        if sizes != self._fits:
            self._check_fits(sizes)
            self._fits = sizes
        if self.shared is not None:
            return _column(outputs, self.shared)
        assert self.rows is not None
        chosen = self.rows[examples]
        if len(chosen) > 1 and not bool((chosen == chosen[:1]).all()):
            return self._gather(outputs, sizes, chosen, n_repeats, example_major)
        return _column(outputs, chosen[0].tolist())

    def _without_tail(self, outputs: Tensor) -> Tensor:
        """Drop last dimensions of size 1 that the target has no index for."""
        count = 1 + (len(self.shared) if self.shared is not None else self._rows().shape[1])
        if outputs.dim() <= count or outputs.shape[count:].numel() != 1:
            return outputs
        return outputs.reshape(outputs.shape[:count])

    def _gather(
        self,
        outputs: Tensor,
        sizes: tuple[int, ...],
        chosen: Tensor,  # [examples, n_indices]
        n_repeats: int,
        example_major: bool,
    ) -> Tensor:
        flat, *columns = chosen.unbind(1)
        for size, column in zip(sizes[1:], columns, strict=True):
            flat = flat * size + column
        count, index = len(flat), flat.to(outputs.device, non_blocking=True)
        if example_major:
            places = index[:, None, None].expand(-1, n_repeats, 1)
            found = outputs.reshape(count, n_repeats, -1).gather(2, places)
        else:
            found = outputs.reshape(n_repeats, count, -1).gather(
                2, index[:, None].expand(n_repeats, -1, 1)
            )
        return found.flatten()

    def _set_tensor(self, target: Tensor) -> None:
        if target.is_floating_point() or target.is_complex() or target.dtype == torch.bool:
            raise TypeError(f"target must hold integers, got {target.dtype}")
        if target.numel() == 1:
            self.shared = (int(target),)
        elif target.dim() == 1:
            self.rows = target.detach().to("cpu", torch.int64).unsqueeze(1)
        else:
            raise ValueError(
                "target must be one integer or one per example (1-d), "
                f"got a tensor of shape {list(target.shape)}"
            )

    def _set_list(self, target: list[Any]) -> None:
        if not target:
            raise ValueError("target must have one entry per example, got an empty list")
        entries = [
            tuple(_as_index(index) for index in (entry if isinstance(entry, tuple) else (entry,)))
            for entry in target
        ]
        lengths = {len(entry) for entry in entries}
        if len(lengths) != 1 or 0 in lengths:
            raise ValueError(
                "target must have the same number of indices for each example, "
                f"got {sorted(lengths)}"
            )
        self.rows = torch.tensor(entries, dtype=torch.int64)

    def _check_negative(self) -> None:
        lowest = min(self.shared) if self.shared is not None else int(self._rows().min())
        if lowest < 0:
            raise ValueError(f"target must be at least 0, got {lowest}")

    def _rows(self) -> Tensor:
        assert self.rows is not None
        return self.rows

    def _check_fits(self, sizes: tuple[int, ...]) -> None:
        """Compare with the sizes of the output after the batch; no device is read."""
        n_indices = len(self.shared) if self.shared is not None else self._rows().shape[1]
        if n_indices != len(sizes):
            raise MisfitTargetError(
                f"target must have {len(sizes)} index(es) for a model output of shape "
                f"{_row_shape(sizes)}, got {n_indices}"
            )
        highest = self.shared if self.shared is not None else self._rows().amax(0).tolist()
        for position, (index, size) in enumerate(zip(highest, sizes, strict=True)):
            if index >= size:
                where = f"target[{position}]" if n_indices > 1 else "target"
                raise MisfitTargetError(
                    f"{where} must be in 0 .. {size - 1} for a model with {size} classes, "
                    f"got {index}"
                )


def _column(outputs: Tensor, indices: Sequence[int]) -> Tensor:
    for index in indices:
        outputs = outputs.select(1, index)
    return outputs


class EveryOutput(Target):
    """All outputs of the model at once, for `Runner.values`: rows come back as [rows, n_outputs].

    A model with a single output per row gives [rows], as without a target.

    Parameters
    ----------
    aggregates : bool
        See `Target`; outputs without a dimension of size 1 for all rows are taken too, and all come
        back as [1, n_outputs].
    """

    def __init__(self, *, aggregates: bool = False) -> None:
        super().__init__(None, aggregates=aggregates)

    def select(
        self, outputs: Tensor, examples: slice, n_repeats: int, example_major: bool
    ) -> Tensor:
        """Return all outputs of each row, flattened."""
        if outputs.shape[1:].numel() == 1:
            return outputs.reshape(outputs.shape[0])
        return outputs.flatten(1)


class Targets(Target):
    """Several targets of the same rows, for `Runner.values`: these come back as [rows, n_targets].

    Parameters
    ----------
    targets : sequence
        Each in a form that `Target` takes, but None.
    aggregates : bool
        See `Target`.

    Raises
    ------
    TypeError
        If one holds something else than integers, or is None.
    ValueError
        If there is none, or one has another form or a negative index.
    """

    def __init__(self, targets: Sequence[Any], *, aggregates: bool = False) -> None:
        super().__init__(None, aggregates=aggregates)
        self.as_given = list(targets)
        self.all: list[Target] = []
        if not self.as_given:
            raise ValueError("targets must hold at least one target, got an empty list")
        for number, target in enumerate(self.as_given):
            if target is None:
                raise TypeError(f"targets[{number}] must choose an output, got None")
            with _named(number):
                self.all.append(Target(target, aggregates=aggregates))

    @property
    def given(self) -> bool:
        """True: there are some."""
        return True

    @property
    def is_shared(self) -> bool:
        """Whether all examples have the same."""
        return all(target.is_shared for target in self.all)

    def __repr__(self) -> str:
        return str(self.all)

    def check_examples(self, n_examples: int, *, sums: bool = False) -> None:
        """Raise ``ValueError`` as `Target` does; the message says which of them it is."""
        for number, target in enumerate(self.all):
            with _named(number):
                target.check_examples(n_examples, sums=sums)

    def counts_outputs(self, n_examples: int) -> bool:
        """Whether one of them is several, for the outputs of a single example."""
        return any(target.counts_outputs(n_examples) for target in self.all)

    def select(
        self, outputs: Tensor, examples: slice, n_repeats: int, example_major: bool
    ) -> Tensor:
        """Return one scalar per row for each target, [rows, n_targets]."""
        found = []
        for number, target in enumerate(self.all):
            with _named(number):
                found.append(target.select(outputs, examples, n_repeats, example_major))
        return torch.stack(found, 1)


@contextmanager
def _named(number: int) -> Iterator[None]:
    """Let errors about a target say which of several it is."""
    try:
        yield
    except (TypeError, ValueError) as error:
        text = str(error)
        if not text.startswith("target"):
            raise
        raise type(error)(f"targets[{number}]{text.removeprefix('target')}") from None


def explained_together(target: Any) -> Target:
    """Return a target, or all outputs where there is none, that may be of all rows together."""
    if target is None:
        return EveryOutput(aggregates=True)
    if isinstance(target, Targets):
        return Targets(target.as_given, aggregates=True)
    return Target(target, aggregates=True)


def _only_scalar(outputs: Tensor) -> Tensor:
    if outputs.shape[1:].numel() == 1:
        return outputs.reshape(outputs.shape[0])
    raise ValueError(
        "target must be given for a model with several outputs per row, "
        f"got None for outputs of shape {_row_shape(tuple(outputs.shape[1:]))}"
    )


def _row_shape(sizes: tuple[int, ...]) -> str:
    """Return the shape of outputs as text; how many rows a pass has is no business of the caller's.

    ``sizes`` are those after the rows.
    """
    return f"[{', '.join(('rows', *map(str, sizes)))}]"


def _as_index(value: Any) -> int:
    if isinstance(value, Tensor) and value.numel() == 1 and not value.is_floating_point():
        value = value.item()
    if isinstance(value, bool):
        raise TypeError(f"target must hold integers, got {value!r}")
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(
            f"target must be an integer, a tuple or list of them, or a tensor, "
            f"got {describe(value)}"
        ) from None
