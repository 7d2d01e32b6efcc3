"""Deep Taylor decomposition."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pyxai._checks import check_choice
from pyxai.attribution.propagated.lrp import LRP
from pyxai.methods.store import register
from pyxai.propagation.relevance import RelevanceRule, WSquareRule, ZBoxRule, ZPlusRule
from pyxai.propagation.relevance.table import RELEVANCE

__all__ = ["DeepTaylor"]


# Rows without a positive output get nothing, so that no axiom holds for every input.
@register(
    "deep_taylor",
    summary="relevance of a positive output by the z+ rule",
    cost="1 output + 1 gradient, traced",
    use=(
        "ReLU nets of images, for maps without a sign; not for outputs below 0 nor for "
        "evidence against a class"
    ),
    needs="module",
)
class DeepTaylor(LRP):
    """Decompose a positive output by Taylor expansions at the roots of each neuron.

    Hidden layers follow the z+ rule, biases ignored; the layers that read the inputs follow
    ``input_rule``. All relevance is positive if that of the output is.

    Parameters
    ----------
    model : Module
        Returns one tensor, a row per example.
    input_rule : "z_plus", "w_square" or "z_box"
        For inputs that are not negative, without bounds, or between ``low`` and ``high``.
    low, high : float or Tensor
        Bounds for ``"z_box"``.
    on_negative : "raise" or "clamp"
        What happens to rows whose output is not positive, which the method does not speak of: an
        error, or no relevance.
    strict : bool
        Whether an op without a rule is an error; otherwise its gradient is used, with a warning.

    Raises
    ------
    TypeError
        If ``model`` is no ``nn.Module``.
    ValueError
        If a name is unknown.

    Notes
    -----
    The theory assumes biases that are not positive. Sums and pools share by contribution.

    References
    ----------
    .. [1] G. Montavon et al., "Explaining NonLinear Classification Decisions with Deep Taylor
       Decomposition", Pattern Recognition 65, 2017, section 4.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        input_rule: str = "z_plus",
        low: float | Tensor = 0.0,
        high: float | Tensor = 1.0,
        on_negative: str = "raise",
        strict: bool = True,
    ) -> None:
        check_choice("input_rule", input_rule, ("z_plus", "w_square", "z_box"))
        check_choice("on_negative", on_negative, ("raise", "clamp"))
        first: dict[str, RelevanceRule] = {
            "z_plus": ZPlusRule(),
            "w_square": WSquareRule(),
            "z_box": ZBoxRule(low, high),
        }
        super().__init__(
            model, rule="z_plus", composite={"first": first[input_rule]}, strict=strict
        )
        self.on_negative = on_negative

    _table = RELEVANCE.extended("Deep Taylor")  # the same rules, errors by its own name

    @property
    def _start(self) -> str:  # type: ignore[override] # a constant there
        return "positive" if self.on_negative == "raise" else "output"

    def _finish(self, relevance: tuple[Tensor, ...], output: Tensor) -> tuple[Tensor, ...]:
        keep = output > 0
        return tuple(
            torch.where(keep.view(-1, *[1] * (part.dim() - 1)), part, torch.zeros_like(part))
            for part in relevance
        )
