"""A default can be given: no function tells a value from the same value left out."""

import inspect
import warnings
from dataclasses import fields, is_dataclass

import pytest
import torch
from contract_cases import example_of, make_background, make_inputs, make_net, make_options
from contract_runs import NAMES
from public_calls import CALLS
from torch import Tensor

from pyxai import registry
from pyxai.covariance import Covariance


def assert_same(left, right):
    """Compare results bit for bit, whatever they are made of."""
    assert type(left) is type(right)
    if isinstance(left, Tensor):
        assert left.dtype == right.dtype
        torch.testing.assert_close(left, right, rtol=0, atol=0, equal_nan=True)
    elif is_dataclass(left):
        for field in fields(left):
            if field.name not in ("game", "options"):
                assert_same(getattr(left, field.name), getattr(right, field.name))
    elif isinstance(left, (tuple, list)):
        assert len(left) == len(right)
        for one, other in zip(left, right, strict=True):
            assert_same(one, other)
    elif isinstance(left, dict):
        assert_same(list(left.items()), list(right.items()))
    elif isinstance(left, Covariance):
        assert_same(left.diagonal(), right.diagonal())
    elif isinstance(left, (int, float, str, bytes, type(None), torch.dtype)):
        assert left == right or (left != left and right != right)  # NaN


@pytest.mark.parametrize("name", CALLS)
def test_defaults_of_functions_can_be_given(name):
    call = CALLS[name]
    left_out = {"device_ids"}
    given = {each: value for each, value in call.defaults().items() if each not in left_out}
    assert_same(call(**given), call())


@pytest.mark.parametrize("name", NAMES)
def test_defaults_of_methods_can_be_given(name):
    example, entry = example_of(name), registry.get(name)
    model, x = make_net(example), make_inputs(example, 3)
    options = make_options(example, model)
    if entry.baselines == "distribution":
        options["baselines"] = make_background(example)

    def explained(spelled_out):
        constructor = defaults(entry.factory) if spelled_out else {}
        constructor |= {key: value for key, value in options.items() if key in known(entry.factory)}
        method = entry.factory(model, **constructor)
        rest = {key: value for key, value in options.items() if key not in constructor}
        arguments = {**(defaults(method.attribute) if spelled_out else {}), **rest, "target": 1}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return method.attribute(x, **arguments)

    assert_same(explained(True), explained(False))


def known(function):
    return inspect.signature(function).parameters


def defaults(function):
    return {
        each.name: each.default
        for each in known(function).values()
        if each.default is not each.empty
    }
