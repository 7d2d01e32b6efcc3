"""Every argument of every public function and method refuses, by its name, what is of another kind.

What is tried follows from the value or the default of the argument: words, fractions and negative
numbers for counts, NaN for numbers, unknown names for names, words and numbers for flags, and for
tensors words, complex numbers and another device. An argument that is taken all the same is listed.
"""

import inspect
import re

import bad_values
import pytest
from contract_cases import example_of, make_inputs, make_net
from contract_runs import NAMES, run
from public_calls import CALLS

from pyxai import ops, registry

NOT_FINITE = {  # arithmetic on what is not finite is arithmetic
    (name, argument, "NaN")
    for name in ops.__all__
    if name in CALLS
    for argument in CALLS[name].arguments
}
TAKEN = NOT_FINITE | {
    ("Constant", "value", "a word"),  # read when it meets inputs
    ("Constant", "value", "NaN"),
    ("weighted_adjacency", "weights", "NaN"),
    ("normalised_weights", "weights", "NaN"),
    # Refused by torch or by the model.
    ("GraphGame", "x", "complex numbers"),
    ("allocation_weights", "kappa", "a word"),
    ("allocation_weights", "kappa", "complex numbers"),
    ("path_points", "nodes", "a word"),
    ("LayerAttribution.interpolate", "layer_attribution", "complex numbers"),
    ("LayerAttribution.interpolate", "layer_attribution", "NaN"),
    ("LayerAttribution.interpolate", "interpolate_mode", "an unknown name"),
}
# Where the name in the message is that of the option that users of methods know.
RENAMED = {("path_nodes", "rule"): "method", ("path_nodes", "n_nodes"): "n_steps"}
PASSED_ON = {"GraphExplainer.compress", "GraphExplainer.explain_node"}
PASSED_ON |= {name for name in CALLS if name.startswith("FunctionalInformation.")}


def broken():
    for name, call in CALLS.items():
        for argument, value in {**call.arguments, **call.defaults()}.items():
            if name in PASSED_ON and argument == "method":  # which method of the object to call
                continue
            for kind, bad in bad_values.of(value):
                if (name, argument, kind) not in TAKEN:
                    yield pytest.param(name, argument, bad, id=f"{name}-{argument}-{kind}")


@pytest.mark.parametrize("name", CALLS)
def test_the_good_call_works(name):
    CALLS[name]()


@pytest.mark.parametrize(("name", "argument", "bad"), list(broken()))
def test_arguments_of_another_kind_are_named(name, argument, bad):
    shown = RENAMED.get((name, argument), argument)
    if name in PASSED_ON and argument == "show_progress":
        shown = "progress"
    with pytest.raises((TypeError, ValueError), match=f"^{shown} must .*got|^{shown}: "):
        CALLS[name](**{argument: bad})


def tensors(call):
    return [each for each, value in call.arguments.items() if hasattr(value, "to")]


@pytest.mark.parametrize(
    ("name", "argument"),
    [
        (name, argument)
        for name in ops.__all__
        if name in CALLS and len(tensors(CALLS[name])) > 1
        for argument in tensors(CALLS[name])
        # Nodes and weights of a quadrature are brought to where they are needed.
        if argument not in ("nodes", "weights") or name in ("soft_perturb", "table_sums")
        if name != "path_moments" and argument != "scores"
    ],
)
def test_tensors_on_two_devices_are_named(name, argument):
    call = CALLS[name]
    with pytest.raises(ValueError, match=r"^\w+ must be on (meta|cpu), got (meta|cpu)"):
        call(**{argument: call.arguments[argument].to("meta")})


@pytest.mark.parametrize("name", [name for name in ops.__all__ if name in CALLS])
def test_backends_that_do_not_exist_are_named(name):
    if "backend" in inspect.signature(CALLS[name].function).parameters:
        with pytest.raises(ValueError, match=r"^backend must be one of .*got 'abacus'"):
            CALLS[name](backend="abacus")


# Methods. An option without a default value that tells its kind has one here.
KINDS = {
    **dict.fromkeys(("internal_batch_size", "n_select", "shortlist", "max_evals"), 1),
    **dict.fromkeys(("nt_samples_batch_size", "n_samples"), 1),
    **dict.fromkeys(("tolerance", "epsilon"), 0.1),
}
# What makes a method read an option that it does not read by itself.
READ = {
    ("expected_gradients", "max_steps"): {"tolerance": 0.1},
    ("expected_gradients", "seed"): {"n_samples": 4},
    ("greedy_pig", "max_steps"): {"tolerance": 0.1},
    ("integrated_gradients", "max_steps"): {"tolerance": 0.1},
    **{("lrp", each): {"rule": "alpha_beta"} for each in ("alpha", "beta")},
    ("lrp", "gamma"): {"rule": "gamma"},
    **{("lrp", each): {"rule": "z_box"} for each in ("low", "high")},
}
# `explain` sets these by itself, or says of them what they are.
OF_EXPLAIN = ("method", "return_convergence_delta", "attribution_method")


def broken_options():
    for name in NAMES:
        method = registry.get(name)
        parameters = {
            **inspect.signature(method.factory).parameters,
            **inspect.signature(method.cls.attribute).parameters,
        }
        for option, parameter in parameters.items():
            value = KINDS.get(option) if parameter.default is None else parameter.default
            for kind, bad in bad_values.of(value) if option not in OF_EXPLAIN else ():
                yield pytest.param(name, option, bad, id=f"{name}-{option}-{kind}")


@pytest.mark.parametrize(("name", "option", "bad"), list(broken_options()))
def test_options_of_another_kind_are_named(name, option, bad):
    example = example_of(name)
    changes = {**READ.get((name, option), {}), option: bad}
    with pytest.raises((TypeError, ValueError), match=f"^{option} must .*got"):
        run(name, make_net(example), make_inputs(example, 2), **changes)


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in NAMES
        if "return_convergence_delta"
        in inspect.signature(registry.get(name).cls.attribute).parameters
    ],
)
def test_the_flag_for_a_delta_is_a_flag(name):
    example = example_of(name)
    model, x = make_net(example), make_inputs(example, 2)
    method = registry.get(name).factory(model)
    needed = {"baselines": x} if registry.get(name).baselines == "distribution" else {}
    for bad in ("no", 1):
        message = re.escape(f"return_convergence_delta must be True or False, got {bad!r}")
        with pytest.raises(TypeError, match=message):
            method.attribute(x, target=0, return_convergence_delta=bad, **needed)
