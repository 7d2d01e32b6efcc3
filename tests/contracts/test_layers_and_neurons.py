"""What every method of layers and of neurons keeps, whatever it computes."""

import captum.attr
import pytest
import torch
from layer_contract_cases import EVERY, LAYERS, N_UNITS, NEURONS, net, options_of, rows, takes
from torch import nn

import pyxai
from pyxai import attribution, registry
from pyxai.adapters.language.methods import read_method
from pyxai.adapters.text.ways import found_method
from pyxai.methods import LayerAttribution
from pyxai.methods.neuron import NeuronAttribution
from pyxai.methods.store import snake_case
from pyxai.metrics import reality_checks
from pyxai.taylor.allocation.method_calls import bind_method

ALONE = [name for name in EVERY if not registry.get(name).whole_batch]
GRAD_CAM = "layer_grad_cam"  # whose map has one channel
over_all = pytest.mark.parametrize("name", EVERY)


def fitting(name):
    """Return background rows of three features, for those that take some."""
    return {"baselines": rows(3)[:, :3]} if "baselines" in options_of(name) else {}


def unbounded(name):
    """Leave out a bound of rows, which is what an error is of where a model takes no rows."""
    return {"internal_batch_size": None} if "internal_batch_size" in options_of(name) else {}


def answer(name, model, x, layer="2", **changes):
    cls = registry.get(name).cls
    return cls(model, layer).attribute(x, **{**options_of(name), **changes})


def test_what_is_registered_of_a_layer_or_of_neurons_is_what_there_is():
    found = {"layer": set(), "neuron": set()}
    for name in attribution.__all__:
        cls = getattr(attribution, name)
        if isinstance(cls, type) and hasattr(cls, "attribute"):
            found["layer"] |= {cls} if issubclass(cls, LayerAttribution) else set()
            found["neuron"] |= {cls} if issubclass(cls, NeuronAttribution) else set()
    found["layer"] -= {attribution.GradCam, attribution.LayerGradCam}  # maps of an image
    for of, classes in found.items():
        assert {registry.get(name).cls for name in registry.names(of)} == classes
        assert {snake_case(cls.__name__) for cls in classes} == {*registry.names(of)}
    assert not set(registry.names()) & {*registry.names("layer"), *registry.names("neuron")}
    with pytest.raises(ValueError, match="of must be one of 'inputs', 'layer', 'neuron', got 'x'"):
        registry.names("x")


@pytest.mark.parametrize("name", ALONE)
def test_a_row_gets_what_it_gets_alone_and_rows_may_change_places(name):
    model, x = net(), rows()
    whole = answer(name, model, x)
    alone = torch.cat([answer(name, model, x[row : row + 1]) for row in range(len(x))])
    order = torch.tensor([3, 0, 4, 1, 2])
    for other in (alone, answer(name, model, x[order])[order.argsort()]):
        torch.testing.assert_close(whole, other, rtol=1e-10, atol=1e-10)
    assert whole.shape == (5, 4 if name in NEURONS else N_UNITS) or name == GRAD_CAM
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
    for method in (registry.get(name).cls, name):
        found = pyxai.explain(model, x, method=method, layer="2", **options)
        assert torch.equal(found.attributions, by_name)
        assert found.method == name
        assert found.of_layer is (name in LAYERS)
    with pytest.raises(TypeError, match=f"layer must be given as an option of {name}"):
        pyxai.explain(model, x, method=name, **options)


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
    found = registry.get(name).cls(model, "2").attribute(x, **options)
    assert found.dtype == (torch.bfloat16 if name == "layer_activation" else torch.float32)


@over_all
def test_functions_around_a_model_do_unless_the_method_looks_inside(name):
    model, x = net(), rows()
    if registry.get(name).needs == "module":
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
        getattr(package, registry.get(name).cls.__name__)(model, model[2])
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
    assert found.shape == (5, 4 if name in NEURONS else 1 if name == GRAD_CAM else 5)
    assert (found == 0).all()
    if name != "layer_deep_lift":  # which has rules in the place of autograd: 0 it is
        with pytest.raises(ValueError, match="depend on the inputs in a way that autograd"):
            answer(name, model, x, layer="layer")


@pytest.mark.parametrize("name", NEURONS)
def test_one_number_for_all_rows_will_do_where_neurons_are_added_up(name):
    model, x = net(), rows()
    if name == "neuron_conductance":
        with pytest.raises(ValueError, match="neuron_selector must return a tensor with a row"):
            answer(name, model, x, neuron_selector=lambda values: values[:, 1:3].sum())
        return
    found = answer(name, model, x, neuron_selector=lambda values: values[:, 1:3].sum())
    of_rows = answer(name, model, x, neuron_selector=(slice(1, 3),))
    if name == "neuron_feature_ablation":  # of a feature in all rows
        of_rows = of_rows.sum(0, keepdim=True)
    torch.testing.assert_close(found, of_rows)


@pytest.mark.parametrize("name", NEURONS)
def test_last_sizes_of_one_need_no_index(name):
    model = nn.Sequential(net()[:3], nn.Unflatten(1, (5, 1, 1)), nn.Flatten(), net()[4]).eval()
    found = answer(name, model, rows(), layer="1")
    assert torch.equal(found, answer(name, model, rows(), layer="1", neuron_selector=(3, 0, 0)))
    with pytest.raises(ValueError, match=r"neuron_selector must have 3 index\(es\)"):
        answer(name, model, rows(), layer="1", neuron_selector=(3, 0, 0, 0))


@over_all
def test_whether_seeds_and_baselines_matter_is_what_the_registry_says(name):
    entry, model, x = registry.get(name), net(), rows()
    assert takes(name, "seed") is entry.stochastic
    if entry.stochastic:
        zero, again, one = (answer(name, model, x, seed=seed) for seed in (0, 0, 1))
        assert torch.equal(zero, again)
        assert not torch.equal(zero, one)
    assert takes(name, "baselines") is (entry.baselines != "none")
    if entry.baselines == "optional":
        default, zero, other = (
            answer(name, model, x, **changes)
            for changes in ({}, {"baselines": 0.0}, {"baselines": rows(6)[5:] / 4})
        )
        assert torch.equal(default, zero)
        assert not torch.allclose(zero, other)
    if entry.baselines == "distribution":
        with pytest.raises((TypeError, ValueError), match="baselines must"):
            answer(name, model, x, baselines=None)
    assert entry.axioms == ()


@pytest.mark.parametrize("name", [n for n in EVERY if not registry.get(n).whole_batch])
def test_what_adds_up_is_what_the_registry_says(name):
    entry, model, x = registry.get(name), net(), rows()
    more = {"n_steps": 400} if takes(name, "n_steps") else {}
    found = answer(name, model, x, **more)
    start = options_of(name).get("baselines", torch.zeros_like(x[:1]))
    change = (model(x)[:, 1] - model(start)[:, 1].mean()).detach()
    gap = (found.sum(1) - change).abs().max()
    small = gap < 0.01 * change.abs().max()
    # Conductance comes near with as many steps, and promises nothing with few.
    assert bool(small) is (entry.complete or name == "layer_conductance")
    assert entry.of == "layer" or not entry.complete


@pytest.mark.parametrize("name", [n for n in EVERY if registry.get(n).of != "inputs"])
def test_who_asks_for_scores_of_inputs_refuses_them(name):
    model, x = net(), rows()
    given = options_of(name)
    target = given.pop("target", None)
    with pytest.raises(ValueError, match=f"method must explain an output by the inputs, .*{name}"):
        reality_checks(model, x, method=name, target=target, layer="2", **given)
    for read in (found_method, read_method):
        with pytest.raises(ValueError, match=f"method must attribute an output to .*'{name}'"):
            read(name)
    with pytest.raises(ValueError, match=f"attribution_method must name a method .* '{name}'"):
        pyxai.explain(model, x, method="noise_tunnel", attribution_method=name, target=1)
    with pytest.raises(ValueError, match=f"method must name a method .*'{name}', which takes"):
        bind_method(name, model, 1, {})
