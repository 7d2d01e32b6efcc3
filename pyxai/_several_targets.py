"""Several targets of the same examples in one call: what goes through the model once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from pyxai._inputs import format_inputs
from pyxai.explanation import Explanation
from pyxai.explanation.names import as_names, take_names
from pyxai.explanation.rows import take_baselines, take_options
from pyxai.methods import Attribution
from pyxai.registry import Method
from pyxai.runner import Runner, Shared, Targets, in_blocks, in_rounds
from pyxai.runner.arguments import follows, take_arguments

__all__ = ["Call", "detached", "explain_each", "of_target"]

_ROUND_BYTES = 256 * 2**20  # of inputs that are copied, once for each target


@dataclass(frozen=True)
class Call:
    """The arguments of `pyxai.explain`, but for the target; arrays have become tensors."""

    model: Callable[..., Any]
    method: Any
    entry: Method | None
    inputs: Any
    baselines: Any
    options: dict[str, Any]
    feature_names: Any
    columns: list[str] | None
    shown: Any
    """What the inputs are displayed as, if not as numbers."""

    @property
    def draws_baselines(self) -> bool:
        """Whether the rows of the baselines are a set that all examples share."""
        distribution = self.entry is not None and self.entry.baselines == "distribution"
        return distribution or bool(self.options.get("draw_baseline_from_distrib"))


# (call, target, outputs or None)
Explain = Callable[[Call, Any, Tensor | None], list[Explanation]]


def explain_each(
    call: Call, targets: Targets, explainer: Attribution, explain: Explain
) -> list[Explanation]:
    """Explain the same examples once for each target.

    Methods that look at outputs only and ask the same whatever these are get all targets from one
    set of outputs. The others are given the examples once for each target, as a larger batch,
    whose rows the runner gives the model once as far as they are equal. What is neither, as a
    method whose result depends on the batch, is called once for each target.
    """
    tensors, _ = format_inputs(call.inputs)
    batch = len(tensors[0])
    targets.check_examples(batch, sums=True)
    if targets.counts_outputs(batch) or len(targets.all) == 1:
        return [explain(call, target, None)[0] for target in targets.as_given]
    if explainer.takes_targets(call.options):
        return explain(call, targets, None)
    arguments = call.options.get("additional_forward_args")
    runner = Runner(call.model, target=targets, additional_forward_args=arguments)
    outputs = runner.outputs(tensors)  # also shows whether there are such targets
    if len(outputs) != batch or not _can_be_copied(call, targets, batch):
        each_alone = zip(targets.as_given, outputs.unbind(1), strict=True)
        return [explain(call, target, found.contiguous())[0] for target, found in each_alone]
    at_most = max(1, _ROUND_BYTES // sum(tensor.nbytes for tensor in tensors))
    found: list[Explanation] = []

    def work(start: int, count: int) -> list[Explanation]:
        part = Targets(targets.as_given[start : start + count])
        if count == 1:
            return explain(call, part.as_given[0], outputs[:, start].contiguous())
        return _copied(call, part, outputs[:, start : start + count], explain)

    for _, _, each in in_rounds(len(targets.all), at_most, work):
        found += each
    return found


def _can_be_copied(call: Call, targets: Targets, batch: int) -> bool:
    """Tell whether rows keep apart, and it is known which arguments belong to them.

    What has neither a row for each example nor one for all might fit the larger batch.
    """
    entry, options = call.entry, call.options
    if entry is None or entry.whole_batch or callable(call.baselines):
        return False
    if len({len(target.each(batch)[0]) for target in targets.all}) > 1:
        return False
    given = [options.get("feature_mask"), *([] if call.draws_baselines else [call.baselines])]
    if not all(_is_for_one_or_each(value, call.inputs) for value in given):
        return False
    listed = (options.get("segments"), options.get("example_ids"), call.feature_names)
    if any(_n_entries(value) not in (None, batch) for value in listed):
        return False
    others = [value for name, value in options.items() if name not in _FOLLOWING]
    return not any(map(_might_have_rows, others))


_FOLLOWING = ("additional_forward_args", "feature_mask", "segments", "example_ids")


def _is_for_one_or_each(value: Any, inputs: Any) -> bool:
    """Tell whether baselines or a mask are for all examples, or have a row for each."""
    if isinstance(value, (tuple, list)):
        return isinstance(inputs, tuple) and all(map(_is_for_one_or_each, value, inputs))
    if not (isinstance(value, Tensor) and isinstance(inputs, Tensor)):
        return not isinstance(value, Tensor)
    return value.dim() < inputs.dim() or len(value) in (1, len(inputs))


def _n_entries(value: Any) -> int | None:
    """Return how many entries a list has that may be for each example."""
    if isinstance(value, Tensor):
        return len(value) if value.dim() in (1, 3) and value.dtype != torch.bool else None
    nested = isinstance(value, (list, tuple)) and not any(isinstance(each, str) for each in value)
    return len(value) if nested else None


def _might_have_rows(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value.dim() > 0
    return isinstance(value, (list, tuple)) and any(map(_might_have_rows, value))


def _copy_arguments(arguments: Any, rows: Tensor, batch: int) -> Any:
    """Copy what has a row for each example, and mark what has not, but as many as there will be."""
    copied = take_arguments(arguments, rows, batch)
    pairs = zip(pytree.tree_leaves(arguments), pytree.tree_leaves(copied), strict=True)
    leaves = [Shared(new) if old is new and follows(new, len(rows)) else new for old, new in pairs]
    return pytree.tree_unflatten(leaves, pytree.tree_structure(arguments))


def _copied(call: Call, targets: Targets, outputs: Tensor, explain: Explain) -> list[Explanation]:
    """Explain a batch that has the examples once for each target, those of a target together."""
    batch, count = len(outputs), len(targets.all)
    device = outputs.device
    rows = torch.arange(batch, device=device).repeat(count)
    inputs = call.inputs
    copies = inputs[rows] if isinstance(inputs, Tensor) else tuple(each[rows] for each in inputs)
    options = take_options(call.options, inputs, rows)
    if "additional_forward_args" in options:
        arguments = options["additional_forward_args"]
        options["additional_forward_args"] = _copy_arguments(arguments, rows, batch)
    if options.get("example_ids") is not None:
        ids = torch.as_tensor(options["example_ids"])
        options["example_ids"] = ids[rows.to(ids.device)]
    baselines = call.baselines
    if not call.draws_baselines:
        baselines = take_baselines(baselines, inputs, rows)
    names = call.feature_names
    if names is not None:
        names = take_names(as_names("feature_names", names), rows)
    many = replace(
        call, inputs=copies, baselines=baselines, options=options, feature_names=names, shown=None
    )
    target = [index for each in targets.all for index in each.each(batch)]
    with in_blocks(count):
        together = explain(many, target, outputs.T.flatten())[0]
    given = {name: call.options[name] for name in _FOLLOWING if name in call.options}
    parts = [together[number * batch : (number + 1) * batch] for number in range(count)]
    return [
        replace(
            part,
            inputs=detached(inputs),
            baselines=detached(call.baselines),
            target=target,
            options=part.options | given,
            display_values=call.shown,
        )
        for part, target in zip(parts, targets.as_given, strict=True)
    ]


def of_target(value: Any, number: int, count: int, *, by_rows: bool) -> Any:
    """Return what belongs to one of several targets, of tensors or a tuple of them.

    [batch, count, ...] -> [batch, ...], and from [batch * count, ...] where they stand ``by_rows``.
    """
    if isinstance(value, tuple):
        return tuple(of_target(part, number, count, by_rows=by_rows) for part in value)
    if not isinstance(value, Tensor):
        return value
    each = value.view(-1, count, *value.shape[1:]) if by_rows else value
    return each[:, number].contiguous()


def detached(value: Any) -> Any:
    """Return tensors, or tuples of them, without a record of how they were made."""
    if isinstance(value, Tensor):
        return value.detach()
    if isinstance(value, (tuple, list)):
        return tuple(detached(part) for part in value)
    return value
