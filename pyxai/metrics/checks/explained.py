"""One method asked about one model, for all checks: attributions, and scores of groups."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from pyxai._checks import describe
from pyxai._inputs import flat_features, format_baselines, format_inputs
from pyxai._random import example_ids
from pyxai._signatures import option_parameters
from pyxai.decomposition import ContextualDecomposition
from pyxai.explain import explain
from pyxai.methods import Attribution, Method
from pyxai.metrics.attributions import shares_of_players
from pyxai.metrics.outputs import output_of_each
from pyxai.metrics.rows import rows_of
from pyxai.registry import find
from pyxai.runner import Runner

__all__ = ["Explained", "flat_masks"]


class Explained:
    """A model, examples of it, and a method with its options.

    Attributes
    ----------
    inputs : tuple of Tensor, shape [batch, *features]
    takes : frozenset of str
        Options of the method's `attribute`.
    """

    def __init__(
        self,
        model: Callable[..., Any],
        inputs: Any,
        method: Any,
        target: Any,
        baselines: Any,
        seed: int,
        options: dict[str, Any],
    ) -> None:
        self.inputs, self._is_tuple = format_inputs(inputs)
        self.model, self.method, self.target = model, method, target
        self.baselines, self.options = baselines, dict(options)
        self.entry = find(method)
        self.cls = _class_of(method, self.entry)
        if self.entry is not None and self.entry.of != "inputs":
            raise ValueError(
                "method must explain an output by the inputs, got "
                f"{self.entry.name!r}, which is of a {self.entry.of}"
            )
        self.takes = _options_of(self.cls)
        if self.entry is not None and self.entry.stochastic and "seed" in self.takes:
            self.options.setdefault("seed", seed)
        if "example_ids" in self.takes:  # changed examples draw as the originals
            self.options.setdefault("example_ids", example_ids(None, self.inputs))
        self.name = self.entry.name if self.entry is not None else self.cls.__name__

    @property
    def batch(self) -> int:
        """How many examples there are."""
        return len(self.inputs[0])

    @property
    def floating(self) -> bool:
        """Whether all inputs are numbers, not words."""
        return all(each.is_floating_point() for each in self.inputs)

    @property
    def splits(self) -> bool:
        """Whether scores are parts of the output, so that a group may be empty."""
        return issubclass(self.cls, ContextualDecomposition)

    @property
    def has_background(self) -> bool:
        """Whether the baselines are a distribution for all examples."""
        return self.entry is not None and self.entry.baselines == "distribution"

    def outputs(self, inputs: tuple[Tensor, ...] | None = None) -> Tensor:
        """Return the explained output of each example, float64 [batch]."""
        further = self.options.get("additional_forward_args")
        runner = Runner(self.model, target=self.target, additional_forward_args=further)
        return output_of_each(runner, self.inputs if inputs is None else inputs)

    def start(self) -> tuple[Tensor, ...]:
        """Return the baseline of each example; of a distribution, all of it."""
        if self.has_background:
            return format_inputs(self.baselines)[0]
        return tuple(
            base.expand_as(x) if isinstance(base, Tensor) else torch.full_like(x, base)
            for base, x in zip(
                format_baselines(self.baselines, self.inputs), self.inputs, strict=True
            )
        )

    def attributions(self, inputs: tuple[Tensor, ...] | None = None, **changes: Any) -> Tensor:
        """Return attributions of examples like the given ones, float64 [batch, features]."""
        given = self.inputs if inputs is None else inputs
        found = explain(
            self.model,
            given if self._is_tuple else given[0],
            method=self.method,
            target=self.target,
            baselines=self.baselines,
            **{**self.options, **changes},
        ).attributions
        parts = found if isinstance(found, tuple) else (found,)
        if [part.shape for part in parts] != [each.shape for each in given]:
            raise ValueError(
                "method must give a score to each feature of the inputs, "
                f"{[list(each.shape) for each in given]}, got {[list(p.shape) for p in parts]}"
            )
        return rows_of("attributions", found)

    def shares(self, inputs: tuple[Tensor, ...] | None = None) -> Tensor:
        """Return attributions that add up, float64 [batch, features].

        Where a ``feature_mask`` is among the options, each member of a group has its share.
        """
        found, mask = self.attributions(inputs), self.options.get("feature_mask")
        if mask is None:
            return found
        sizes = [each[0].numel() for each in self.inputs]
        parts = tuple(
            part.view(each.shape)
            for part, each in zip(torch.split(found, sizes, 1), self.inputs, strict=True)
        )
        return torch.cat(shares_of_players(parts, self.inputs, mask), 1)

    def group_scores(self, masks: Tensor | tuple[Tensor, ...]) -> Tensor:
        """Return scores of groups, float64 [batch, groups].

        Parameters
        ----------
        masks : Tensor or tuple of Tensor, shape [batch or 1, groups, *features] each
            bool. A method that takes a feature mask scores a group as a whole, next to all other
            features; of another, it is the sum over the group.
        """
        several = tuple(masks) if isinstance(masks, (tuple, list)) else (masks,)
        if self.splits:
            return self._parts(several)
        wide = [
            mask.expand(self.batch, mask.shape[1], *x.shape[1:])
            for mask, x in zip(several, self.inputs, strict=True)
        ]
        flat = torch.cat([each.flatten(2) for each in wide], 2)  # [batch, groups, features]
        if "feature_mask" not in self.takes:
            return (self.shares().unsqueeze(1) * flat).sum(2)
        found = []
        for group in range(flat.shape[1]):
            owners = tuple(each[:, group].long() for each in wide)
            values = self.attributions(feature_mask=owners if self._is_tuple else owners[0])
            inside = flat[:, group]
            found.append((values * inside).sum(1) / inside.sum(1).clamp(min=1))
        return torch.stack(found, 1)

    def _parts(self, masks: tuple[Tensor, ...]) -> Tensor:
        options = {k: v for k, v in self.options.items() if k not in self.takes}
        given = isinstance(self.method, Attribution)
        scorer: Any = self.method if given else self.cls(self.model, **options)
        asked = ("additional_forward_args", "internal_batch_size")
        further = {name: self.options[name] for name in asked if name in self.options}
        found: Tensor = scorer.scores(self.inputs, masks, self.target, **further)
        return found.double()

    def with_weights_permuted(self, share: float, seeds: Iterable[int]) -> Iterator[Explained]:
        """Yield, for each seed, the same method on a copy of the model with some weights permuted.

        It is one copy, so that a method that traces it does so once: its weights are written anew
        for each seed, and what was yielded before is not to be asked any more.
        """
        other = copy.copy(self)
        other.model, other.method, other.options = copy.deepcopy(
            (self.model, self.method, self.options)
        )
        assert isinstance(self.model, nn.Module)
        assert isinstance(other.model, nn.Module)
        for seed in seeds:
            rng = torch.Generator().manual_seed(seed)
            pairs = zip(self.model.parameters(), other.model.parameters(), strict=True)
            with torch.no_grad():
                for mine, theirs in pairs:
                    flat = mine.detach().flatten().clone()
                    some = torch.randperm(len(flat), generator=rng)[: round(share * len(flat))]
                    mixed = some[torch.randperm(len(some), generator=rng)]
                    flat[some.to(flat.device)] = flat[mixed.to(flat.device)]
                    theirs.copy_(flat.view_as(theirs))
            yield other


def _class_of(method: Any, entry: Method | None) -> type[Any]:
    if isinstance(method, Attribution):
        return type(method)
    if entry is not None:
        return entry.cls
    if isinstance(method, type) and issubclass(method, Attribution):
        return method
    raise TypeError(
        f"method must be a name, an Attribution class or such an object, got {describe(method)}"
    )


def _options_of(cls: type[Any]) -> frozenset[str]:
    return frozenset(parameter.name for parameter in option_parameters(cls.attribute)[1:])


def flat_masks(masks: Any, inputs: tuple[Tensor, ...]) -> Tensor:
    """Return masks of features as rows, bool [batch, features]."""
    several = tuple(masks) if isinstance(masks, (tuple, list)) else (masks,)
    return torch.cat(
        [flat_features(m.expand_as(x)) for m, x in zip(several, inputs, strict=True)], 1
    )
