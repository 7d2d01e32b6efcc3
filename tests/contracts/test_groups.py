"""What every method keeps that scores groups of features, by sums or as players of its own."""

import pytest
import torch
from contract_cases import example_of, make_inputs, make_net
from contract_runs import NAMES, assert_close, makes, parts, run, summing, with_option
from torch import nn

import pyxai
from pyxai import attribution
from pyxai.masks import sum_groups

SUMMING = summing(images=True)
OWN = with_option("feature_mask")
MASK = torch.tensor([[0, 0, 4, 4, 4, 2]])


def test_every_method_takes_groups_but_those_of_windows_and_regions():
    own = {name for name in NAMES if "feature_mask" in makes(name).option_names()}
    assert not own & set(SUMMING)
    assert set(NAMES) - own - set(SUMMING) == {"occlusion", "xrai"}


def question(name):
    """Return model, inputs, a target for each row, and the attributions without groups."""
    example = example_of(name)
    model, x = make_net(example), make_inputs(example, 3)
    target = torch.tensor([0, 2, 1])
    return model, x, target, run(name, model, x, target)


@pytest.mark.parametrize("name", SUMMING)
def test_features_alone_are_groups_that_change_nothing(name):
    model, x, target, plain = question(name)
    (values,) = parts(plain.attributions)
    alone = torch.arange(values[0].numel()).view(1, *values.shape[1:])
    found = run(name, model, x, target, feature_mask=alone)
    assert torch.equal(found.attributions, values)
    assert torch.equal(found.group_scores(), values.flatten(1))
    for one, other in ((found.error, plain.error), (found.outputs, plain.outputs)):
        assert one is other is None or torch.equal(one, other)


@pytest.mark.parametrize("name", SUMMING)
def test_groups_have_the_sums_of_their_features(name):
    model, x, target, plain = question(name)
    (values,) = parts(plain.attributions)
    owners = torch.arange(values[0].numel()).view(values.shape[1:]) // 4
    mask = torch.stack([owners, owners.flip(-1) + 1, owners * 0])  # each row has its own
    found = run(name, model, x, target, feature_mask=mask)
    assert_close(found.attributions, sum_groups(values, mask))
    scores = found.group_scores()
    assert_close(scores.sum(1), values.flatten(1).sum(1))
    for group in range(scores.shape[1]):
        assert_close(scores[:, group], (values * (mask == group)).flatten(1).sum(1))
    if plain.convergence_delta is not None:
        assert torch.equal(found.convergence_delta, plain.convergence_delta)
    again = plain.grouped(mask)
    assert torch.equal(again.attributions, found.attributions)
    assert torch.equal(found.grouped(mask).attributions, found.attributions)
    for row in range(3):
        assert torch.equal(found[row].attributions, found.attributions[row : row + 1])
        held = scores[row, mask[row].unique()]
        assert torch.equal(found[row].group_scores()[0], held)


@pytest.mark.parametrize("name", OWN)
def test_methods_with_players_of_their_own_have_one_number_for_each(name):
    example = example_of(name)
    model, x = make_net(example), make_inputs(example, 3)
    found = run(name, model, x, feature_mask=MASK)
    assert torch.equal(found.group_scores(), found.attributions[:, [0, 5, 2]])
    if name == "greedy_pig":  # ranks
        with pytest.raises(ValueError, match="feature_mask must be of attributions that add up"):
            found.grouped(MASK)
        return
    assert torch.equal(found.grouped(MASK).attributions, found.attributions)
    whole = found.grouped(torch.zeros(1, 6))
    assert_close(whole.group_scores()[:, 0], found.group_scores().sum(1))
    with pytest.raises(ValueError, match="feature_mask must keep the groups by which the method"):
        found.grouped(torch.arange(6) // 3)


def test_what_explains_a_neuron_is_not_taken_for_all_outputs():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 3))  # as many outputs as features
    x = torch.randn(2, 3)
    options = {"layer": net[0], "neuron_selector": 1}
    names = ["a", "b", "c"]
    found = pyxai.explain(net, x, method=attribution.NeuronGradient, feature_names=names, **options)
    assert list(found.to_pandas().columns) == names
    by_object = pyxai.explain(
        net, x, method=attribution.NeuronGradient(net, net[0]), neuron_selector=1
    )
    assert by_object.to_pandas().shape == (2, 3)
    assert found.to_pandas().shape == (2, 3)
    assert found.group_scores().shape == (2, 3)
    found[0].plot("bar")


LAYERS = {
    "LayerActivation": {},
    "LayerConductance": {"target": 1},
    "LayerGradientXActivation": {"target": 1},
    "LayerIntegratedGradients": {"target": 1},
    "LayerLRP": {"target": 1},
    "NeuronGradient": {"neuron_selector": 2},
    "NeuronIntegratedGradients": {"neuron_selector": 2},
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_and_neurons_are_grouped_by_the_form_of_their_attributions(name):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3)).double().eval()
    x = torch.randn(3, 6, dtype=torch.float64)
    method, options = getattr(attribution, name), {"layer": net[0], **LAYERS[name]}
    plain = pyxai.explain(net, x, method=method, **options)
    mask = torch.tensor([[0, 1, 1, 0, 2, 2], [0, 0, 1, 1, 1, 1], [1, 1, 0, 0, 0, 0]])
    mask = mask[:, : plain.attributions.shape[1]]
    names = ["a", "b", "c"][: int(mask.max()) + 1]
    found = pyxai.explain(net, x, method=method, feature_mask=mask, feature_names=names, **options)
    assert torch.equal(found.attributions, sum_groups(plain.attributions, mask))
    assert_close(found.group_scores().sum(1), plain.attributions.sum(1))
    assert {word for word, _ in found[1].top()} == {"a", "b"}
    assert found[2].options["feature_mask"].tolist() == mask[2:].tolist()


@pytest.mark.parametrize("name", ["LayerFeatureAblation", "LayerFeaturePermutation"])
def test_layers_that_are_ablated_by_groups_take_no_sums(name):
    net = nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 3))
    with pytest.raises(TypeError, match=r"options of layer_.* must be among .*layer_mask"):
        pyxai.explain(
            net,
            torch.ones(2, 6),
            method=getattr(attribution, name),
            layer=net[0],
            target=0,
            feature_mask=torch.zeros(1, 4),
        )


def test_players_of_a_layer_count_once():
    net = nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 3))
    found = pyxai.explain(
        net,
        torch.ones(2, 6),
        method=attribution.LayerFeatureAblation,
        layer=net[0],
        target=0,
        layer_mask=torch.tensor([[0, 0, 1, 1], [0, 1, 1, 1]]),
        feature_names=["a", "b"],
    )
    assert found.group_scores().shape == (2, 2)
    assert torch.equal(found[1].group_scores(), found.attributions[1:, [0, 1]])
    assert found[1].options["layer_mask"].tolist() == [[0, 1, 1, 1]]
    assert {name for name, _ in found[1].top()} == {"a", "b"}
