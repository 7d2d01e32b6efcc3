"""Adaptive wavelets: both forms of the attributions, recovery, what is left as found, errors."""

import copy

import pytest
import torch
from matplotlib import pyplot
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from torch import nn

from pyxai.ops import filter_bank
from pyxai.transforms import AWD, AdaptiveWavelet, WaveletTransform, trim, wavelet_distance
from pyxai.transforms.adaptive.piecewise import is_piecewise_linear
from pyxai.transforms.adaptive.teacher import Teacher, Waves
from pyxai.transforms.filters import scaling_filters

pytestmark = pytest.mark.usefixtures("one_thread")


def draw(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def net(*layers):
    model = nn.Sequential(*layers).double()
    for number, parameter in enumerate(model.parameters()):
        parameter.data = draw(*parameter.shape, seed=number) / parameter.shape[-1] ** 0.5
    return model.eval()


def mlp(unit):
    return net(nn.Linear(24, 12), unit, nn.Linear(12, 8), unit, nn.Linear(8, 2))


def conv():
    return net(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(75, 2))


def filter_gradient(model, x, mode, gradients, attribution, scaling):
    """Return the scores, and their gradient with respect to the filter."""
    waves = Waves(tuple(x.shape[2:] if x.dim() == 4 else x.shape[1:]), 2, mode)
    teacher = Teacher(model, x, 1, attribution, gradients, waves)
    h = scaling.clone().requires_grad_()
    order = torch.arange(len(x)).flip(0)
    with teacher.rows(order) as attributions, torch.enable_grad():
        bank, rows = filter_bank(h), slice(1, len(x))
        inputs = x[order[rows]]
        scores = attributions(rows, inputs, waves.analyse(inputs, bank), bank)
        (gradient,) = torch.autograd.grad((scores * draw(*scores.shape, seed=9)).sum(), h)
    return scores.detach(), gradient


NOISY = torch.tensor(scaling_filters()["db2"], dtype=torch.float64) + draw(4, seed=3) / 10


@pytest.mark.parametrize("mode", ["zero", "symmetric", "reflect", "periodic", "periodization"])
@pytest.mark.parametrize("attribution", ["saliency", "input_x_gradient"])
@pytest.mark.parametrize("images", [False, True])
def test_closed_form_is_the_second_order_form_for_piecewise_linear_models(
    images, attribution, mode
):
    model, x = (conv(), draw(3, 1, 12, 12)) if images else (mlp(nn.ReLU()), draw(4, 24))
    closed, second = (
        filter_gradient(model, x, mode, gradients, attribution, NOISY)
        for gradients in ("closed_form", "second_order")
    )
    torch.testing.assert_close(closed[0], second[0])
    torch.testing.assert_close(closed[1], second[1])


def test_smooth_models_have_the_values_and_another_gradient():
    closed, second = (
        filter_gradient(mlp(nn.Tanh()), draw(4, 24), "zero", gradients, "saliency", NOISY)
        for gradients in ("closed_form", "second_order")
    )
    torch.testing.assert_close(closed[0], second[0])
    assert float((closed[1] - second[1]).norm() / second[1].norm()) > 0.01


@pytest.mark.parametrize("gradients", ["closed_form", "second_order"])
def test_scores_are_those_of_trim(gradients):
    model, x = mlp(nn.ReLU()), draw(4, 24)
    scores, _ = filter_gradient(model, x, "reflect", gradients, "saliency", NOISY)
    transform = WaveletTransform(24, NOISY, level=2, mode="reflect")
    found = trim(model, x.flip(0)[1:], transform=transform, method="saliency", target=1, abs=False)
    torch.testing.assert_close(scores, found.attributions)


def test_integrated_gradients_of_a_linear_model_are_coefficient_times_slope():
    model, x = net(nn.Linear(24, 2)), draw(4, 24)
    path, _ = filter_gradient(model, x, "zero", "second_order", "integrated_gradients", NOISY)
    product, _ = filter_gradient(model, x, "zero", "closed_form", "input_x_gradient", NOISY)
    torch.testing.assert_close(path, product)


class Functional(nn.Module):
    def forward(self, x):
        return torch.where(x > 0.5, 2 * x - 0.5, x).abs().sum(1, keepdim=True)


class Gated(nn.Module):
    def forward(self, x):
        return (x * x.sigmoid()).sum(1, keepdim=True)


class Product(nn.Module):
    def forward(self, x):
        return (x[:, :12] * x[:, 12:]).sum(1, keepdim=True)


class Masked(nn.Module):
    def forward(self, x):
        return (x * (x > 0.5).to(x.dtype) + x * x.sign()).sum(1, keepdim=True)


class Sizes(nn.Module):
    def forward(self, x):
        return torch.fft.rfft(x).abs().sum(1, keepdim=True)


class Parts(nn.Module):
    def forward(self, x):
        return torch.fft.rfft(x).real.relu().sum(1, keepdim=True)


class Slopes(nn.Module):
    """What multiplies below 0 depends on the input."""

    def forward(self, x):
        return nn.functional.prelu(x, x.mean().reshape(1)).sum(1, keepdim=True)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (Masked(), True),
        (Parts(), True),
        (Sizes(), False),
        (Slopes(), False),
        (net(nn.Linear(24, 6), nn.PReLU(), nn.Linear(6, 1)), True),
        (mlp(nn.ReLU()), True),
        (mlp(nn.LeakyReLU()), True),
        (mlp(nn.Hardtanh()), True),
        (net(nn.Linear(24, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 1)), True),
        (Functional(), True),
        (mlp(nn.Tanh()), False),
        (mlp(nn.GELU()), False),
        (net(nn.Linear(24, 3), nn.Softmax(1)), False),
        (net(nn.Linear(24, 6), nn.LayerNorm(6), nn.ReLU()), False),
        (Gated(), False),
        (Product(), False),
        (lambda x: x.relu(), False),  # cannot be looked into
    ],
)
def test_piecewise_linear_models_are_told_from_others(model, expected):
    assert is_piecewise_linear(model, draw(3, 24)) is expected
    if isinstance(model, nn.Module):
        awd = AdaptiveWavelet("db2", level=2, epochs=1).fit(draw(3, 24), model=model, target=0)
        assert awd.gradients_ == ("closed_form" if expected else "second_order")


def test_both_forms_learn_the_same_filter():
    x, model = draw(60, 24), mlp(nn.ReLU())
    options = {"level": 2, "epochs": 3, "batch_size": 16, "noise": 0.1, "learning_rate": 0.01}
    closed, second = (
        AdaptiveWavelet("db2", gradients=each, **options).fit(x, model=model, target=0)
        for each in ("closed_form", "second_order")
    )
    torch.testing.assert_close(closed.filter_, second.filter_)
    for name, means in closed.history_.items():
        assert means == pytest.approx(second.history_[name]), name


def recovery_task():
    db3 = scaling_filters()["db3"]
    x = draw(1000, 32, dtype=torch.float32)
    transform = WaveletTransform(32, db3, level=3, mode="zero")
    matrix = transform.inverse(torch.eye(*2 * transform.coefficient_sizes))
    # The output is the sum of two coefficients: linear, so its gradient is known.
    model = nn.Linear(32, 1, bias=False)
    bands = transform.bands() == 2
    model.weight.data = 2 * matrix[bands][3:5].sum(0, keepdim=True)
    return x, model.requires_grad_(False), torch.tensor(db3, dtype=torch.float64)


def test_the_wavelet_of_a_model_is_found():
    """A small form of examples/awd_recovery.py."""
    x, model, db3 = recovery_task()
    options = {"level": 3, "noise": 0.15, "epochs": 10, "learning_rate": 3e-3, "seed": 1}
    distances = {}
    for weight in (0.0, 2.0):
        awd = AdaptiveWavelet("db3", interpretation=weight, **options)
        awd.fit(x, model=model, target=0)
        distances[weight] = wavelet_distance(awd.filter_, db3)
        assert awd.history_["loss"][-1] < awd.history_["loss"][0]
    assert distances[2.0] < wavelet_distance(awd.start_, db3) / 3
    assert distances[2.0] < distances[0.0] / 2


def test_grids_begin_where_the_run_before_ended():
    x, model = draw(40, 24), mlp(nn.ReLU())
    awd = AdaptiveWavelet("db2", level=2, epochs=1, noise=0.1)
    found = awd.fit_grid(x, model=model, target=0, sparsity=[1e-3, 1e-2], interpretation=[1.0, 0.1])
    weights = [(each.sparsity, each.interpretation) for each in found]
    assert weights == [(1e-3, 0.1), (1e-3, 1.0), (1e-2, 0.1), (1e-2, 1.0)]
    assert torch.equal(found[1].start_, found[0].filter_)
    assert torch.equal(found[2].start_, found[0].start_)
    assert not hasattr(awd, "filter_")


def test_a_lattice_stays_orthogonal():
    x = draw(50, 32)
    awd = AdaptiveWavelet(
        "db3",
        level=2,
        mode="periodization",
        parametrisation="lattice",
        noise=0.2,
        epochs=2,
        learning_rate=0.05,
    ).fit(x)
    assert float((awd.filter_ - awd.start_).abs().max()) > 0.01
    torch.testing.assert_close(awd.inverse_transform(awd.transform(x)), x)
    assert awd.gradients_ is None
    assert max(awd.history_["reconstruction"]) < 1e-20


def test_images_with_channels():
    x = draw(6, 2, 16, 12, dtype=torch.float32)
    awd = AdaptiveWavelet("db2", level=2, n_dims=2, mode="symmetric", epochs=2, batch_size=4)
    coefficients = awd.fit_transform(x)
    assert coefficients.shape[:2] == (6, 2)
    torch.testing.assert_close(awd.inverse_transform(coefficients), x, atol=0.1, rtol=0)


def test_one_seed_one_filter_and_the_model_left_as_found():
    x, model = draw(20, 24, dtype=torch.float32), mlp(nn.ReLU()).float().train()
    before = copy.deepcopy(model.state_dict())
    state = torch.get_rng_state()
    for gradients in ("closed_form", "second_order"):
        awd = AdaptiveWavelet("db2", level=2, epochs=2, noise=0.1, gradients=gradients)
        first = awd.fit(x, model=model.eval(), target=0).filter_
        assert torch.equal(first, awd.fit(x.numpy(), model=model, target=0).filter_)
        other = AWD(**{**awd.get_params(), "seed": 1}).fit(x, model=model, target=0)
        assert not torch.equal(first, other.filter_)
    assert torch.equal(state, torch.get_rng_state())
    assert all(
        parameter.requires_grad and parameter.grad is None for parameter in model.parameters()
    )
    assert not model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_targets_follow_their_examples():
    x, model = draw(12, 24), mlp(nn.ReLU())
    targets = torch.arange(12) % 2
    options = {"level": 2, "epochs": 1, "batch_size": 5}
    closed, second = (
        AdaptiveWavelet("db2", gradients=each, **options).fit(x, model=model, target=targets)
        for each in ("closed_form", "second_order")
    )
    torch.testing.assert_close(closed.filter_, second.filter_)


def test_a_loss_that_is_not_finite_names_its_term_and_keeps_the_filter():
    x = draw(40, 24, dtype=torch.float32)
    awd = AdaptiveWavelet("db2", level=2, epochs=30, batch_size=10, learning_rate=1e12)
    with pytest.raises(
        FloatingPointError, match=r"loss must be finite, got (nan|inf) for the term"
    ):
        awd.fit(x)
    assert bool(awd.filter_.isfinite().all())
    assert awd.transform(x).shape[0] == 40
    assert len(awd.history_["loss"]) >= 1


def test_distilled_model_and_compression():
    x, model, _ = recovery_task()
    awd = AdaptiveWavelet("db3", level=3, epochs=1).fit(x, model=model, target=0)
    coefficients = awd.transform(x)
    finest = awd.wavelet_.levels() == 3
    y = 3 * coefficients[:, finest].topk(2).values.sum(1) + 1
    distilled = awd.distil(x, y, n_largest=2)
    assert distilled.score(x, y) > 1 - 1e-6
    torch.testing.assert_close(distilled.predict(x), y.double(), atol=1e-3, rtol=1e-4)
    # The first scale is the approximation; the finest is the last.
    torch.testing.assert_close(
        distilled.weights[-2:], torch.full((2,), 3.0).double(), rtol=1e-4, atol=1e-4
    )
    # A model's own outputs, as they are: nothing of the model is kept.
    of_model = awd.distil(x, model(x.requires_grad_())[:, 0], n_largest=2)
    assert not of_model.weights.requires_grad
    x = x.detach()
    share = awd.compression(x, model=model, target=0)
    everything = awd.compression(x, model=model, target=0, threshold=0.0)
    assert 0 < share < everything <= 1


def test_progress_counts_steps():
    seen = []
    AdaptiveWavelet(
        "haar", level=1, epochs=2, batch_size=3, progress=lambda *each: seen.append(each)
    ).fit(draw(7, 8))
    assert seen == [(number, 6) for number in range(1, 7)]


def test_scikit_learn_clones_it_and_puts_it_in_a_pipeline():
    awd = AdaptiveWavelet("db2", level=2, epochs=1, constraints={"norm": 2.0})
    made = clone(awd)
    assert made.get_params() == awd.get_params()
    x = draw(9, 16).numpy()
    found = Pipeline([("awd", made)]).fit_transform(x, None)
    assert found.shape[0] == 9


def test_plot_draws_both_wavelets():
    awd = AdaptiveWavelet("db2", level=1, epochs=1, noise=0.1).fit(draw(9, 16))
    ax = awd.plot(title="title")
    labels = [line.get_label() for line in ax.get_lines()]
    assert {"wavelet before", "wavelet learnt", "scaling function learnt"} <= set(labels)
    learnt = ax.get_lines()[labels.index("wavelet learnt")]
    torch.testing.assert_close(torch.as_tensor(learnt.get_ydata()), awd.psi().psi)
    pyplot.close(ax.figure)


def test_errors():
    x = draw(4, 24)
    for arguments, message in [
        ({"wavelet": [1.0, 2.0, 1.0]}, "wavelet must have an even number of taps"),
        ({"n_dims": 3}, "n_dims must be 1 or 2, got 3"),
        ({"sparsity": -1.0}, "sparsity must be at least 0, got -1"),
        ({"constraints": {"sum": 1.0}}, "constraints must be one of 'low_sum'"),
        ({"gradients": "cached"}, "gradients must be one of 'auto'"),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"mode": "constant"}, "mode must be one of 'zero'"),
    ]:
        with pytest.raises(ValueError, match=message):
            AdaptiveWavelet(**arguments)
    with pytest.raises(
        ValueError, match=r"^sizes of X must be at least 10, the taps of the filter, at ev"
    ):
        AdaptiveWavelet("db5").fit(x[:, :8])
    with pytest.raises(ValueError, match=r"X must have shape \[batch, ..., length\], got \[24\]"):
        AdaptiveWavelet("db2", level=1).fit(x[0])
    with pytest.raises(ValueError, match="X must be finite"):
        AdaptiveWavelet("db2", level=1).fit(x / 0)
    with pytest.raises(TypeError, match="model must be callable, got 3"):
        AdaptiveWavelet("db2", level=1).fit(x, model=3)
    with pytest.raises(ValueError, match=r"target must have shape \[4\], got \[3\]"):
        AdaptiveWavelet("db2", level=1).fit(x, model=mlp(nn.ReLU()), target=torch.zeros(3).long())
    with pytest.raises(
        ValueError, match="gradients must be 'second_order' for integrated gradient"
    ):
        AdaptiveWavelet(
            "db2", level=1, attribution="integrated_gradients", gradients="closed_form"
        ).fit(x, model=mlp(nn.ReLU()), target=0)
    awd = AdaptiveWavelet("db2", level=1)
    with pytest.raises(ValueError, match="AdaptiveWavelet must be fitted"):
        awd.transform(x)
    with pytest.raises(ValueError, match="AdaptiveWavelet must be fitted"):
        awd.psi()
    with pytest.raises(ValueError, match="AdaptiveWavelet must be fitted"):
        awd.compression(x, model=mlp(nn.ReLU()), target=0)
    with pytest.raises(ValueError, match="params must be one of 'wavelet'"):
        awd.set_params(wavelets="db2")
    awd.set_params(epochs=1).fit(x)
    with pytest.raises(ValueError, match="n_largest must be at most 13"):
        awd.distil(x, x[:, 0], n_largest=14)
    with pytest.raises(ValueError, match="y must have 4 numbers, got 3"):
        awd.distil(x, x[:3, 0])
    with pytest.raises(ValueError, match="y must be finite, got 1 NaN"):
        awd.distil(x, [1.0, 2.0, float("nan"), 0.0], n_largest=2)
    with pytest.raises(TypeError, match="y must be numbers, got a list"):
        awd.distil(x, ["a", "b", "c", "d"], n_largest=2)
    with pytest.raises(ValueError, match="y must have 4 numbers, got 1"):
        awd.distil(x, x[:, 0], n_largest=2).score(x, x[:1, 0])
