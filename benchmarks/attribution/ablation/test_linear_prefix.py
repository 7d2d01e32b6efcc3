"""A first layer that is run once for each example, against the direct way and captum 0.9.0.

"rest alone" is the layers after the first on as many rows, the floor of this path. The aims on MLP
784-256-128-10: ablation of 8 rows within 1.3 times the floor, at least 10 times as fast as captum
at its best batch and 40 times as at its default; one row 35 and 200 times; exact Shapley values of
16 players of 49 features at least 4 times as fast as the direct way (the arithmetic allows 6.8).

Measured in processor time (results/linear-prefix-*.json, and the range of four runs): 8 rows take
1.2 times the floor at its best batch (1.16 to 1.28), as units that no feature moves above zero are
left out of the second layer, and are 11 (11 to 13) and 37 (37 to 42) times as fast as captum. One
row is 18 and 91 times as fast (18 to 19, 91 to 100), not as aimed at: it takes 3 times its floor,
of which most is checks, of the inputs, the model and the sums, and the runner. Exact Shapley values
are 5.6 times as fast as the direct way.
"""

import captum.attr
import pytest
import torch
from _floor import bare_outputs, best_of, mlp
from _timing import compare

from pyxai.attribution import FeatureAblation, KernelShap, ShapleyValues, ShapleyValueSampling
from pyxai.runner import path_noted

FEATURES = 784


def both(ask):
    """Return results by the path, which must be taken, and directly."""
    with path_noted() as paths:
        fast = ask(True)
    assert paths == ["linear prefix"]
    torch.testing.assert_close(fast, ask(False), rtol=1e-5, atol=1e-5)
    return fast


@pytest.mark.parametrize("batch", [1, 8])
def test_feature_ablation(benchmark, batch):
    torch.set_num_threads(1)
    model = mlp(FEATURES, 256, 128, 10)
    x = torch.randn(batch, FEATURES, generator=torch.Generator().manual_seed(1))
    rows = torch.randn(batch * (FEATURES + 1), 256)
    ours, theirs = FeatureAblation(model), captum.attr.FeatureAblation(model)

    def captum_call(per_eval):
        return lambda: theirs.attribute(x, target=0, perturbations_per_eval=per_eval)

    fast = both(lambda fast: ours.attribute(x, target=0, fast_path=fast))
    torch.testing.assert_close(fast, captum_call(112)(), rtol=1e-5, atol=1e-5)
    compare(
        benchmark,
        lambda: ours.attribute(x, target=0),
        {
            "rest alone": best_of(lambda size: bare_outputs(model[1:], rows, size)),
            "direct": lambda: ours.attribute(x, target=0, fast_path=False),
            "captum, best batch": best_of(lambda size: captum_call(max(1, size // batch))),
            "captum, defaults": captum_call(1),
        },
        rounds=9,
    )


@pytest.mark.parametrize(
    ("method", "width", "options"),
    [
        (ShapleyValues, 49, {}),
        (KernelShap, 16, {"n_samples": 2048}),
        (ShapleyValueSampling, 1, {"n_samples": 10}),
    ],
)
def test_coalitions(benchmark, method, width, options):
    torch.set_num_threads(1)
    model = mlp(FEATURES, 256, 128, 10)
    x = torch.randn(1, FEATURES, generator=torch.Generator().manual_seed(1))
    mask = (torch.arange(FEATURES) // width)[None]
    n_players = FEATURES // width
    n_rows = {ShapleyValues: 2**n_players, KernelShap: 2048}.get(method, 10 * (n_players - 1))
    rows = torch.randn(n_rows, 256)

    def ask(fast):
        return method(model).attribute(x, target=0, feature_mask=mask, fast_path=fast, **options)

    both(ask)
    compare(
        benchmark,
        lambda: ask(True),
        {
            "rest alone": best_of(lambda size: bare_outputs(model[1:], rows, size)),
            "direct": lambda: ask(False),
        },
        rounds=7,
    )
