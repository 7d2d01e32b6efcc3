"""What every method of layers and of neurons keeps, whatever it computes."""

import captum.attr
import pytest
import torch
from torch import nn

import pyxai
from pyxai import attribution

N_CLASSES = 3
LAYERS = {
    "InternalInfluence": {"n_steps": 7, "internal_batch_size": 5},
    "LayerActivation": {},
    "LayerConductance": {"n_steps": 7, "internal_batch_size": 5},
    "LayerDeepLift": {},
    "LayerDeepLiftShap": {"baselines": "background"},
    "LayerFeatureAblation": {"perturbations_per_eval": 2},
    "LayerGradCam": {"relu_attributions": False},
    "LayerGradientShap": {"baselines": "background", "stdevs": 0.1, "internal_batch_size": 3},
    "LayerGradientXActivation": {"internal_batch_size": 2},
    "LayerIntegratedGradients": {"n_steps": 7, "internal_batch_size": 5},
    "LayerLRP": {},
}
NEURONS = {
    "NeuronConductance": {"n_steps": 7, "internal_batch_size": 5},
    "NeuronDeconvolution": {},
    "NeuronDeepLift": {},
    "NeuronDeepLiftShap": {"baselines": "background"},
    "NeuronFeatureAblation": {"perturbations_per_eval": 2},
    "NeuronGradient": {},
    "NeuronGradientShap": {"baselines": "background", "stdevs": 0.1},
    "NeuronGuidedBackprop": {},
    "NeuronIntegratedGradients": {"n_steps": 7},
}
EVERY = {**LAYERS, **NEURONS}
over_all = pytest.mark.parametrize("name", EVERY)


def net(inplace=False):
    torch.manual_seed(0)
    layers = [nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 5), nn.ReLU(inplace)]
    layers.append(nn.Linear(5, N_CLASSES))
    return nn.Sequential(*layers).double().eval()


def rows(count=5):
    return torch.randn(count, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def options_of(name):
    given = dict(EVERY[name])
    if given.get("baselines") == "background":
        given["baselines"] = rows(3) / 2
    if name in NEURONS:
        given["neuron_selector"] = 2
    if takes(name, "target"):
        given["target"] = 1
    return given


def takes(name, option):
    parameters = pyxai._signatures.option_parameters(getattr(attribution, name).attribute)
    return option in {parameter.name for parameter in parameters}


def fitting(name):
    """Return background rows of three features, for those that take some."""
    return {"baselines": rows(3)[:, :3]} if "baselines" in EVERY[name] else {}


def unbounded(name):
    """Leave out a bound of rows, which is what an error is of where a model takes no rows."""
    return {"internal_batch_size": None} if "internal_batch_size" in EVERY[name] else {}


def answer(name, model, x, layer="2", **changes):
    return getattr(attribution, name)(model, layer).attribute(x, **{**options_of(name), **changes})


def test_no_method_of_layers_or_neurons_is_left_out():
    known = {n for n in dir(attribution) if n.startswith(("Layer", "Neuron", "Internal"))}
    bases = {"LayerAttribution", "NeuronAttribution"}
    assert known - bases == {*EVERY, "LayerFeaturePermutation"}  # which shuffles the batch


@over_all
def test_a_row_gets_what_it_gets_alone_and_rows_may_change_places(name):
    model, x = net(), rows()
    whole = answer(name, model, x)
    alone = torch.cat([answer(name, model, x[row : row + 1]) for row in range(len(x))])
    order = torch.tensor([3, 0, 4, 1, 2])
    for other in (alone, answer(name, model, x[order])[order.argsort()]):
        torch.testing.assert_close(whole, other, rtol=1e-10, atol=1e-10)
    assert whole.shape == (5, 4 if name in NEURONS else 5) or name == "LayerGradCam"
    assert not whole.requires_grad
    assert whole.dtype == torch.float64


@over_all
def test_the_model_is_left_as_found(name):
    model, x = net(), rows()
    model[0].weight.requires_grad_(False)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    flags = [p.requires_grad for p in model.parameters()]
    state = torch.get_rng_state()
    answer(name, model, x)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        answer(name, model, x[:, :3], **fitting(name), **unbounded(name))
    assert all(torch.equal(model.state_dict()[key], before[key]) for key in before)
    assert [p.requires_grad for p in model.parameters()] == flags
    assert all(p.grad is None for p in model.parameters())
    assert torch.equal(torch.get_rng_state(), state)
    for module in model.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
        assert not module.training


@over_all
def test_bad_inputs_are_named(name):
    model, x = net(), rows()
    with pytest.raises(ValueError, match=r"inputs must .*finite|inputs must .*NaN"):
        answer(name, model, torch.full_like(x, float("nan")))
    with pytest.raises(ValueError, match="inputs must have at least one example"):
        answer(name, model, x[:0])
    with pytest.raises(TypeError, match="inputs must be a tensor"):
        answer(name, model, "rows")
    with pytest.raises(ValueError, match=r"layer must be a name .*did you mean"):
        answer(name, model, x, layer="22")
    with pytest.raises(TypeError, match="layer must be a module or the name of one, got 3"):
        answer(name, model, x, layer=3)


@pytest.mark.parametrize("name", [n for n in EVERY if "target" in options_of(n)])
def test_bad_targets_are_named(name):
    with pytest.raises(ValueError, match=r"target must be in 0 \.\. 2"):
        answer(name, net(), rows(), target=3)  # also where rows are bounded
    with pytest.raises(ValueError, match="target must be at least 0"):
        answer(name, net(), rows(), target=-1)


@pytest.mark.parametrize("name", NEURONS)
def test_neurons_that_are_not_there_are_named(name):
    with pytest.raises(ValueError, match=r"neuron_selector must be in -5 \.\. 4"):
        answer(name, net(), rows(), neuron_selector=7)


@over_all
def test_layers_by_name_by_module_and_through_explain_are_one(name):
    model, x = net(), rows()
    by_name = answer(name, model, x)
    assert torch.equal(by_name, answer(name, model, x, layer=model[2]))
    options = options_of(name)
    options["target"] = options.pop("target", None)
    cls = getattr(attribution, name)
    word = pyxai.registry.snake_case(name)
    for method in (cls, word):
        found = pyxai.explain(model, x, method=method, layer="2", **options)
        assert torch.equal(found.attributions, by_name)
        assert found.method == word
    with pytest.raises(TypeError, match=f"layer must be given as an option of {word}"):
        pyxai.explain(model, x, method=word, **options)


@pytest.mark.parametrize("name", ["layer_lrb", "neuron_attribution", "layer_"])
def test_names_of_no_method_are_answered_with_those_there_are(name):
    with pytest.raises(ValueError, match=f"method must be one of .*, got '{name}'"):
        pyxai.explain(net(), rows(), method=name, layer="2")


@over_all
def test_16_bit_models_give_float32(name):
    model, x = net().bfloat16(), rows().bfloat16()
    options = {
        k: v.bfloat16() if isinstance(v, torch.Tensor) else v for k, v in options_of(name).items()
    }
    found = getattr(attribution, name)(model, "2").attribute(x, **options)
    assert found.dtype == (torch.bfloat16 if name == "LayerActivation" else torch.float32)


@over_all
def test_functions_around_a_model_do_unless_the_method_looks_inside(name):
    model, x = net(), rows()
    inside = name in (
        "LayerDeepLift", "LayerDeepLiftShap", "LayerLRP", "NeuronDeepLift", "NeuronDeepLiftShap",
        "NeuronGuidedBackprop", "NeuronDeconvolution",
    )  # fmt: skip
    if inside:
        with pytest.raises(TypeError, match=r"model must be an nn\.Module"):
            answer(name, lambda z: model(z), x, layer=model[2])
    else:
        found = answer(name, lambda z: model(z), x, layer=model[2])
        torch.testing.assert_close(found, answer(name, model, x))


@over_all
@pytest.mark.parametrize("at_input", [False, True])
def test_values_are_those_before_a_module_writes_into_them(name, at_input):
    layer, x = "3" if at_input else "2", rows()  # of the ReLU, what it takes
    flag = "attribute_to_neuron_input" if name in NEURONS else "attribute_to_layer_input"
    plain, written = (
        answer(name, net(inplace), x, layer=layer, **{flag: at_input}) for inplace in (False, True)
    )
    torch.testing.assert_close(written, plain, rtol=0, atol=0)


@over_all
def test_units_and_whether_there_is_a_delta_are_as_in_captum(name):
    ours, theirs = (
        getattr(package, name)(model, model[2])
        for package, model in ((attribution, net()), (captum.attr, net()))
    )
    expected = getattr(theirs, "multiplies_by_inputs", ours.multiplies_by_inputs)
    assert ours.multiplies_by_inputs == expected
    assert ours.has_convergence_delta() == theirs.has_convergence_delta()


class Unused(nn.Module):
    """A model that runs a layer and goes on without what it gives."""

    def __init__(self):
        super().__init__()
        self.used, self.layer = net(), nn.Linear(4, 5).double().eval()

    def forward(self, x):
        self.layer(x)
        return self.used(x)


@pytest.mark.parametrize("name", [n for n in EVERY if takes(n, "grad_kwargs")])
def test_a_layer_without_effect_is_an_error_or_gets_zeros_if_asked(name):
    model, x = Unused().requires_grad_(False).eval(), rows()
    found = answer(name, model, x, layer="layer", grad_kwargs={"materialize_grads": True})
    assert found.shape == (5, 4 if name in NEURONS else 1 if name == "LayerGradCam" else 5)
    assert (found == 0).all()
    if name != "LayerDeepLift":  # which has rules in the place of autograd: 0 it is
        with pytest.raises(ValueError, match="depend on the inputs in a way that autograd"):
            answer(name, model, x, layer="layer")


@pytest.mark.parametrize("name", NEURONS)
def test_one_number_for_all_rows_will_do_where_neurons_are_added_up(name):
    model, x = net(), rows()
    if name == "NeuronConductance":
        with pytest.raises(ValueError, match="neuron_selector must return a tensor with a row"):
            answer(name, model, x, neuron_selector=lambda values: values[:, 1:3].sum())
        return
    found = answer(name, model, x, neuron_selector=lambda values: values[:, 1:3].sum())
    of_rows = answer(name, model, x, neuron_selector=(slice(1, 3),))
    if name == "NeuronFeatureAblation":  # of a feature in all rows, as of a model that adds them up
        of_rows = of_rows.sum(0, keepdim=True)
    torch.testing.assert_close(found, of_rows)


@pytest.mark.parametrize("name", NEURONS)
def test_last_sizes_of_one_need_no_index(name):
    model = nn.Sequential(net()[:3], nn.Unflatten(1, (5, 1, 1)), nn.Flatten(), net()[4]).eval()
    found = answer(name, model, rows(), layer="1")
    assert torch.equal(found, answer(name, model, rows(), layer="1", neuron_selector=(2, 0, 0)))
    with pytest.raises(ValueError, match=r"neuron_selector must have 3 index\(es\)"):
        answer(name, model, rows(), layer="1", neuron_selector=(2, 0, 0, 0))
