"""Deep SHAP at layers: captum's, and the mean of DeepLIFT over baselines."""

import captum.attr as captum
import pytest
import torch
from layer_cases import LAYERS, assert_same, make, on_float_layers
from torch import nn

import pyxai
from pyxai.attribution import LayerDeepLift, LayerDeepLiftShap

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:captum")


@on_float_layers
def test_equals_captum(kind, name, at_input):
    case = make(kind)
    given = (case.inputs, case.background, 1)
    theirs = captum.LayerDeepLiftShap(case.model, case.layer(name)).attribute(
        *given, attribute_to_layer_input=at_input
    )
    ours = LayerDeepLiftShap(case.model, name).attribute(*given, attribute_to_layer_input=at_input)
    assert_same(ours, theirs)


@pytest.mark.parametrize(
    ("kind", "name", "at_input"), [case for case in LAYERS if case[0] != "bag"]
)  # whose weights belong to the rows, see below
def test_is_the_mean_over_baselines(kind, name, at_input):
    case = make(kind)
    ours, delta = LayerDeepLiftShap(case.model, name).attribute(
        case.inputs,
        case.background,
        1,
        return_convergence_delta=True,
        attribute_to_layer_input=at_input,
    )
    rows = case.background if isinstance(case.background, tuple) else (case.background,)
    each = []
    for number in range(3):
        start = tuple(part[number : number + 1] for part in rows)
        each.append(
            LayerDeepLift(case.model, name).attribute(
                case.inputs,
                start if len(start) > 1 else start[0],
                1,
                attribute_to_layer_input=at_input,
            )
        )
    assert_same(ours, torch.stack(each).mean(0))
    assert delta.shape == (12,)
    assert delta.abs().max() < 1e-5


def test_arguments_of_the_rows_go_with_the_baselines_too():
    case = make("bag")
    method = LayerDeepLiftShap(case.model, "hidden")
    target = torch.tensor([0, 1, 2, 1])
    given = (case.inputs, case.background, target, case.arguments)
    found, delta = method.attribute(*given, return_convergence_delta=True)
    each, weights = [], case.arguments
    for row in range(4):
        shared = pyxai.Shared(weights[row])  # for this example and all that it is compared with
        one = slice(row, row + 1)
        each.append(method.attribute(case.inputs[one], case.background, target[one], shared))
        before, ends = (case.model(ids, weights[row])[:, target[row]] for ids in given[1::-1])
        sums = found[row].sum() - delta.view(4, 3)[row].mean()
        torch.testing.assert_close(sums, ends[row] - before.mean())
    assert_same(found, torch.cat(each))
    assert delta.abs().max() < 1e-5


class Beside(nn.Module):
    """Two layers, with a row of weights for each example on the way to both."""

    def __init__(self):
        super().__init__()
        self.hidden, self.act, self.head = nn.Linear(6, 5), nn.ReLU(), nn.Linear(8, 2)

    def forward(self, x, weights):
        inner = self.act(self.hidden(torch.cat([x, weights], 1)))
        return self.head(torch.cat([inner, weights], 1))


@pytest.mark.parametrize("layer", ["hidden", "act"])
def test_arguments_of_the_rows_equal_captum(layer):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net, x, weights, background = Beside().eval(), *map(torch.randn, [(4, 3)] * 3)
    given = (x, background[:2], torch.tensor([0, 1, 1, 0]), (weights,), True)
    ours, delta = LayerDeepLiftShap(net, layer).attribute(*given)
    theirs, their_delta = captum.LayerDeepLiftShap(net, getattr(net, layer)).attribute(*given)
    assert_same(ours, theirs)
    assert_same(delta, their_delta)


def test_targets_that_do_not_fit_are_counted_for_the_whole_batch():
    case = make("bag")
    with pytest.raises(ValueError, match="target must have one entry per example, 4, got 3"):
        LayerDeepLiftShap(case.model, "hidden").attribute(
            case.inputs, case.background, [0, 1, 0], case.arguments
        )


def test_an_argument_that_all_share_is_given_to_the_baselines_as_it_is():
    case = make("bag")
    method = LayerDeepLiftShap(case.model, "hidden")
    shared = pyxai.Shared(case.arguments[0])
    found, delta = method.attribute(
        case.inputs, case.background, 1, shared, return_convergence_delta=True
    )
    assert found.shape == (4, 5)
    assert delta.abs().max() < 1e-5
