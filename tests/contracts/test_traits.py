"""What the registry says of a method is pinned, and true in both directions.

The contracts run over methods that have a trait: a wrong one would take tests away in silence.
"""

import pytest
import torch
from contract_cases import example_of, make_background, make_inputs, make_net
from contract_runs import NAMES, having, makes, parts, run, with_option

from pyxai import registry

AXIOMS = {
    "C": "completeness",
    "N": "null_player",
    "S": "symmetry",
    "L": "linearity",
    "I": "implementation_invariance",
}
# Class, complete, baselines, stochastic, whole_batch, needs, axioms. A method that is not listed
# is held to the tests below alone.
TRAITS = {
    "blur_ig": ("BlurIG", False, "none", False, False, "callable", ""),
    "contextual_decomposition": (
        *("ContextualDecomposition", False, "none", False, False, "module", "NS"),
    ),
    "deconvolution": ("Deconvolution", False, "none", False, False, "module", "NS"),
    "deep_lift": ("DeepLift", True, "optional", False, False, "module", "CNL"),
    "deep_lift_shap": ("DeepLiftShap", True, "distribution", False, False, "module", "CNL"),
    "deep_taylor": ("DeepTaylor", False, "none", False, False, "module", ""),
    "expected_gradients": (
        *("ExpectedGradients", True, "distribution", False, False, "callable", "CILNS"),
    ),
    "feature_ablation": ("FeatureAblation", False, "optional", False, False, "callable", "ILNS"),
    "feature_permutation": ("FeaturePermutation", False, "none", True, True, "callable", "ILN"),
    "functional_information": (
        *("FunctionalInformation", False, "none", True, False, "callable", "IN"),
    ),
    "grad_cam": ("GradCam", False, "none", False, False, "module", ""),
    "gradient_shap": ("GradientShap", False, "distribution", True, False, "callable", "ILN"),
    "greedy_pig": ("GreedyPIG", False, "optional", False, False, "callable", "I"),
    "guided_backprop": ("GuidedBackprop", False, "none", False, False, "module", "NS"),
    "guided_grad_cam": ("GuidedGradCam", False, "none", False, False, "module", ""),
    "guided_ig": ("GuidedIG", True, "optional", False, False, "callable", "IN"),
    "idgi": ("IDGI", True, "optional", False, False, "callable", "CINS"),
    "input_x_gradient": ("InputXGradient", False, "optional", False, False, "callable", "ILNS"),
    "integrated_gradients": (
        *("IntegratedGradients", True, "optional", False, False, "callable", "CILNS"),
    ),
    "kernel_shap": ("KernelShap", True, "optional", True, False, "callable", "CIL"),
    "layer_grad_cam": ("LayerGradCam", False, "none", False, False, "callable", ""),
    "lime": ("Lime", False, "optional", True, False, "callable", "I"),
    "lrp": ("LRP", False, "none", False, False, "module", "NS"),
    "noise_tunnel": ("NoiseTunnel", False, "none", True, False, "callable", ""),
    "occlusion": ("Occlusion", False, "optional", False, False, "callable", "IL"),
    "prediction_difference": (
        *("PredictionDifference", False, "distribution", False, False, "callable", "ILNS"),
    ),
    "partition_shap": ("PartitionShap", True, "optional", False, False, "callable", "CILN"),
    "saliency": ("Saliency", False, "none", False, False, "callable", "INS"),
    "shapley_value_sampling": (
        *("ShapleyValueSampling", True, "optional", True, False, "callable", "CILN"),
    ),
    "shapley_values": ("ShapleyValues", True, "optional", False, False, "callable", "CILNS"),
    "xrai": ("XRAI", False, "optional", False, False, "callable", ""),
}
# Which methods take these options of `attribute`, images and layers left out.
OPTIONS = {
    "feature_mask": {
        *("contextual_decomposition", "feature_ablation", "feature_permutation"),
        *("functional_information", "greedy_pig"),
        *("kernel_shap", "lime", "prediction_difference", "shapley_value_sampling"),
        "shapley_values",
    },
    "example_ids": {"expected_gradients", "gradient_shap", "noise_tunnel"},
    "seed": {
        *("expected_gradients", "feature_permutation", "functional_information", "gradient_shap"),
        *("kernel_shap", "lime", "noise_tunnel", "prediction_difference", "shapley_values"),
        "shapley_value_sampling",
    },
}
EVERY_OUTPUT = {"kernel_shap", "lime", "partition_shap", "shapley_value_sampling", "shapley_values"}


@pytest.mark.parametrize("name", TRAITS)
def test_traits_are_those_listed(name):
    cls, complete, baselines, stochastic, whole_batch, needs, axioms = TRAITS[name]
    method = registry.get(name)
    assert method.cls.__name__ == cls
    assert (method.complete, method.stochastic) == (complete, stochastic)
    assert (method.baselines, method.needs) == (baselines, needs)
    assert method.whole_batch is whole_batch
    assert set(method.axioms) == {AXIOMS[letter] for letter in axioms}


def test_options_that_choose_tests_are_those_listed():
    for option, names in OPTIONS.items():
        assert set(with_option(option)) & set(TRAITS) == names, option
    assert {name for name in TRAITS if makes(name).explains_every_output} == EVERY_OUTPUT


@pytest.mark.parametrize("name", having(lambda method: method.whole_batch))
def test_other_rows_matter_where_the_whole_batch_is_asked(name):
    example = example_of(name)
    model, x = make_net(example), make_inputs(example, 6)
    whole, half = (run(name, model, rows).attributions for rows in (x, x[:3]))
    assert not torch.allclose(whole[:3], half)


def gaps(name, result, model, x):
    """Sum of the attributions less the difference of the outputs, [batch]."""
    total = sum(part.flatten(1).sum(1) for part in parts(result.attributions))
    start = torch.zeros_like(x[:1])
    if registry.get(name).baselines in ("required", "distribution"):
        start = make_background(example_of(name))
    return (total - (model(x)[:, 0] - model(start)[:, 0].mean())).detach()


@pytest.mark.parametrize("name", having(lambda method: not method.complete))
def test_methods_that_do_not_promise_completeness_have_a_gap(name):
    example = example_of(name)
    model, x = make_net(example), make_inputs(example)
    result = run(name, model, x)
    assert (gaps(name, result, model, x).abs() > 1e-6).any()
    assert "completeness" not in registry.get(name).axioms


@pytest.mark.parametrize(
    "name", [name for name in with_option("seed") if not registry.get(name).stochastic]
)
def test_seeds_do_not_matter_where_nothing_is_drawn(name):
    example = example_of(name)
    model, x = make_net(example), make_inputs(example)
    zero, one = (run(name, model, x, seed=seed).attributions for seed in (0, 1))
    assert torch.equal(zero, one)


@pytest.mark.parametrize("name", having(lambda method: method.baselines == "optional"))
def test_baselines_that_may_be_given_matter_and_are_0_otherwise(name):
    example = example_of(name)
    model, x = make_net(example), make_inputs(example)
    default, zero, other = (
        run(name, model, x, **changes).attributions
        for changes in ({}, {"baselines": 0.0}, {"baselines": 0.25})
    )
    assert torch.equal(default, zero) or name == "xrai"  # which averages over black and white
    assert not torch.allclose(zero, other)


@pytest.mark.parametrize(
    "name", having(lambda method: method.baselines in ("required", "distribution"))
)
def test_baselines_that_are_needed_are_asked_for(name):
    example = example_of(name)
    with pytest.raises((TypeError, ValueError), match=r"baselines|background"):
        run(name, make_net(example), make_inputs(example), baselines=None)


@pytest.mark.parametrize("name", having(lambda method: method.needs == "module"))
def test_functions_are_refused_by_what_looks_inside_a_module(name):
    example = example_of(name)
    net = make_net(example)
    with pytest.raises(TypeError, match=r"(model|forward_func) must be .*got"):
        run(name, lambda x: net(x), make_inputs(example))


def test_every_method_has_the_traits_that_choose_tests():
    assert set(TRAITS) <= set(NAMES)
    for name in NAMES:
        method = registry.get(name)
        assert isinstance(method.cls, type)
        assert method.baselines in ("none", "optional", "required", "distribution")
        assert method.needs in ("callable", "module")
        assert {type(method.complete), type(method.stochastic), type(method.whole_batch)} == {bool}
