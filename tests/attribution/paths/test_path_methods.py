"""What Guided IG, Blur IG and IDGI promise alike."""

import pytest
import torch
from captum_peer import TwoInputs, conv, mlp, rows

from pyxai.attribution import IDGI, BlurIG, GuidedIG
from pyxai.runner import progress

WIDE = torch.float64


@pytest.mark.parametrize("method", [GuidedIG, IDGI])
def test_paths_are_complete(method):
    model, x = mlp(WIDE, activation=torch.nn.Tanh), rows(4, 6, dtype=WIDE)
    start = rows(4, 6, seed=3, dtype=WIDE)
    values, delta = method(model).attribute(
        x, start, target=1, n_steps=800, return_convergence_delta=True
    )
    change = (model(x) - model(start))[:, 1].detach()
    torch.testing.assert_close(delta, values.sum(1) - change)
    assert delta.abs().max() < (1e-12 if method is IDGI else 5e-3)
    again = method(model).compute_convergence_delta(values, start, x, target=1)
    torch.testing.assert_close(again, delta)


@pytest.mark.parametrize("method", [GuidedIG, IDGI])
def test_an_input_at_its_baseline_gets_nothing(method):
    values = method(mlp()).attribute(torch.zeros(2, 6), target=0, n_steps=3)
    assert torch.equal(values, torch.zeros(2, 6))


@pytest.mark.parametrize("method", [GuidedIG, IDGI])
def test_several_inputs(method):
    inputs = rows(4, 4, dtype=WIDE), rows(4, 2, 3, seed=1, dtype=WIDE)
    call = {"additional_forward_args": (torch.arange(4.0),), "target": [0, 2, 2, 1]}
    together = method(TwoInputs()).attribute(inputs, n_steps=9, **call)
    flat = torch.cat([part.flatten(1) for part in inputs], 1)

    def joined(x, scale):
        return TwoInputs()(x[:, :4], x[:, 4:].view(-1, 2, 3), scale)

    alone = method(joined).attribute(flat, n_steps=9, **call)
    torch.testing.assert_close(torch.cat([part.flatten(1) for part in together], 1), alone)


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        (GuidedIG, {"n_steps": 0}, "n_steps must be at least 1, got 0"),
        (GuidedIG, {"fraction": 1.5}, r"fraction must be in \[0, 1\], got 1.5"),
        (GuidedIG, {"max_dist": -0.1}, r"max_dist must be in \[0, 1\], got -0.1"),
        (GuidedIG, {"internal_batch_size": 0}, "internal_batch_size must be at least 1"),
        (IDGI, {"n_steps": 0}, "n_steps must be at least 1, got 0"),
        (BlurIG, {"max_sigma": 0.0}, r"max_sigma must be positive, got 0\.0"),
        (BlurIG, {"grad_step": -1.0}, r"grad_step must be positive, got -1\.0"),
        (BlurIG, {"n_steps": 0}, "n_steps must be at least 1, got 0"),
        (BlurIG, {"max_sigma": torch.inf}, "max_sigma must be finite, got inf"),
        (BlurIG, {"grad_step": torch.inf}, "grad_step must be finite, got inf"),
    ],
)
def test_errors(method, options, message):
    with pytest.raises(ValueError, match=message):
        method(conv()).attribute(rows(1, 2, 7, 8), target=0, **options)


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        (GuidedIG, {"fraction": "0.5"}, "fraction must be a number, got '0.5'"),
        (GuidedIG, {"max_dist": True}, "max_dist must be a number, got True"),
        (BlurIG, {"max_sigma": None}, "max_sigma must be a number, got None"),
        (BlurIG, {"grad_step": "x"}, "grad_step must be a number, got 'x'"),
        (BlurIG, {"sqrt": "no"}, "sqrt must be True or False, got 'no'"),
        *(
            (
                method,
                {"return_convergence_delta": "no"},
                "return_convergence_delta must be True or False, got 'no'",
            )
            for method in (GuidedIG, BlurIG, IDGI)
        ),
        *(
            (method, {"show_progress": 3}, "progress must be True, False or a function .* got 3")
            for method in (GuidedIG, BlurIG, IDGI)
        ),
    ],
)
def test_type_errors(method, options, message):
    with pytest.raises(TypeError, match=message):
        method(conv()).attribute(rows(1, 2, 7, 8), target=0, **options)


@pytest.mark.parametrize("method", [GuidedIG, BlurIG, IDGI])
def test_progress_can_be_shown(monkeypatch, capsys, method):
    monkeypatch.setattr(progress, "_DELAY_SECONDS", 0.0)
    method(conv()).attribute(rows(2, 2, 7, 8), target=0, n_steps=5)
    assert capsys.readouterr().err == ""
    method(conv()).attribute(rows(2, 2, 7, 8), target=0, n_steps=5, show_progress=True)
    assert "/10.0" in capsys.readouterr().err
