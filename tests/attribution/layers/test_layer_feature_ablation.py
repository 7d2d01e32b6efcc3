"""Ablation of layers: captum's, and that of a closed form."""

import captum.attr as captum
import pytest
import torch
from layer_cases import assert_same, make, on_layers

from pyxai.attribution import LayerFeatureAblation, LayerFeaturePermutation

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:captum")


@on_layers
def test_equals_captum(kind, name, at_input):
    case = make(kind)
    given = {"target": 1, "attribute_to_layer_input": at_input}
    given["additional_forward_args"] = case.arguments
    for start in (None, 0.5):
        assert_same(
            LayerFeatureAblation(case.model, name).attribute(case.inputs, start, **given),
            captum.LayerFeatureAblation(case.model, case.layer(name)).attribute(
                case.inputs, start, **given
            ),
        )


def test_groups_fall_together():
    case = make("mlp")
    mask = torch.tensor([[0, 0, 1, 1, 1]])
    given = {"target": 2, "layer_mask": mask, "attribute_to_layer_input": True}
    found = LayerFeatureAblation(case.model, "4").attribute(case.inputs, **given)
    share = (case.model[4].weight[2] * case.model[:4](case.inputs)).detach()
    first = share[:, :2].sum(1, keepdim=True).expand(-1, 2)
    assert_same(found, torch.cat([first, share[:, 2:].sum(1, keepdim=True).expand(-1, 3)], 1))


def test_sizes_of_passes_do_not_matter():
    case = make("cnn")
    method = LayerFeatureAblation(case.model.double(), "1")
    x = case.inputs.double()
    parts = method.attribute(x, target=1, perturbations_per_eval=3)
    torch.testing.assert_close(parts, method.attribute(x, target=1), rtol=1e-12, atol=1e-12)


def test_arguments_that_do_not_fit_the_layer_are_named_as_they_were_given():
    case = make("mlp")
    method = LayerFeatureAblation(case.model, "0")
    with pytest.raises(ValueError, match=r"layer_mask must broadcast to shape \[4, 6\]"):
        method.attribute(case.inputs, target=0, layer_mask=torch.zeros(1, 5).long())
    with pytest.raises(ValueError, match="layer_baselines must be a number or have shape"):
        method.attribute(case.inputs, torch.zeros(1, 5), target=0)
    shuffled = LayerFeaturePermutation(case.model, "0")
    with pytest.raises(ValueError, match="layer_mask must broadcast to shape"):
        shuffled.attribute(case.inputs, target=0, layer_mask=torch.zeros(1, 5).long())
