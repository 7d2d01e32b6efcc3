"""Inputs of whole numbers: whoever needs gradients says so by name; all others explain them."""

import pytest
import torch
from contract_cases import example_of, make_background, make_inputs, make_net
from contract_runs import NAMES, assert_close, method_of, run
from public_calls import CALLS
from torch import nn

from pyxai import registry
from pyxai.decomposition import BuildUp, GroupOcclusion

ASKED = r"^inputs must be floating point for gradients .*, got torch\.int64"
WITHOUT_GRADIENTS = {
    *("feature_ablation", "feature_permutation", "occlusion", "prediction_difference"),
    *("kernel_shap", "lime", "partition_shap", "shapley_value_sampling", "shapley_values"),
    *("contextual_decomposition", "grad_cam", "layer_grad_cam"),
}


@pytest.mark.parametrize("name", [name for name in NAMES if name not in WITHOUT_GRADIENTS])
def test_methods_that_need_gradients_name_what_has_none(name):
    example = example_of(name)
    model, x = make_net(example), make_inputs(example)
    method, options = method_of(name, model)
    with pytest.raises(TypeError, match=ASKED):
        method.attribute(x.long(), target=0, **options)


class Widened(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x.double())


@pytest.mark.parametrize("name", sorted(WITHOUT_GRADIENTS))
def test_other_methods_explain_whole_numbers_as_what_they_are(name):
    example = example_of(name)
    model, x = Widened(make_net(example)).eval(), 3 * make_inputs(example)

    def explained(dtype):
        given = registry.get(name).baselines == "distribution"
        options = {"baselines": (3 * make_background(example)).long().to(dtype)} if given else {}
        return run(name, model, x.long().to(dtype), **options).attributions.double()

    # What has no floating dtype of its own is answered in float32.
    assert_close(explained(torch.int64), explained(torch.float64), 1e-6)


@pytest.mark.parametrize("name", ["rrr_loss", "expected_gradients_loss"])
def test_losses_of_gradients_name_what_has_none(name):
    with pytest.raises(TypeError, match=ASKED):
        CALLS[name](inputs=CALLS[name].arguments["inputs"].long())


@pytest.mark.parametrize("make", [BuildUp, GroupOcclusion])
def test_scores_of_groups_name_what_has_no_gradients(make):
    net = nn.Linear(3, 2)
    with pytest.raises(TypeError, match=ASKED):
        make(net).scores(torch.ones(2, 3).long(), torch.ones(1, 1, 3))
