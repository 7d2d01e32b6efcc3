"""Questions to people about explanations, in an order that gives nothing away."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_int, check_tensor, describe
from pyxai.explain import explain
from pyxai.explanation import Explanation
from pyxai.metrics.checks.result import mean_and_error

__all__ = ["Questionnaire"]


class Questionnaire:
    """Two tasks for readers: find the more accurate model, and rank methods by trust.

    In the first, a reader sees two explanations of each example by one method, of ``model`` and of
    ``other``, and chooses the model that seems more accurate. In the second, explanations of
    ``model`` by all methods, to be ranked from 1, the most trusted, on [1]_. Sides and order are
    drawn.

    Parameters
    ----------
    model, other : callable
        Of which the first is the more accurate, by a test set.
    inputs : Tensor or tuple of Tensor, shape [batch, *features]
        Examples.
    methods : mapping of str to dict
        Further options of each method, by its name.
    target : int, tuple, list or Tensor, optional
        Which output.
    seed : int
        Of sides and order.

    Attributes
    ----------
    pairs : dict of str to tuple of Explanation
        By method, what stands on the left and on the right where ``sides`` is 0; where it is 1 they
        change places.
    sides : Tensor, shape [n_methods, batch]
        The key of the first task: 0 where ``model`` is on the left, else 1.
    order : Tensor, shape [batch, n_methods]
        The order in which the second task shows the methods, as numbers of ``methods``.

    Raises
    ------
    ValueError, TypeError
        If an argument does not fit.

    References
    ----------
    .. [1] C. Singh, W. J. Murdoch, B. Yu, "Hierarchical interpretations for neural network
       predictions", ICLR 2019, section 4.3.1.
    """

    def __init__(
        self,
        model: Callable[..., Any],
        other: Callable[..., Any],
        inputs: Tensor | tuple[Tensor, ...],
        *,
        methods: Mapping[str, Mapping[str, Any]],
        target: Any = None,
        seed: int = 0,
    ) -> None:
        if not isinstance(methods, Mapping) or not methods:
            raise TypeError(
                f"methods must be a mapping of names to options, got {describe(methods)}"
            )
        check_int("seed", seed, minimum=0)
        self.methods = tuple(methods)
        self.pairs: dict[str, tuple[Explanation, Explanation]] = {}
        for name, options in methods.items():
            first, second = (
                explain(each, inputs, method=name, target=target, **options)
                for each in (model, other)
            )
            self.pairs[name] = first, second
        batch = len(inputs if isinstance(inputs, Tensor) else inputs[0])
        rng = torch.Generator().manual_seed(seed)
        self.sides = torch.randint(2, (len(methods), batch), generator=rng)
        shuffled = [torch.randperm(len(methods), generator=rng) for _ in range(batch)]
        self.order = torch.stack(shuffled)

    def shown(self, method: str, example: int) -> tuple[Explanation, Explanation]:
        """Return what a reader sees on the left and on the right in the first task.

        Parameters
        ----------
        method : str
        example : int
        """
        left, right = (each[example] for each in self.pairs[method])
        return (right, left) if self.sides[self.methods.index(method), example] else (left, right)

    def answers(self, method: str, choices: Tensor) -> Tensor:
        """Tell which choices are right, for ``reality_checks(answers=...)``.

        Parameters
        ----------
        method : str
        choices : Tensor, shape [readers, batch]
            0 for the model on the left, 1 for that on the right.

        Returns
        -------
        Tensor, shape of ``choices``
            bool.
        """
        if method not in self.methods:
            raise ValueError(f"method must be one of {', '.join(self.methods)}, got {method!r}")
        check_tensor("choices", choices)
        key = self.sides[self.methods.index(method)]
        fits = choices.dim() == 2 and choices.shape[1] == len(key)
        if not fits or not bool(((choices == 0) | (choices == 1)).all()):
            raise ValueError(
                f"choices must hold 0 or 1 in shape [readers, {len(key)}], got {describe(choices)}"
            )
        return choices == key.to(choices.device)

    def trust(self, ranks: Tensor) -> dict[str, tuple[float, float]]:
        """Return the mean rank of each method in the second task, and its error over readers.

        Parameters
        ----------
        ranks : Tensor, shape [readers, batch, n_methods]
            Ranks from 1 in the order in which methods were shown.

        Returns
        -------
        dict of str to tuple of float
            Mean and standard error, over the examples where there is one reader.
        """
        check_tensor("ranks", ranks)
        batch, count = self.order.shape
        wanted = torch.arange(1, count + 1, device=ranks.device)
        fits = ranks.dim() == 3 and tuple(ranks.shape[1:]) == (batch, count)
        if not fits or not bool((ranks.sort(2).values == wanted).all()):
            raise ValueError(
                f"ranks must hold 1 to {count} in shape [readers, {batch}, {count}], "
                f"got {describe(ranks)}"
            )
        order = self.order.to(ranks.device).expand(len(ranks), -1, -1)
        by_method = torch.zeros_like(ranks).scatter_(2, order, ranks).double()
        each = by_method.mean(1) if len(ranks) > 1 else by_method[0]
        return {name: mean_and_error(each[:, place]) for place, name in enumerate(self.methods)}
