import pytest
import torch
from captum_peer import TwoInputs, mlp, rows
from torch import nn

import pyxai
from pyxai import registry
from pyxai.attribution import Attribution, BlurIG, IntegratedGradients, Saliency
from pyxai.methods import store


class KeywordsOnly(nn.Module):
    """A model that takes its inputs and its arguments by name only."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2).double()

    def forward(self, *, left, right, options):
        return self.layer(torch.tanh(left) * right) * options["scale"]


class ByPlace(nn.Module):
    """The wrapper that such a model needs."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, left, right, options):
        return self.model(left=left, right=right, options=options)


@pytest.mark.parametrize("method", ["integrated_gradients", "shapley_values", "deep_lift"])
def test_models_by_keyword_lists_of_inputs_and_dictionaries_of_arguments(method):
    model = KeywordsOnly().eval()
    left, right = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0)).double()
    given = {"method": method, "target": 1, "additional_forward_args": {"scale": 2.0}}
    found = pyxai.explain(ByPlace(model), [left, right], **given)
    assert isinstance(found.attributions, tuple)
    total = sum(part.sum(1) for part in found.attributions)
    expected = model(left=left, right=right, options={"scale": 2.0})
    start = model(left=0 * left, right=0 * right, options={"scale": 2.0})
    torch.testing.assert_close(total, (expected - start)[:, 1].detach())


def test_name_class_and_object_agree():
    model, x = mlp(), rows(3, 6)
    by_name = pyxai.explain(model, x, method="saliency", target=1)
    for method in (Saliency, Saliency(model)):
        other = pyxai.explain(model, x, method=method, target=1)
        assert torch.equal(other.attributions, by_name.attributions)
        assert other.method == "saliency"
    assert torch.equal(by_name.attributions, Saliency(model).attribute(x, 1))


def test_result_keeps_the_call():
    model, x, start = mlp(), rows(3, 6), rows(1, 6, seed=1)
    names = list("abcdef")
    result = pyxai.explain(
        model,
        x,
        method="integrated_gradients",
        target=[0, 1, 2],
        baselines=start,
        feature_names=names,
        n_steps=20,
    )
    assert torch.equal(result.inputs, x)
    assert torch.equal(result.baselines, start)
    assert result.target == [0, 1, 2]
    assert result.options == {"n_steps": 20}
    assert result.feature_names == names
    torch.testing.assert_close(result.outputs, model(x).detach().diagonal())
    expected = IntegratedGradients(model).attribute(
        x, start, [0, 1, 2], n_steps=20, return_convergence_delta=True
    )
    assert torch.equal(result.attributions, expected[0])
    assert torch.equal(result.convergence_delta, expected[1])
    assert "n_steps" in str(result)


@pytest.mark.parametrize("name", ["integrated_gradients", "greedy_pig", "expected_gradients"])
def test_the_quadrature_can_be_chosen_where_method_is_a_name(name):
    model, x = mlp(), rows(3, 6, dtype=torch.float64)
    model.double()
    options = {"baselines": x[:2] / 2} if name == "expected_gradients" else {}
    options |= {"scores": "raw"} if name == "greedy_pig" else {}
    explainer = registry.get(name).cls(model)
    expected = explainer.attribute(x, target=0, n_steps=4, method="riemann_left", **options)
    result = pyxai.explain(
        model, x, method=name, target=0, n_steps=4, rule="riemann_left", **options
    ).attributions
    assert torch.equal(result, expected)
    default = pyxai.explain(model, x, method=name, target=0, n_steps=4, **options).attributions
    assert not torch.equal(result, default)


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("occlusion", "sliding_window_shapes"),
        ("layer_grad_cam", "layer"),
        ("guided_grad_cam", "layer"),
    ],
)
def test_options_that_a_method_needs_are_named(name, option):
    with pytest.raises(TypeError, match=f"^{option} must be given as an option of {name}, got"):
        pyxai.explain(mlp(), rows(3, 6), method=name, target=0)
    cls = registry.get(name).cls
    with pytest.raises(TypeError, match=f"^{option} must be given as an option of {name}, got"):
        pyxai.explain(mlp(), rows(3, 6), method=cls, target=0)


def test_several_layers_are_several_explanations():
    with pytest.raises(ValueError, match=r"layer must be a single layer in .*, got 2"):
        pyxai.explain(mlp(), rows(3, 6), method="layer_activation", layer=["0", "1"])
    pyxai.explain(mlp(), rows(3, 6), method="layer_activation", layer="0")


def test_constructor_options_reach_the_constructor():
    model, x = mlp(), rows(3, 6)
    result = pyxai.explain(
        model, x, method="integrated_gradients", target=0, multiply_by_inputs=False
    )
    expected = IntegratedGradients(model, multiply_by_inputs=False).attribute(x, target=0)
    assert torch.equal(result.attributions, expected)
    # Mean gradients do not sum to a difference of outputs, so there is no delta to tell.
    assert result.convergence_delta is None


def test_several_inputs_and_arguments():
    inputs = rows(4, 4), rows(4, 2, 3, seed=1)
    result = pyxai.explain(
        TwoInputs(),
        inputs,
        method="integrated_gradients",
        target=2,
        baselines=(0.0, rows(4, 2, 3)),
        additional_forward_args=torch.arange(4.0),
    )
    assert [part.shape for part in result.attributions] == [part.shape for part in inputs]
    torch.testing.assert_close(result.outputs, TwoInputs()(*inputs, torch.arange(4.0))[:, 2])
    assert result[1].convergence_delta.shape == (1,)


class Halves(Attribution):
    """A method of the user's own: complete, without a delta of its own."""

    def attribute(self, inputs, baselines=None, target=None, additional_forward_args=None):
        difference = self.forward_func(inputs) - self.forward_func(torch.zeros_like(inputs))
        return difference.detach()[:, None].expand_as(inputs) / inputs.shape[1]

    @property
    def multiplies_by_inputs(self):
        return True

    def has_convergence_delta(self):
        return True


def test_methods_of_the_user_can_be_given_and_registered(monkeypatch):
    monkeypatch.setattr(store, "_METHODS", dict(store._METHODS))
    x = rows(3, 2, dtype=torch.float64)

    def model(x):
        return x.sin().sum(1)

    result = pyxai.explain(model, x, method=Halves)
    assert result.method == "halves"
    assert result.convergence_delta.abs().max() < 1e-15
    registry.register("equal_shares", Halves, complete=True, baselines="optional")
    assert "equal_shares" in registry.names()
    named = pyxai.explain(model, x, method="equal_shares")
    assert named.method == "equal_shares"
    assert torch.equal(named.attributions, result.attributions)


def test_objects_of_another_model_are_refused():
    with pytest.raises(ValueError, match="method must be made for the model that is explained"):
        pyxai.explain(mlp(), rows(2, 6), method=Saliency(mlp()), target=0)


def test_options_of_an_object_are_checked():
    model = mlp()
    with pytest.raises(TypeError, match=r"options of saliency must .* abs, .* got 'n_steps'"):
        pyxai.explain(model, rows(2, 6), method=Saliency(model), target=0, n_steps=3)


def test_registry_refuses_what_it_does_not_know():
    with pytest.raises(ValueError, match="name must be new, got 'saliency', which is Saliency"):
        registry.register("saliency", Saliency)
    with pytest.raises(ValueError, match=r"axioms must be among completeness, .*, got beauty"):
        registry.register("new", Saliency, axioms=("beauty",))
    with pytest.raises(ValueError, match=r"baselines must be one of 'none', .*, got 'some'"):
        registry.register("new", Saliency, baselines="some")
    with pytest.raises(ValueError, match="needs must be 'callable' or 'module', got 'luck'"):
        registry.register("new", Saliency, needs="luck")
    assert "new" not in registry.names()


def test_convergence_delta_of_given_attributions():
    model, x = mlp(torch.float64), rows(3, 6, dtype=torch.float64)
    method = IntegratedGradients(model)
    values, delta = method.attribute(x, 0.5, 1, return_convergence_delta=True)
    torch.testing.assert_close(method.compute_convergence_delta(values, 0.5, x, target=1), delta)
    more = method.compute_convergence_delta(values + 1, 0.5, x, target=1)
    torch.testing.assert_close(more, delta + 6)
    with pytest.raises(ValueError, match=r"attributions must have shape \[3, 6\], got \[2, 6\]"):
        method.compute_convergence_delta(values[:2], 0.5, x, target=1)
    with pytest.raises(ValueError, match=r"attributions must have 1 tensor\(s\), as end_point"):
        method.compute_convergence_delta((values, values), 0.5, x, target=1)


def test_names_of_captum():
    assert IntegratedGradients.get_name() == "Integrated Gradients"
    assert Saliency(mlp()).has_convergence_delta() is False


def test_delta_of_a_path_from_a_blurred_image():
    model, x = torch.nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), rows(2, 1, 8, 8)
    result = pyxai.explain(model, x, method="blur_ig", target=0, n_steps=20)
    _, delta = BlurIG(model).attribute(x, 0, n_steps=20, return_convergence_delta=True)
    torch.testing.assert_close(result.convergence_delta, delta)


def test_names_that_do_not_fit_are_refused_before_the_work():
    model, rows_seen = mlp(), []

    def counted(x):
        rows_seen.append(len(x))
        return model(x)

    call = {"method": "integrated_gradients", "target": 1}
    with pytest.raises(ValueError, match="feature_names must have one name for each of 6 features"):
        pyxai.explain(counted, rows(3, 6), feature_names=["a"], **call)
    assert sum(rows_seen) == 3 + 4  # the outputs, after a look at two rows twice
    every = pyxai.explain(
        model, rows(2, 6), method="shapley_values", feature_names=[str(i) for i in range(18)]
    )
    assert every.attributions.shape == (2, 3, 6)


@pytest.mark.parametrize("method", ["greedy_pig", "guided_ig", "blur_ig", "idgi", "xrai", "lrp"])
def test_unknown_options_name_the_method_as_the_registry_does(method):
    with pytest.raises(TypeError, match=rf"options of {method} must be among .*, got 'foo'"):
        pyxai.explain(mlp(), rows(2, 6), method=method, target=0, foo=2)
