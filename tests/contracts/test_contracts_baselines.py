"""Baselines that the dtype of the inputs cannot hold, for every method, imputer and metric."""

import pytest
import torch
from contract_cases import example_of, make_inputs
from contract_runs import having, run
from torch import nn

import pyxai
from pyxai import imputers, metrics, registry
from pyxai.attribution import FeatureAblation, ShapleyValues

BYTES = torch.tensor([[6, 250], [3, 44]], dtype=torch.uint8)


def total(rows):
    return rows.double().flatten(1).sum(1)


@pytest.mark.parametrize("method", [FeatureAblation, ShapleyValues])
@pytest.mark.parametrize("value", [-1, 300, torch.tensor([[300, 0]]), torch.tensor([-1.0, 0.0])])
def test_bytes_do_not_wrap_around(method, value):
    with pytest.raises(
        ValueError, match=r"^baselines must lie in 0 \.\. 255 for inputs of torch\.u"
    ):
        method(total).attribute(BYTES, baselines=value)
    found = method(total).attribute(BYTES, baselines=255)
    torch.testing.assert_close(found.double(), BYTES.double() - 255)


class Half(nn.Module):
    def forward(self, rows):
        return rows.flatten(1)[:, :3] * 2


LIMITS = {
    torch.float16: (1e6, r"-65504 \.\. 65504"),
    torch.float32: (1e300, r"-3\.40282e\+38 \.\. 3\.40282e\+38"),
    torch.uint8: (-1, r"0 \.\. 255"),
    torch.int16: (2**15, r"-32768 \.\. 32767"),
    torch.bool: (2, r"0 \.\. 1"),
}


@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("name", having(lambda method: method.baselines != "none"))
def test_baselines_out_of_range_are_named(name, dtype):
    value, limits = LIMITS[dtype]
    x = make_inputs(example_of(name)).mul(10).to(dtype)
    distribution = registry.get(name).baselines == "distribution"
    wide = torch.float64 if isinstance(value, float) else torch.int64
    given = torch.full((2, *x.shape[1:]), value, dtype=wide) if distribution else value
    message = rf"^baselines must lie in {limits} for inputs of {dtype}, got"
    gradients = "floating point for gradients"
    with pytest.raises((ValueError, TypeError), match=f"{message}|{gradients}") as caught:
        run(name, Half(), x, 0, baselines=given)
    if dtype.is_floating_point:
        assert gradients not in str(caught.value)


@pytest.mark.parametrize("value", [-1, 300])
def test_imputers_do_not_wrap_around(value):
    mask = torch.zeros(1, 2, dtype=torch.bool)
    rows = torch.full((3, 2), value)
    limits = r"must lie in 0 \.\. 255 for inputs of torch\.uint8, got"
    for name, imputer in {
        "value": imputers.Constant(value),
        "background": imputers.Marginal(rows),
        "values of function": imputers.Callback(lambda x, present, **_: rows[None, None, :1]),
    }.items():
        with pytest.raises(ValueError, match=f"^{name} {limits}"):
            pyxai.Game(total, BYTES, imputer=imputer).values(mask)


def test_what_a_function_says_of_present_features_is_not_looked_at():
    given = torch.tensor([[300, 7]])
    imputer = imputers.Callback(lambda x, present, **_: given[None, None])
    game = pyxai.Game(total, BYTES[:1], imputer=imputer)
    assert game.values(torch.tensor([[True, False]])).tolist() == [[13.0]]


def test_metrics_do_not_wrap_around():
    scores = BYTES.double()
    for metric in (metrics.insertion, metrics.deletion, metrics.completeness, metrics.sufficiency):
        with pytest.raises(ValueError, match=r"^baselines must lie in 0 \.\. 255"):
            metric(total, BYTES, scores, baselines=300)

    def perturb(rows, baselines):
        return rows, baselines

    with pytest.raises(ValueError, match=r"^baselines must lie in 0 \.\. 255"):
        metrics.infidelity(total, perturb, BYTES, scores, baselines=300)
