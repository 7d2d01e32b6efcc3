"""A transformed model is the model, whatever the transform loses."""

import pytest
import torch
from contract_runs import assert_close
from torch import nn

from pyxai import PyxaiWarning
from pyxai.transforms import (
    FourierTransform,
    FunctionTransform,
    NMFTransform,
    PCATransform,
    TransformedModel,
    WaveletTransform,
    trim,
)

ROWS = torch.rand(20, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
IMAGES = torch.rand(4, 2, 9, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
ROUNDED = FunctionTransform(torch.round, lambda s: s * 1.5)

TRANSFORMS = {
    "fourier": (FourierTransform(12), ROWS),
    "fourier, odd": (FourierTransform(9), IMAGES.mT),
    "fourier, both sides": (FourierTransform(12, onesided=False), ROWS),
    "fourier 2-d": (FourierTransform((9, 8)), IMAGES),
    "wavelet": (WaveletTransform(12, "db2", mode="zero"), ROWS),
    "wavelet 2-d": (WaveletTransform((9, 8), "sym3", mode="periodization"), IMAGES),
    "wavelet, not orthogonal": (WaveletTransform(12, [0.3, 0.9, 0.1, 0.2], mode="reflect"), ROWS),
    "pca": (PCATransform(3).fit(ROWS), ROWS),
    "nmf": (NMFTransform(3, max_iter=1000).fit(ROWS), ROWS),
    "functions": (ROUNDED, ROWS),
}


def make_model(inputs):
    torch.manual_seed(0)
    n = inputs[0].numel()
    layers = nn.Flatten(), nn.Linear(n, 7), nn.Tanh(), nn.Linear(7, 2)
    return nn.Sequential(*layers).double().eval()


@pytest.mark.parametrize("name", TRANSFORMS)
def test_outputs_are_those_of_the_model(name):
    transform, inputs = TRANSFORMS[name]
    model = make_model(inputs)
    transformed = TransformedModel(model, transform)
    coefficients, arguments = transformed.split(inputs)
    assert_close(transformed(coefficients, *arguments), model(inputs))
    lossy = (transform.inverse(coefficients) - inputs).abs().max() > 1e-3
    assert lossy == (name in ("wavelet, not orthogonal", "pca", "nmf", "functions"))
    without = TransformedModel(model, transform, residual=False)
    coefficients, arguments = without.split(inputs)
    assert arguments == ()
    assert torch.allclose(without(coefficients), model(inputs)) != lossy


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dtypes_are_kept(name, dtype):
    transform, inputs = TRANSFORMS[name]
    coefficients, (residual,) = TransformedModel(nn.Identity(), transform).split(inputs.to(dtype))
    assert coefficients.dtype == residual.dtype == dtype
    back = transform.inverse(coefficients) + residual
    # Once rounded for the coefficients, once for the sum.
    torch.testing.assert_close(back, inputs.to(dtype), rtol=0, atol=8 * torch.finfo(dtype).eps)


@pytest.mark.parametrize("name", [n for n in TRANSFORMS if n != "functions"])
def test_both_directions_are_differentiable(name):
    transform, inputs = TRANSFORMS[name]
    leaf = inputs[:2].clone().requires_grad_()
    coefficients = transform(leaf)
    assert torch.autograd.gradcheck(transform.inverse, coefficients.detach().requires_grad_())
    assert torch.autograd.gradcheck(lambda x: transform(x + 0.5), leaf)


@pytest.mark.parametrize("name", ["fourier 2-d", "fourier, both sides", "wavelet 2-d", "nmf"])
def test_a_traced_model_is_the_model(name):
    transform, inputs = TRANSFORMS[name]
    model = make_model(inputs)
    baseline = transform(inputs.flip(0))[:1].detach()
    found = trim(
        model, inputs, transform=transform, method="deep_lift", target=0, baselines=baseline
    )
    assert found.explanation.convergence_delta.abs().max() < 1e-12
    assert found.attributions.shape == found.coefficients.shape


class Noisy(nn.Module):
    """An encoder that counts its rows and is in training mode."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(12).double()

    def forward(self, x):
        return self.norm(x)


@pytest.mark.parametrize("hidden", [False, True])
def test_modules_of_model_and_transform_are_left_as_found(hidden):
    encoder, model = Noisy(), make_model(ROWS).train()
    model[2] = nn.BatchNorm1d(7).double()
    transform = FunctionTransform((lambda x: encoder(x)) if hidden else encoder, lambda s: s * 2)
    before = {k: v.clone() for m in (encoder, model) for k, v in m.state_dict().items()}
    with pytest.warns(PyxaiWarning, match="training mode.*BatchNorm1d"):
        trim(
            (lambda x: model(x)) if hidden else model,
            ROWS,
            transform=transform,
            method="input_x_gradient",
            target=0,
        )
    for name, value in {k: v for m in (encoder, model) for k, v in m.state_dict().items()}.items():
        assert torch.equal(value, before[name]), name
    assert all(each.requires_grad and each.grad is None for each in model.parameters())
    assert model.training
    assert encoder.training


def test_errors():
    transform, model = FourierTransform(12), make_model(ROWS)
    with pytest.raises(TypeError, match="model must be callable, got 3"):
        TransformedModel(3, transform)
    with pytest.raises(TypeError, match="residual must be True or False, got 1"):
        TransformedModel(model, transform, residual=1)
    transformed = TransformedModel(model, transform)
    coefficients, (residual,) = transformed.split(ROWS)
    with pytest.raises(TypeError, match="residual must be given after the coefficients"):
        transformed(coefficients)
    with pytest.raises(ValueError, match=r"residual must have shape \[20, 12\], got \[1, 12\]"):
        transformed(coefficients, residual[:1])
    with pytest.raises(TypeError, match="residual must be a tensor"):
        transformed(coefficients, 0.0)
    half = FunctionTransform(lambda x: x, lambda s: s[:, ::2])
    with pytest.raises(ValueError, match=r"inverse of transform must return shape \[20, 12\]"):
        TransformedModel(model, half).split(ROWS)


def test_errors_of_functions():
    with pytest.raises(TypeError, match="inverse_function must be callable, got None"):
        FunctionTransform(torch.exp, None)
    cases = [
        (lambda x: None, TypeError, "result of function must be a tensor, got None"),
        (lambda x: x[:3], ValueError, "result of function must have one row for each of 20"),
        (lambda x: x / 0, ValueError, "result of function must be finite"),
        (lambda x: x.long(), TypeError, "result of function must have dtype"),
    ]
    for function, kind, text in cases:
        with pytest.raises(kind, match=text):
            FunctionTransform(function, torch.exp)(ROWS)
    with pytest.raises(ValueError, match="result of inverse_function must have one row for each"):
        FunctionTransform(torch.exp, lambda s: s[:2]).inverse(ROWS)
