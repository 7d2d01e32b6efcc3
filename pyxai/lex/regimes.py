"""What the predictor learns from, and whose output the selection explains."""

from __future__ import annotations

from dataclasses import dataclass

from pyxai._checks import check_bool, check_choice, check_int

__all__ = ["Regime"]

_TARGETS = ("label", "self", "black_box")
_PREDICTORS = ("joint", "frozen", "random_masks")
_PRETRAINING = ("full", "random_masks")
_ORDERS = ("together", "alternating", "cycle")


@dataclass(frozen=True)
class Regime:
    """What the predictor learns from, and whose output the selection explains.

    Attributes
    ----------
    target : str
        ``"label"``: the data's labels; ``"self"``: the predictor's own output on full inputs
        (with a frozen predictor); ``"black_box"``: the output of another model.
    hard_target : bool
        Whether outputs count as their most likely class instead of as probabilities.
    predictor : str
        ``"joint"``: trained on the selector's masks, on the same loss; ``"frozen"``;
        ``"random_masks"``: trained on masks that keep each group with probability 1/2, on a loss of
        its own.
    pretraining : str
        What the predictor sees while it is pre-trained: ``"full"`` inputs or ``"random_masks"``.
    pretrain_epochs : int
        Epochs of that before the selector is trained.
    order : str
        ``"together"``: one step for all; ``"alternating"``: in each batch a step of the predictor,
        then one of the selector; ``"cycle"``: batches of which every third trains the predictor
        alone, the next the selector alone, and the next both.
    full_every : int
        Every so many batches the predictor takes a step on full inputs too; 0 for never.

    Examples
    --------
    >>> from pyxai.lex import Regime
    >>> Regime(predictor="frozen", pretrain_epochs=5).target
    'label'
    """

    target: str = "label"
    hard_target: bool = False
    predictor: str = "joint"
    pretraining: str = "full"
    pretrain_epochs: int = 0
    order: str = "together"
    full_every: int = 0

    def __post_init__(self) -> None:
        """Raise if a choice is not one of those that exist, or two of them contradict."""
        check_choice("target", self.target, _TARGETS)
        check_bool("hard_target", self.hard_target)
        check_choice("predictor", self.predictor, _PREDICTORS)
        check_choice("pretraining", self.pretraining, _PRETRAINING)
        check_choice("order", self.order, _ORDERS)
        check_int("pretrain_epochs", self.pretrain_epochs, minimum=0)
        check_int("full_every", self.full_every, minimum=0)
        if self.target == "self" and self.predictor != "frozen":
            raise ValueError(
                f"predictor must be 'frozen' where it is its own target, got {self.predictor!r}"
            )

    def parts(self, step: int) -> tuple[tuple[str, ...], ...]:
        """Return which parts each optimiser step of batch ``step`` trains, in order."""
        steps: list[tuple[str, ...]] = []
        if self.full_every and step % self.full_every == self.full_every - 1:
            steps.append(("full",))
        if self.predictor == "frozen":
            return (*steps, ("selector",))
        if self.order == "together":
            return (*steps, ("predictor", "selector"))
        if self.order == "alternating":
            return (*steps, ("predictor",), ("selector",))
        both = (("predictor",), ("selector",), ("predictor", "selector"))
        return (*steps, both[step % 3])
