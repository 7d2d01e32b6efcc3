"""Errors out of the user's model: their own type and words, and what the model was given."""

import pytest
import torch
from contract_cases import example_of, make_inputs, make_net
from contract_runs import NAMES, having, method_of
from torch import nn

import pyxai
from pyxai import metrics
from pyxai.runner.notes import append_to_message

DISTRIBUTIONS = having(lambda method: method.baselines == "distribution")
TABULAR = [name for name in NAMES if not example_of(name).image]


def words(error):
    """Return the message of an error with the notes that are shown below it."""
    return "\n".join([str(error), *getattr(error, "__notes__", [])])


def fails(call, like=None):
    """Return what a call raises; its type and message are those of another call, if given."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 # compared below
        call()
    if like is not None:
        with pytest.raises(type(caught.value)) as own:
            like()
        assert type(caught.value) is type(own.value)
        assert str(caught.value) == str(own.value)
    return words(caught.value)


@pytest.mark.parametrize("name", TABULAR)
def test_a_wrong_number_of_features_is_the_models_own_error(name):
    net, x = make_net(example_of(name)), make_inputs(example_of(name))[:1, :5]
    method, options = method_of(name, net)
    if "baselines" in options:
        options["baselines"] = options["baselines"][:, :5]
    if name == "feature_permutation":
        x = torch.cat([x, x])
    found = fails(lambda: method.attribute(x, target=0, **options))
    assert "shapes cannot be multiplied" in found
    assert "pyxai called the model with rows of inputs: a torch.float64 tensor of shape [" in found
    assert ", 5] on cpu; the model's first parameter is torch.float64 on cpu" in found


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_dtype_is_the_models_own_error(name):
    net, x = make_net(example_of(name)), make_inputs(example_of(name), 2).float()
    method, options = method_of(name, net)
    if "baselines" in options:
        options["baselines"] = options["baselines"].float()
    found = fails(lambda: method.attribute(x, target=0, **options), lambda: net(x))
    assert "inputs: a torch.float32 tensor of shape [" in found
    assert "the model's first parameter is torch.float64 on cpu" in found


class Odd(Exception):
    def __init__(self, code):
        super().__init__(code)
        self.code = code


class Raising(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, rows, options):
        if options["limit"] < 3:
            raise Odd(options["limit"])
        return self.net(rows)


@pytest.mark.parametrize("name", NAMES)
def test_errors_keep_their_type_and_arguments_are_named(name):
    model = Raising(make_net(example_of(name))).eval()
    method, options = method_of(name, model)
    further = ({"limit": 2, "table": torch.ones(7)},)
    with pytest.raises(Odd) as caught:
        method.attribute(
            make_inputs(example_of(name)), target=0, additional_forward_args=further, **options
        )
    assert caught.value.args == (2,)
    assert caught.value.code == 2
    assert "additional_forward_args[0]['limit']: 2" in words(caught.value)
    table = "additional_forward_args[0]['table']: a torch.float32 tensor of shape [7] on cpu"
    assert table in words(caught.value)
    assert words(caught.value).count("pyxai called the model") == 1


@pytest.mark.filterwarnings("ignore::pyxai.PyxaiWarning")
@pytest.mark.parametrize("name", NAMES)
def test_a_single_example_without_its_batch_is_told_so(name):
    example = example_of(name)
    net, x = make_net(example), make_inputs(example, 1)[0]
    method, options = method_of(name, net)
    if name == "occlusion":
        options["sliding_window_shapes"] = ()
    found = fails(lambda: method.attribute(x, target=0, **options))
    images = r"inputs must be images of shape [batch, channels, height, width], got [1, 6, 6]"
    assert "inputs.unsqueeze(0)" in found or images in found
    assert f"{list(x.shape)}" in found


@pytest.mark.filterwarnings("ignore::pyxai.PyxaiWarning")
@pytest.mark.parametrize("outputs", [3, 1])
@pytest.mark.parametrize("name", [n for n in TABULAR if n not in DISTRIBUTIONS])
def test_features_of_one_example_are_no_examples(name, outputs):
    # A layer of as many outputs as inputs, or of one, takes them without complaint.
    net = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, outputs)).double().eval()
    method, options = method_of(name, net)
    if name == "occlusion":
        options["sliding_window_shapes"] = ()
    x = torch.tensor([0.3, -0.4, 0.2], dtype=torch.float64)
    expected = r"^inputs must have examples in dimension 0, got shape \[3\], which the model takes"
    with pytest.raises(ValueError, match=expected):
        method.attribute(x, **options)


def test_scalars_are_examples_without_features():
    found = pyxai.attribution.IntegratedGradients(torch.square).attribute(torch.tensor([1.0, 3.0]))
    torch.testing.assert_close(found, torch.tensor([1.0, 9.0]))


def test_metrics_say_what_the_model_was_given():
    net, x = make_net(example_of("saliency")), torch.ones(2, 5, dtype=torch.float64)

    def perturb(rows):
        return rows * 0.1, rows * 0.9

    saliency = pyxai.attribution.Saliency(net).attribute
    for call in (
        lambda: metrics.insertion(net, x, x, target=0),
        lambda: metrics.deletion(net, x, x, target=0),
        lambda: metrics.sufficiency(net, x, x, target=0),
        lambda: metrics.completeness(net, x, x, target=0),
        lambda: metrics.softmax_auc(net, x, x, target=0),
        lambda: metrics.infidelity(net, perturb, x, x, target=0),
        lambda: metrics.sensitivity_max(saliency, x, target=0),
        lambda: pyxai.Game(net, x, target=0).values(torch.ones(1, 5, dtype=torch.bool)),
        lambda: pyxai.taylor.harsanyi_dividends(net, x, target=0),
        lambda: pyxai.taylor.taylor_effects(net, x, target=0),
    ):
        found = fails(call)
        assert "inputs: a torch.float64 tensor of shape [" in found
        assert "shapes cannot be multiplied" in found


class Summing(nn.Module):
    """A layer of a graph net."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x, edge_index, edge_weight):
        sent = self.layer(x)[edge_index[0]] * edge_weight[:, None]
        return torch.zeros(len(x), 3).index_add(0, edge_index[1], sent)


def test_models_of_graphs_are_given_graphs():
    explainer = pyxai.graphs.GraphExplainer(Summing())
    edges = torch.tensor([[0, 1, 2], [1, 2, 0]])
    found = fails(lambda: explainer.explain_node(torch.ones(3, 5), edges, 0, target=1))
    assert "shapes cannot be multiplied" in found
    given = (
        "pyxai called the model with x: a torch.float32 tensor of shape [3, 5] on cpu; edge_index"
    )
    assert given in found
    assert found.count("pyxai called") == 1


def test_before_notes_the_line_joins_the_message():
    error = ValueError("first", 3)
    append_to_message(error, "second")
    assert error.args == ("first\nsecond", 3)
    empty = RuntimeError()
    append_to_message(empty, "second")
    assert str(empty) == "\nsecond"


def test_a_target_that_does_not_fit_is_no_word_on_the_batch_dimension():
    model = nn.Linear(4, 3).double()  # takes inputs of any number of dimensions
    with pytest.raises(ValueError, match="target must be in") as caught:
        pyxai.explain(model, torch.ones(2, 4).double(), method="integrated_gradients", target=5)
    assert not getattr(caught.value, "__notes__", [])
