"""Nine small nets whose effects and attributions are known exactly, and three edge cases.

Each function is written as a net because layer rules (LRP, DeepLIFT) see the architecture. The
baseline is 0 everywhere. Nets are float64, take ``[batch, n]`` and return ``[batch]``; the value
of every method is a tuple over the n inputs (Grad-CAM: over positions). Conventions:

* ``case.background`` (two rows) is the baseline set of Prediction Difference (per coordinate,
  equal weights), Expected Gradients and Deep SHAP.
* Grad-CAM takes the input as a feature map [batch, channels, positions]: ``feature_map_net()``,
  whose layer ``features`` gives the map; signed, not upsampled.
* LRP: epsilon 0, start at f(x); alpha 2, beta 1. Deep Taylor: z+ rule, biases ignored.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from closed_form_tables import ATTRIBUTIONS, KAPPA_WEIGHTS_T3, LN2, LN3, METHODS, T2, T3, T5
from torch import Tensor, nn

__all__ = [
    "CASES",
    "E1_RESCALE",
    "E1_REVEAL_CANCEL",
    "E2",
    "E3",
    "KAPPA_WEIGHTS_T3",
    "METHODS",
    "SHIFTED_POLYNOMIAL",
    "Case",
    "FeatureMapNet",
    "all_subsets",
    "e1_net",
    "e3_function",
    "one_layer",
    "two_layers",
]


class Power(nn.Module):
    """Elementwise integer power."""

    def __init__(self, exponent: int) -> None:
        super().__init__()
        self.exponent = exponent

    def forward(self, z: Tensor) -> Tensor:  # [batch, units]
        return z**self.exponent


class Exp(nn.Module):
    """Elementwise exponential."""

    def forward(self, z: Tensor) -> Tensor:  # [batch, units]
        return z.exp()


class Partial(nn.Module):
    """Apply ``activation`` to the units of one slice and pass the others through."""

    def __init__(self, activation: nn.Module, start: int, stop: int) -> None:
        super().__init__()
        self.activation, self.start, self.stop = activation, start, stop

    def forward(self, z: Tensor) -> Tensor:  # [batch, units]
        parts = [z[:, : self.start], self.activation(z[:, self.start : self.stop])]
        return torch.cat([*parts, z[:, self.stop :]], dim=1)


class Scalar(nn.Module):
    """Take the one output unit: [batch, 1] -> [batch]."""

    def forward(self, z: Tensor) -> Tensor:
        return z[:, 0]


class FeatureMapNet(nn.Module):
    """The net behind an identity layer ``features`` of shape [batch, channels, positions]."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.features = nn.Identity()
        self.net = net

    def forward(self, maps: Tensor) -> Tensor:
        return self.net(self.features(maps).flatten(1))


def linear(rows: list[list[float]], bias: list[float] | None = None) -> nn.Linear:
    """Return a float64 linear layer with the given weight rows."""
    layer = nn.Linear(len(rows[0]), len(rows), bias=bias is not None, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(rows, dtype=torch.float64))
        if bias is not None:
            layer.bias.copy_(torch.tensor(bias, dtype=torch.float64))
    return layer


def one_layer(weights: list[float], bias: float, activation: nn.Module | None) -> nn.Sequential:
    """Return the neuron activation(bias + weights @ x)."""
    parts: list[nn.Module] = [linear([weights], [bias] if bias else None)]
    return nn.Sequential(*parts, *([activation] if activation else []), Scalar())


def two_layers(
    rows: list[list[float]],
    activation: nn.Module,
    out: list[float],
    bias: list[float] | None = None,
) -> nn.Sequential:
    """Return out @ activation(rows @ x + bias)."""
    return nn.Sequential(linear(rows, bias), activation, linear([out]), Scalar())


def _net_t8() -> nn.Sequential:
    hidden = linear([[1, 1], [1, -2]], [0, 4])
    return nn.Sequential(hidden, nn.ReLU(), linear([[2, -3]], [-1]), nn.ReLU(), Scalar())


@dataclass(frozen=True)
class Case:
    """A net with its input, baselines, effects and the attributions of every method."""

    name: str
    make_net: Callable[[], nn.Module]
    x: tuple[float, ...]
    second_baseline: tuple[float, ...]
    patches: tuple[tuple[int, ...], ...]
    value: float
    baseline_value: float
    effects: dict[tuple[int, ...], float]  # players of S -> psi(i) or J(S), all others are 0
    channels: int = 1
    polynomial: dict[tuple[int, ...], float] | None = None  # exponents -> coefficient
    piecewise_linear: bool = False

    @property
    def n(self) -> int:
        return len(self.x)

    @property
    def methods(self) -> dict[str, tuple[float, ...]]:
        return ATTRIBUTIONS[self.name]

    def net(self, dtype: torch.dtype = torch.float64) -> nn.Module:
        return self.make_net().to(dtype).eval()

    def feature_map_net(self, dtype: torch.dtype = torch.float64) -> FeatureMapNet:
        return FeatureMapNet(self.net(dtype)).eval()

    def inputs(self, dtype: torch.dtype = torch.float64) -> Tensor:  # [1, n]
        return torch.tensor([self.x], dtype=torch.float64).to(dtype)

    def feature_map(self, dtype: torch.dtype = torch.float64) -> Tensor:  # [1, channels, positions]
        return self.inputs(dtype).reshape(1, self.channels, -1)

    def background(self, dtype: torch.dtype = torch.float64) -> Tensor:  # [2, n]
        rows = [[0.0] * self.n, list(self.second_baseline)]
        return torch.tensor(rows, dtype=torch.float64).to(dtype)

    def feature_mask(self) -> Tensor:  # int64 [1, n], the patch of each input
        mask = torch.zeros(1, self.n, dtype=torch.int64)
        for number, patch in enumerate(self.patches):
            mask[0, list(patch)] = number
        return mask

    def effects_table(self) -> Tensor:  # float64 [2**n], index = bit mask
        table = torch.zeros(2**self.n, dtype=torch.float64)
        table[0] = self.baseline_value
        for players, effect in self.effects.items():
            table[sum(1 << player for player in players)] = effect
        return table

    def expected(self, method: str) -> Tensor:  # float64 [1, n]
        return torch.tensor([self.methods[method]], dtype=torch.float64)


_T9_ROWS = [[0.5, 0.5, 0.5, 0.5], [0.5, 0.5, -0.5, -0.5], [0.5, 0.5, 0.0, 0.0]]
_CASES = (
    Case(
        "T1",
        lambda: one_layer([2, -3, 1], 1, None),
        (1, 2, -1),
        (1, 1, 1),
        ((0, 1), (2,)),
        -4,
        1,
        {(0,): 2, (1,): -6, (2,): -1},
        polynomial={(1, 0, 0): 2, (0, 1, 0): -3, (0, 0, 1): 1, (0, 0, 0): 1},
        piecewise_linear=True,
    ),
    Case(
        "T2",
        lambda: two_layers([[1, 1], [1, -1]], Power(2), [0.25, -0.25]),
        (2, 3),
        (1, 1),
        ((0, 1),),
        6,
        0,
        {(0, 1): 6},
        polynomial={(1, 1): 1},
    ),
    Case(
        "T3",
        lambda: one_layer([1, 2, -1], 0, Power(3)),
        (1, 1, 1),
        (-1, 0, 0),
        ((0,), (1, 2)),
        8,
        0,
        {(0,): 1, (1,): 8, (2,): -1, (0, 1): 18, (1, 2): -6, (0, 1, 2): -12},
        polynomial={kappa: value for kappa, (value, _) in KAPPA_WEIGHTS_T3.items()},
    ),
    Case(
        "T4",
        lambda: one_layer([2, -1, 1], -1, nn.ReLU()),
        (2, 1, 1),
        (1, 1, 1),
        ((0,), (1, 2)),
        3,
        0,
        {(0,): 3, (0, 1): -1, (0, 2): 1},
        piecewise_linear=True,
    ),
    Case(
        "T5",
        lambda: two_layers([[1, 0], [1, -1]], Partial(nn.ReLU(), 1, 2), [1, -1]),
        (3, 1),
        (2, 2),
        ((0, 1),),
        1,
        0,
        {(0, 1): 1},
        piecewise_linear=True,
    ),
    Case(
        "T6",
        lambda: two_layers([[1, 0, 0], [0, 1, -1]], nn.Tanh(), [1, 2]),
        (0.5, 0.3, -0.2),
        (0.1, 0.1, 0.1),
        ((0,), (1, 2)),
        3 * T5,
        0,
        {(0,): T5, (1,): 2 * T3, (2,): 2 * T2, (1, 2): 2 * (T5 - T3 - T2)},
    ),
    Case(
        "T7",
        lambda: one_layer([1, 1], 0, Exp()),
        (LN2, LN3),
        (LN2, 0),
        ((0, 1),),
        6,
        1,
        {(0,): 1, (1,): 2, (0, 1): 2},
    ),
    Case(
        "T8", _net_t8, (1, 2), (1, 1), ((0, 1),), 2, 0, {(1,): 3, (0, 1): -1}, piecewise_linear=True
    ),
    Case(
        "T9",
        lambda: two_layers(_T9_ROWS, Partial(Power(2), 0, 2), [0.25, -0.25, 2]),
        (1, 3, 2, 0),
        (1, 1, 1, 1),
        ((0, 2), (1, 3)),
        6,
        0,
        {(0,): 1, (1,): 3, (0, 2): 1 / 2, (1, 2): 3 / 2},
        channels=2,
        polynomial={
            (1, 0, 0, 0): 1,
            (0, 1, 0, 0): 1,
            (1, 0, 1, 0): 0.25,
            (1, 0, 0, 1): 0.25,
            (0, 1, 1, 0): 0.25,
            (0, 1, 0, 1): 0.25,
        },
    ),
)
CASES: dict[str, Case] = {case.name: case for case in _CASES}

# f = x1^2 + 3 x1 x2^2 + x1 x2 x3 around a baseline that is not 0.
SHIFTED_POLYNOMIAL = {
    "polynomial": {(2, 0, 0): 1.0, (1, 2, 0): 3.0, (1, 1, 1): 1.0},
    "baseline": (1.0, -1.0, 2.0),
    "x": (2.0, 1.0, 3.0),
    "terms": {
        (0, 0, 1): -1,
        (0, 1, 0): -8,
        (1, 0, 0): 3,
        (0, 1, 1): 2,
        (0, 2, 0): 12,
        (1, 0, 1): -1,
        (1, 1, 0): -8,
        (2, 0, 0): 1,
        (1, 1, 1): 2,
        (1, 2, 0): 12,
    },
    "effects": {(0,): 4, (1,): 4, (2,): -1, (0, 1): 4, (0, 2): -1, (1, 2): 2, (0, 1, 2): 2},
    "methods": {
        "gradient_x_input_at_baseline": (3, -8, -1),
        "gradient_x_input": (10, 36, 2),
        "occlusion_1": (9, 12, 2),
        "shapley_value": (37 / 6, 23 / 3, 1 / 6),
        "integrated_gradients": (25 / 6, 29 / 3, 1 / 6),
    },
}

# E1: 3 relu(x1 - x2) at (1, 1): the hidden change is 0, its two parts are not.
E1_REVEAL_CANCEL, E1_RESCALE = (1.5, -1.5), (0.0, 0.0)


def e1_net() -> nn.Module:
    """Return 3 relu(x1 - x2)."""
    return two_layers([[1, -1]], nn.ReLU(), [3])


# E2: integrated Hessian of one ReLU neuron, u = w * (x - b), pre-activation -1 at the baseline.
_U, _KINK = (2.0, -0.5, 1.0), 0.4
_E2_OFF, _E2_DIAGONAL = _KINK * -math.log(_KINK) / 2.5, 1 - _KINK + _KINK * math.log(_KINK)
E2 = {
    "u": _U,
    "bias": -1.0,
    "integrated_hessian": tuple(
        tuple(_E2_OFF * _U[i] * _U[j] + (_E2_DIAGONAL * _U[i] if i == j else 0.0) for j in range(3))
        for i in range(3)
    ),
    "integrated_gradients": (1.2, -0.3, 0.6),
}

# E3: exp(x1 + x2)(x1 - 2 x2) at x = (0.3, -0.2): sums over kappa of order k, and kappa-moments.
E3 = {
    "x": (0.3, -0.2),
    "order_sums": tuple(
        0.7 * 0.1 ** (order - 1) / math.factorial(order - 1) for order in range(1, 6)
    ),
    "moments": {2: (0.24, -0.10), 3: (0.0225, -0.012)},  # sum over kappa of order k of kappa_i T
}


def e3_function(points: Tensor) -> Tensor:
    """Return exp(x1 + x2)(x1 - 2 x2) for ``[batch, 2]``."""
    return (points[:, 0] + points[:, 1]).exp() * (points[:, 0] - 2 * points[:, 1])


def all_subsets(n: int) -> list[tuple[int, ...]]:
    """Return all non-empty subsets of n players."""
    return [s for size in range(1, n + 1) for s in itertools.combinations(range(n), size)]
