"""The three principles of a fair allocation of effects, as measurements on any method.

P1, low approximation error: what the method explains is f(x) - f(b). P2, no unrelated allocation:
an effect goes to its own players only. P3, complete allocation: the players of an effect get all
of it (Deng et al., IEEE TPAMI 46(7), 2024, section 4).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pyxai._checks import check_choice, check_tensor
from pyxai._inputs import format_feature_mask
from pyxai.game import Game
from pyxai.ops.masked_perturb import masked_perturb
from pyxai.ops.moebius_transform import moebius_transform
from pyxai.runner import Output, one_scope, takes_arrays
from pyxai.taylor.allocation.method_calls import (
    Attribute,
    bind_method,
    is_factory,
    name_method,
    player_sums,
    uses_first_order_only,
)
from pyxai.taylor.allocation.principles_neuron import NeuronTest, measure_neuron
from pyxai.taylor.effects.harsanyi import value_table
from pyxai.taylor.effects.subsets import membership

__all__ = ["AllocationTest", "SurrogateTest", "principles"]

_MAX_PLAYERS = 16
_ROWS = 4096  # masked inputs given to the method at once


@dataclass(frozen=True)
class AllocationTest:
    """Test A: how a method shares out the effects J(S) on all masked inputs; [batch] each.

    Attributes
    ----------
    shares : Tensor, float64, shape [batch, n_players, 2**n_players]
        ``A[i, S]``: Moebius transform over T of the attribution of player i on the input masked to
        T; the part of J(S) that i gets.
    effects : Tensor, float64, shape [batch, 2**n_players]
        J(S); index 0 holds the value at the baseline.
    e1 : Tensor
        Share of ``sum |J(S)|`` whose effects get no weight at all (P1).
    u : Tensor
        Share of the allocation that goes to players outside the set (P2).
    c : Tensor
        ``sum over S of |sum over i in S of A[i, S] - J(S)| / sum |J(S)|`` (P3).
    c_sum : Tensor
        The same with the sum over all players: completeness on every masked input.
    """

    name: str
    shares: Tensor
    effects: Tensor
    e1: Tensor
    u: Tensor
    c: Tensor
    c_sum: Tensor

    def to_dict(self) -> dict[str, float]:
        """Return the mean of every measure over the batch."""
        return {key: float(getattr(self, key).mean()) for key in ("e1", "u", "c", "c_sum")}

    def __str__(self) -> str:
        values = self.to_dict()
        return (
            f"{self.name}, test A over {self.effects.shape[1]} masked inputs\n"
            f"  effects without weight   E1    {values['e1']:.3g}\n"
            f"  allocated to strangers   U     {values['u']:.3g}\n"
            f"  not allocated in full    C     {values['c']:.3g}\n"
            f"  total not conserved      C_sum {values['c_sum']:.3g}"
        )


@dataclass(frozen=True)
class SurrogateTest:
    """Test C: what the method's surrogate and its attributions miss; [batch] each.

    Attributes
    ----------
    epsilon : Tensor
        ``|f(x) - f(b) - surrogate| / |f(x) - f(b)|``: the surrogate is the first-order expansion
        at b for Gradient x Input and Grad-CAM, everything (0) for the rest.
    completeness_gap : Tensor
        ``|sum of attributions - (f(x) - f(b))|``, in output units.
    """

    name: str
    epsilon: Tensor
    completeness_gap: Tensor

    def to_dict(self) -> dict[str, float]:
        """Return the mean of every measure over the batch."""
        return {
            "epsilon": float(self.epsilon.mean()),
            "completeness_gap": float(self.completeness_gap.mean()),
        }

    def __str__(self) -> str:
        values = self.to_dict()
        return (
            f"{self.name}, test C\n"
            f"  surrogate error    {values['epsilon']:.3g}\n"
            f"  completeness gap   {values['completeness_gap']:.3g}"
        )


@takes_arrays
@one_scope
def principles(
    method: Any,
    model: Callable[..., Any],
    inputs: Tensor,
    baselines: Any = None,
    *,
    test: str = "A",
    target: int | None = None,
    output: Output = "logit",
    feature_mask: Tensor | None = None,
    options: Mapping[str, Any] | None = None,
    first_order: bool | None = None,
    name: str | None = None,
) -> AllocationTest | NeuronTest | SurrogateTest:
    """Measure how an attribution method keeps the three principles.

    Parameters
    ----------
    method : str, class, functools.partial of a class, object, or callable
        pyxai's, by its name in the registry too, or captum's: a class is built with ``model``; an
        object is asked by its ``attribute``; any other callable takes the inputs ``[rows, *feat]``
        and returns attributions of the same shape. Test B builds the method on neurons of its own,
        so it needs a name, a class or a partial.
    model : callable
        What is explained: takes ``[rows, *feat]``.
    inputs : Tensor, shape [batch, *feat]
        Examples.
    baselines : float or Tensor, shape [*feat], [1 or batch, *feat]
        The reference of the game and of the method. Default 0.
    test : "A", "B" or "C"
        * "A": runs the method on all 2^n masked inputs (n <= 16 players) and reads off which part
          of every effect J(S) goes where. Sees that a method is complete and gives nothing to
          absent players; does not see how one layer shares among changed inputs.
        * "B": recovers the weights w_i(kappa) on single neurons ``(w . x)^k``, k = 1..3, by least
          squares. For layer rules.
        * "C": surrogate error and completeness gap on the inputs.
    target : int, optional
        Output of the model, given to the method too.
    output : see `pyxai.Game`
        What the game's values are; the method must explain the same.
    feature_mask : Tensor, optional
        Players; attributions are summed within each.
    options : mapping, optional
        Further arguments of the method's ``attribute``. "baselines" here replaces the baselines
        that the method gets, for methods that want a set of them.
    first_order : bool, optional
        Whether the method explains the first-order surrogate only (test C). Default: by its name.
    name : str, optional
        For printing.

    Returns
    -------
    AllocationTest (A), NeuronTest (B) or SurrogateTest (C)

    Raises
    ------
    ValueError
        If ``test`` is unknown, there are more than 16 players for A, or attributions have another
        shape than the inputs.
    TypeError
        If ``method`` is not callable in any of these ways, or is no class for B.

    Notes
    -----
    A costs 2^n calls of the method an example, batched. Measures are relative to
    ``sum |J(S)|``; with float64 models anything below 1e-9 is 0, with float32 below 1e-4.

    References
    ----------
    .. [1] H. Deng et al., "Unifying Fourteen Post-Hoc Attribution Methods With Taylor
       Interactions", IEEE TPAMI 46(7), 2024, section 4.
    """
    check_choice("test", test, ("A", "B", "C"))
    options = options or {}
    label = name or name_method(method)
    if test == "B":
        if not is_factory(method):
            raise TypeError(
                "method must be a class or a partial of one for test 'B', which builds it on "
                f"neurons of its own, got {label}"
            )
        return measure_neuron(method, options, label)
    check_tensor("inputs", inputs)
    game = Game(
        model,
        inputs,
        baselines=baselines,
        feature_mask=feature_mask,
        target=target,
        output=output,
    )
    attribute = bind_method(method, model, target, options)
    if test == "A":
        return _test_allocation(attribute, game, feature_mask, label)
    if first_order is None:
        first_order = uses_first_order_only(name_method(method)) or uses_first_order_only(label)
    return _test_surrogate(attribute, game, feature_mask, label, first_order)


def _test_allocation(
    attribute: Attribute, game: Game, feature_mask: Tensor | None, name: str
) -> AllocationTest:
    n, batch = game.n_players, game.n_examples
    effects = moebius_transform(value_table(game, _MAX_PLAYERS).double())
    masks = torch.arange(2**n, dtype=torch.int32)[:, None]
    shares = torch.stack(
        [_masked_attributions(attribute, game, feature_mask, e, masks) for e in range(batch)]
    )
    shares = moebius_transform(shares)
    inside = membership(n).T  # [n, 2**n]
    strength = effects[:, 1:].abs()
    total = strength.sum(1).clamp_min(1e-300)
    eps = torch.finfo(game.inputs[0].dtype).eps
    tolerance = (1e-9 if eps < 1e-10 else 1e-4) * total
    given = shares.abs()[:, :, 1:]
    unweighted = given.sum(1) <= tolerance[:, None]
    strangers = (given * ~inside[:, 1:]).sum((1, 2))
    own = (shares * inside)[:, :, 1:].sum(1)
    return AllocationTest(
        name=name,
        shares=shares,
        effects=effects,
        e1=(strength * unweighted).sum(1) / total,
        u=strangers / given.sum((1, 2)).clamp_min(1e-300),
        c=(own - effects[:, 1:]).abs().sum(1) / total,
        c_sum=(shares[:, :, 1:].sum(1) - effects[:, 1:]).abs().sum(1) / total,
    )


def _masked_attributions(
    attribute: Attribute,
    game: Game,
    feature_mask: Tensor | None,
    example: int,
    masks: Tensor,  # int32 [2**n, 1]
) -> Tensor:  # float64 [n_players, 2**n]
    """Run the method on all masked inputs of one example."""
    inputs, baselines, players = _one_example(game, feature_mask, example)
    n, found = game.n_players, []
    for start in range(0, len(masks), _ROWS):
        part = masks[start : start + _ROWS].to(inputs.device)
        rows = masked_perturb(inputs, baselines[0], part, players[None], n_players=n)
        attributions = attribute(rows.flatten(0, 2), baselines)
        found.append(player_sums(attributions, players.flatten().long().cpu(), n))
    return torch.cat(found).T


def _one_example(
    game: Game, feature_mask: Tensor | None, example: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return input [1, *feat], baseline [1, *feat] and players int32 [*feat] of one example."""
    inputs = game.inputs[0][example : example + 1]
    baseline = torch.as_tensor(game.baselines[0], dtype=inputs.dtype, device=inputs.device)
    if baseline.dim() == inputs.dim() and len(baseline) > 1:
        baseline = baseline[example : example + 1]
    owners = format_feature_mask(feature_mask, game.inputs).maps[0]
    if owners is None:
        owners = torch.arange(inputs.numel(), dtype=torch.int32, device=inputs.device)
        owners = owners.reshape(inputs.shape)
    players = owners[example if len(owners) > 1 else 0]
    return inputs, baseline.expand_as(inputs).contiguous(), players.contiguous()


def _test_surrogate(
    attribute: Attribute, game: Game, feature_mask: Tensor | None, name: str, first_order: bool
) -> SurrogateTest:
    n = game.n_players
    ends = game.values(torch.tensor([[False], [True]]).expand(2, n).contiguous()).double().cpu()
    change = ends[:, 1] - ends[:, 0]
    explained = change
    if first_order:
        slope = game.gradients(torch.zeros(1, n, dtype=game.inputs[0].dtype))
        explained = slope.double().cpu().sum((1, 2))
    total = []
    for example in range(game.n_examples):
        inputs, baselines, _ = _one_example(game, feature_mask, example)
        total.append(attribute(inputs, baselines).double().cpu().sum())
    return SurrogateTest(
        name=name,
        epsilon=(change - explained).abs() / change.abs().clamp_min(1e-12),
        completeness_gap=(torch.stack(total) - change).abs(),
    )
