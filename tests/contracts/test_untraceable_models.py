"""Models whose Python looks at values: a method answers as ever, or one error says why."""

import pytest
import torch
from checking_models import asserts_with_words
from contract_cases import example_of, make_inputs, make_net
from contract_runs import NAMES, assert_close, parts, run, with_option
from torch import nn

from pyxai import UnsupportedOperationError

# Of what they give more than values and gradients is needed: a graph of ops.
TRACED = {"contextual_decomposition", "deep_lift", "deep_lift_shap", "deep_taylor", "lrp"}


class Around(nn.Module):
    """Runs a net as a function of it and of the arguments says."""

    def __init__(self, net, function):
        super().__init__()
        self.linear = net
        self.function = function

    def forward(self, *args):
        return self.function(self, *args)


def branches(model, x):
    return model.linear(x) if x.abs().sum() < 1e9 else model.linear(-x)


def explained(name, function, **options):
    example = example_of(name)
    torch.manual_seed(3)
    given = {**options, **({"seed": 0} if name in with_option("seed") else {})}
    return run(name, Around(make_net(example), function), make_inputs(example), **given)


def plain(model, x):
    return model.linear(x)


@pytest.mark.parametrize("name", NAMES)
def test_values_that_decide_are_named_and_those_that_only_raise_are_not(name, capfd):
    expected = explained(name, plain)
    for found in (explained(name, asserts_with_words), _of_branches(name)):
        if found is not None:
            for own, wanted in zip(
                parts(found.attributions), parts(expected.attributions), strict=True
            ):
                assert_close(own, wanted)
    assert capfd.readouterr() == ("", "")


def _of_branches(name):
    if name not in TRACED:
        return explained(name, branches)
    with pytest.raises(UnsupportedOperationError, match=r"value of a tensor.* in branches: return"):
        explained(name, branches)
    return None


@pytest.mark.parametrize("name", with_option("additional_forward_args"))
def test_a_callable_among_the_further_arguments(name):
    expected = explained(name, lambda model, x: model.linear(x.sin()))
    found = explained(
        name,
        lambda model, x, function: model.linear(function(x)),
        additional_forward_args=(torch.sin,),
    )
    for own, wanted in zip(parts(found.attributions), parts(expected.attributions), strict=True):
        assert_close(own, wanted)
