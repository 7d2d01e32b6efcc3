"""Any method, asked about coefficients: every registered one runs, and closed forms hold."""

import pytest
import torch
from contract_cases import example_of, make_background, make_inputs, make_net, make_options
from contract_runs import NAMES, assert_close
from torch import nn

import pyxai
from pyxai import metrics, registry
from pyxai.attribution import FeatureAblation, IntegratedGradients, NoiseTunnel
from pyxai.transforms import (
    FourierTransform,
    FunctionTransform,
    TransformedModel,
    WaveletTransform,
    trim,
)


def draw(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def lossy():
    """Coefficients [..., 6] or [..., 6, 6] whose inverse gives something else back."""
    there, back = draw(6, 6, seed=1), draw(6, 6, seed=2) / 3
    return FunctionTransform(lambda x: x @ there, lambda s: s @ back)


def ask(name, model, inputs, transform=None, target=0, **changes):
    """Call trim with the options of the table, and baselines where the method needs some."""
    example = example_of(name)
    options = {**make_options(example, model), **changes}
    if registry.get(name).baselines in ("required", "distribution"):
        options.setdefault("baselines", make_background(example))
    return trim(model, inputs, transform=transform, method=name, target=target, **options)


@pytest.mark.parametrize("name", NAMES)
def test_every_method_explains_coefficients(name):
    example, entry = example_of(name), registry.get(name)
    model, inputs = make_net(example), make_inputs(example)
    transformed = TransformedModel(model, lossy())
    found = ask(name, transformed, inputs)
    assert_close(found.explanation.outputs, model(inputs)[:, 0].detach())
    assert_close(found.coefficients, inputs @ draw(6, 6, seed=1))
    assert bool(found.attributions.isfinite().all())
    assert bool(found.attributions.any())
    if example.shape_of_inputs:
        assert found.attributions.shape == found.coefficients.shape
    if entry.complete:
        assert found.explanation.convergence_delta.abs().max() <= example.delta
    if not entry.whole_batch:  # the residual is that of the row, whatever rows go with it
        order = torch.tensor([2, 0, 3, 1])
        permuted = ask(name, transformed, inputs[order]).attributions
        assert_close(permuted, found.attributions[order])
        assert_close(ask(name, transformed, inputs[2:3]).attributions, found.attributions[2:3])


@pytest.mark.parametrize("name", NAMES)
def test_the_identity_changes_nothing(name):
    example = example_of(name)
    model, inputs = make_net(example), make_inputs(example)
    identity = FunctionTransform(lambda x: x.clone(), lambda s: s.clone())
    found = ask(name, model, inputs, identity, residual=False)
    baselines = found.explanation.baselines
    given = {} if baselines is None else {"baselines": baselines}
    options = {**make_options(example, model), **given}
    direct = pyxai.explain(model, inputs, method=name, target=0, **options)
    assert_close(found.attributions, direct.attributions)


@pytest.mark.parametrize("name", [n for n in NAMES if not example_of(n).image])
@pytest.mark.parametrize("transform", [FourierTransform(6), WaveletTransform(6, "db2", level=1)])
def test_every_method_explains_frequencies_and_wavelets(name, transform):
    example = example_of(name)
    model, inputs = make_net(example), make_inputs(example)
    changes = {"baselines": None} if registry.get(name).baselines != "none" else {}
    if name == "occlusion":
        changes["sliding_window_shapes"] = (1, 2) if transform.pairs else (2,)
    found = ask(name, model, inputs, transform, **changes)
    assert_close(found.explanation.outputs, model(inputs)[:, 0].detach())
    assert found.attributions.shape == (4, *transform.coefficient_sizes)
    assert bool(found.attributions.isfinite().all())
    assert bool(found.attributions.any())


def linear(n=8):
    weights = draw(3, n, seed=5)
    return lambda x: x @ weights.T, weights


@pytest.mark.parametrize("n", [7, 8])
def test_gradients_of_a_linear_model_are_its_transformed_weights(n):
    model, weights = linear(n)
    x, fourier = draw(2, n), FourierTransform(n)
    basis = fourier.inverse(torch.eye(2 * (n // 2 + 1), dtype=x.dtype).view(-1, n // 2 + 1, 2))
    found = trim(model, x, transform=fourier, method="input_x_gradient", target=1)
    expected = fourier(x) * (basis @ weights[1]).view(n // 2 + 1, 2)
    assert_close(found.attributions, expected)
    assert_close(found.signed().sum(1), x @ weights[1])
    assert_close(found.magnitude(), expected.square().sum(-1).sqrt())
    # By Parseval the coefficient's score is the product of the two spectra, folded.
    product = (torch.fft.fft(x) * torch.fft.fft(weights[1]).conj()).real / n
    folded = product[:, : n // 2 + 1].clone()
    folded[:, 1 : (n + 1) // 2] *= 2
    assert_close(found.signed(), folded)


def test_integrated_gradients_add_up_in_the_transformed_domain():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 9), nn.Tanh(), nn.Linear(9, 2)).double()
    x, wavelet = draw(3, 8), WaveletTransform(8, [0.9, 0.5], level=2)
    assert (wavelet.inverse(wavelet(x)) - x).abs().max() > 0.1  # not orthogonal: lossy
    found = trim(model, x, transform=wavelet, method="integrated_gradients", target=0, n_steps=60)
    coefficients, arguments = found.model.split(x)
    start = model(arguments[0])[:, 0]  # no coefficient: the residual alone
    assert_close(found.attributions.sum(1), (model(x)[:, 0] - start).detach(), 1e-9)
    assert_close(found.coefficients, coefficients)


def test_metrics_judge_it_on_the_model_of_coefficients():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 9), nn.Tanh(), nn.Linear(9, 2)).double()
    x, wavelet = draw(3, 8), WaveletTransform(8, [0.9, 0.5], level=2)
    found = trim(model, x, transform=wavelet, method="integrated_gradients", target=0, n_steps=60)
    question = found.model, found.coefficients, found.attributions
    options = {"target": 0, "additional_forward_args": found.arguments}
    assert metrics.completeness(*question, **options).max() < 1e-9
    curve = metrics.insertion(*question, **options, output="logit")
    ends = torch.stack([model(found.arguments[0])[:, 0], model(x)[:, 0]], 1)
    assert_close(curve.y[:, [0, -1]], ends.detach())


def test_groups_are_summed_or_removed_as_wholes():
    model, _ = linear()
    x, fourier = draw(2, 8), FourierTransform(8)
    groups = fourier.bands([0.0, 0.3, 0.8, 1.1])
    gradients = trim(
        model, x, transform=fourier, method="input_x_gradient", target=1, groups=groups
    )
    ablated = trim(model, x, transform=fourier, method="feature_ablation", target=1, groups=groups)
    assert not gradients.whole_groups
    assert ablated.whole_groups
    signed = gradients.signed()  # frequencies 0, 1 | 2, 3 | 4
    expected = torch.stack([signed[:, :2].sum(1), signed[:, 2:4].sum(1), signed[:, 4]], 1)
    assert_close(gradients.group_scores(), expected)
    assert_close(ablated.group_scores(), expected)  # of a linear model
    with pytest.raises(ValueError, match="groups must be None for signed scores of coefficients"):
        ablated.signed()


@pytest.mark.parametrize("name", [n for n in NAMES if not example_of(n).image])
def test_members_of_a_group_removed_as_a_whole_have_one_score(name):
    model, inputs = make_net(example_of(name)), make_inputs(example_of(name))
    groups = torch.tensor([0, 0, 3, 3, 3, 1])
    found = ask(name, model, inputs, lossy(), groups=groups)
    scores = found.group_scores()
    assert scores.shape == (4, 3)
    if found.whole_groups:
        assert_close(scores[:, [0, 0, 2, 2, 2, 1]], found.attributions)
    else:
        first, last = found.attributions[:, :2].sum(1), found.attributions[:, 2:5].sum(1)
        assert_close(scores, torch.stack([first, found.attributions[:, 5], last], 1))


def test_contextual_decomposition_leaves_the_residual_to_the_rest_on_request():
    torch.manual_seed(0)
    model, x = nn.Linear(8, 3, bias=False).double(), draw(2, 8)
    wavelet = WaveletTransform(8, [0.9, 0.5], level=1)
    found = trim(
        model, x, transform=wavelet, method="contextual_decomposition", target=1, bias="irrelevant"
    )
    parts = wavelet.inverse(torch.diag_embed(found.coefficients))  # [batch, coefficients, 8]
    assert_close(found.attributions, (parts @ model.weight[1]).detach())


def test_groups_hold_for_all_channels():
    fourier, x = FourierTransform((4, 5)), draw(2, 3, 4, 5)
    groups = fourier.bands([0.0, 0.6, 1.5])

    def model(images):
        return images.square().flatten(1)

    found = trim(model, x, transform=fourier, method="saliency", target=7, groups=groups)
    assert found.attributions.shape == (2, 3, 4, 3, 2)
    low = (found.attributions * (groups == 0)).sum((1, 2, 3, 4))
    high = (found.attributions * (groups == 1)).sum((1, 2, 3, 4))
    assert_close(found.group_scores(), torch.stack([low, high], 1))


def test_groups_of_each_example_and_scores_of_all_outputs():
    model, _ = linear()
    x, fourier = draw(2, 8), FourierTransform(8)
    whole = fourier.coefficients_as_groups()
    groups = torch.stack([whole, whole.max() - whole])
    found = trim(model, x, transform=fourier, method="shapley_values", groups=groups)
    assert found.attributions.shape == (2, 3, 5, 2)
    signed = trim(model, x, transform=fourier, method="input_x_gradient", target=2).signed()
    expected = torch.stack([signed[0], signed[1].flip(0)])
    assert_close(found.group_scores()[:, 2], expected)


def test_objects_are_made_for_the_transformed_model():
    model, _ = linear()
    x, fourier = draw(2, 8), FourierTransform(8)
    transformed = TransformedModel(model, fourier)
    method = NoiseTunnel(IntegratedGradients(transformed))
    found = trim(transformed, x, method=method, target=1, nt_samples=3, stdevs=0.0)
    by_class = trim(model, x, transform=fourier, method=IntegratedGradients, target=1)
    assert_close(found.attributions, by_class.attributions)
    ablation = FeatureAblation(transformed)
    groups = fourier.coefficients_as_groups()
    assert trim(transformed, x, method=ablation, target=1, groups=groups).whole_groups
    with pytest.raises(ValueError, match="method must be made for the model"):
        trim(model, x, transform=fourier, method=IntegratedGradients(model), target=1)
    with pytest.raises(TypeError, match="transform must be None for a TransformedModel"):
        trim(transformed, x, transform=fourier, method="saliency", target=1)


def test_further_arguments_follow_the_residual():
    x, fourier = draw(3, 8), FourierTransform(8)
    scale = draw(3, 1, seed=7)

    def model(rows, factor, power):
        return (rows * factor).pow(power)

    found = trim(
        model,
        x,
        transform=fourier,
        method="integrated_gradients",
        target=4,
        additional_forward_args=(scale, 2),
    )
    assert_close(found.attributions.sum((1, 2)), (x * scale).square()[:, 4])


def test_results_are_cut_moved_and_written(tmp_path):
    model, _ = linear()
    found = trim(model, draw(3, 8), transform=FourierTransform(8), method="saliency", target=0)
    path = found.explanation.save(tmp_path / "found.safetensors")
    again = pyxai.Explanation.load(path)
    assert torch.equal(again.attributions, found.attributions)
    assert found.explanation[1].attributions.shape == (1, 5, 2)
    assert "FourierTransform" in repr(found)
    assert "by saliency" in str(found)


def test_scores_of_another_layer_are_not_those_of_coefficients():
    example = example_of("grad_cam")
    model, inputs = make_net(example), make_inputs(example)
    found = ask("grad_cam", model, inputs, lossy(), groups=torch.zeros(6, 6, dtype=torch.int64))
    for call in (found.signed, found.magnitude, found.group_scores):
        with pytest.raises(ValueError, match="attributions must be those of coefficients"):
            call()


def test_errors():
    model, _ = linear()
    x, fourier = draw(2, 8), FourierTransform(8)

    def call(inputs=x, transform=fourier, **options):
        options = {"method": "integrated_gradients", "target": 0, **options}
        return trim(model, inputs, transform=transform, **options)

    with pytest.raises(TypeError, match="transform must be a Transform, got None"):
        call(transform=None)
    with pytest.raises(TypeError, match="inputs must be one tensor for a transform"):
        call((x, x))
    with pytest.raises(TypeError, match="inputs must be floating point"):
        call(x.long())
    with pytest.raises(ValueError, match="inputs must be finite"):
        call(x / 0)
    with pytest.raises(ValueError, match=r"inputs must have shape \[batch, ..., 8\], got \[2, 7\]"):
        call(x[:, 1:])
    with pytest.raises(TypeError, match="feature_mask must be given as groups"):
        call(feature_mask=fourier.bands(2))
    with pytest.raises(TypeError, match="groups must be a tensor"):
        call(groups=[0, 1])
    with pytest.raises(ValueError, match="groups must be given to trim"):
        call().group_scores()
    with pytest.raises(ValueError, match="groups must broadcast to shape"):
        call(groups=torch.zeros(3, dtype=torch.int64))
    with pytest.raises(ValueError, match="baselines must be a number or have shape"):
        call(baselines=x)
    with pytest.raises(ValueError, match="method must be one of"):
        call(method="no_such")
    with pytest.raises(TypeError, match="options of saliency must be among"):
        call(method="saliency", n_steps=3)
