"""Effects by derivatives against polynomials and nets whose effects are known exactly."""

from __future__ import annotations

import pytest
import torch
from closed_forms import CASES, one_layer
from torch import nn

from pyxai import PyxaiWarning
from pyxai.taylor import Polynomial, taylor_effects

POLYNOMIAL = [name for name, case in CASES.items() if case.polynomial]


@pytest.mark.parametrize("name", POLYNOMIAL)
@pytest.mark.parametrize("anchor", ["baseline", "input"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_terms_of_polynomials_are_exact(name, anchor, dtype, tolerance):
    case = CASES[name]
    terms = taylor_effects(
        case.net(dtype), case.inputs(dtype), kind="kappa", max_order=3, anchor=anchor
    )
    near = {"rtol": tolerance, "atol": tolerance}
    assert terms.analytic
    assert terms.residual.abs().max() < tolerance
    if anchor == "baseline":
        expected = Polynomial(case.polynomial).taylor_terms(case.inputs())
        for kappa in terms.kappas.tolist():
            known = expected.to_dict().get(tuple(kappa), 0.0)
            found = terms.term(tuple(kappa)).item()
            assert found == pytest.approx(known, abs=tolerance, rel=tolerance)
        torch.testing.assert_close(terms.generic()[0], case.effects_table(), **near)


@pytest.mark.parametrize("name", ["T4", "T5", "T8"])
@pytest.mark.parametrize("kind", ["kappa", "order"])
def test_derivatives_of_a_relu_net_warn_and_show_the_gap(name, kind):
    case = CASES[name]
    with pytest.warns(PyxaiWarning, match=r"kinks \(Relu\).*harsanyi_dividends"):
        effects = taylor_effects(case.net(), case.inputs(), kind=kind, max_order=3)
    assert not effects.analytic
    assert effects.residual.abs().max() > 0.5
    generic = taylor_effects(case.net(), case.inputs())  # by masks: no warning
    assert generic.residual.abs().max() < 1e-12


@pytest.mark.parametrize(
    ("activation", "kink"),
    [
        (nn.GELU(), None), (nn.Softplus(), None), (nn.Sigmoid(), None), (nn.SiLU(), None),
        (nn.Softmax(-1), None), (nn.LayerNorm(6, dtype=torch.float64), None),
        (torch.abs, "Abs"), (nn.LeakyReLU(), "LeakyRelu"), (nn.Hardtanh(), "Hardtanh"),
        (lambda z: z.clamp(min=0), "Clamp"), (lambda z: torch.maximum(z, -z), "Maximum"),
        (lambda z: nn.functional.max_pool1d(z[:, None], 2)[:, 0].repeat(1, 2), "MaxPool"),
        (lambda z: torch.where(z > 0, z, 0 * z), "Where"), (nn.ELU(), "Elu"),
    ],
)  # fmt: skip
def test_kinks_are_found_in_what_the_model_does(activation, kink):
    generator = torch.Generator().manual_seed(0)
    first, last = (torch.randn(s, generator=generator, dtype=torch.float64) for s in ((6, 3), (6,)))

    def model(x):
        return activation(x @ first.T + 0.3) @ last

    x = torch.randn(2, 3, generator=generator, dtype=torch.float64)
    if kink is None:
        assert taylor_effects(model, x, kind="kappa", max_order=1).analytic
    else:
        with pytest.warns(PyxaiWarning, match=kink):
            assert not taylor_effects(model, x, kind="kappa", max_order=1).analytic


def test_terms_of_a_transformer_block_with_reverse_mode_where_needed():
    """Attention and LSTM have no fused forward rules; derivatives agree with finite differences."""
    torch.manual_seed(0)
    block = nn.TransformerEncoderLayer(4, 2, 8, activation="gelu", batch_first=True, dropout=0)
    lstm = nn.LSTM(4, 3, batch_first=True)
    block, lstm = block.double().eval(), lstm.double().eval()

    def model(x):
        tokens = x[:, :, None] * torch.arange(1.0, 5.0)
        return lstm(block(tokens))[0][:, -1].sum(1)

    x = torch.tensor([[0.3, -0.2, 0.1]], dtype=torch.float64)
    base = torch.tensor([[0.1, 0.4, -0.3]], dtype=torch.float64)
    terms = taylor_effects(model, x, kind="kappa", max_order=2, baselines=base)
    step, total = 1e-3, {}
    delta = x - base
    for sign in (1, -1):
        total[sign] = model(base + sign * step * delta)
    second = (total[1] - 2 * model(base) + total[-1]) / (2 * step**2)
    first = (total[1] - total[-1]) / (2 * step)
    torch.testing.assert_close(terms.order_sums()[:, 0], first, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(terms.order_sums()[:, 1], second, atol=1e-5, rtol=1e-4)
    assert all(parameter.requires_grad for parameter in block.parameters())


def test_float32_terms_and_players_over_two_inputs():
    def model(a, b):
        return (a * b).sum(1) ** 2

    a, b = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 0.5]])
    mask = (torch.tensor([[0, 1]]), torch.tensor([[0, 1]]))
    terms = taylor_effects(model, (a, b), kind="kappa", max_order=4, feature_mask=mask)
    # (3 p^2 + q^2)^2 with both factors of a product in one player
    found = {kappa: value for kappa, value in terms.to_dict().items() if abs(value) > 1e-4}
    assert found == pytest.approx({(4, 0): 9.0, (2, 2): 6.0, (0, 4): 1.0}, rel=1e-5)


def test_errors_say_what_to_do():
    net = one_layer([1.0] * 30, 0, None)
    x = torch.ones(2, 30, dtype=torch.float64)
    with pytest.raises(ValueError, match="max_order must be lower for 30 players"):
        taylor_effects(net, x, kind="kappa", max_order=8)
    with pytest.raises(ValueError, match="at most 16 players"):
        taylor_effects(net, x, kind="order")
    with pytest.raises(ValueError, match="kind must be one of"):
        taylor_effects(net, x, kind="all")
    with pytest.raises(ValueError, match="max_order must be at least 1"):
        taylor_effects(net, x, kind="kappa", max_order=0)
    with pytest.raises(TypeError, match="inputs must have dtype"):
        taylor_effects(lambda t: t.sum(1), torch.ones(1, 3, dtype=torch.int64), kind="kappa")
