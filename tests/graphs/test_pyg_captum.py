"""Guided backpropagation and deconvolution under torch_geometric's `CaptumExplainer`."""

from __future__ import annotations

import warnings

import captum.attr
import pytest
import torch
from torch import nn

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what it warns of while it is imported is not ours
    from torch_geometric.explain import CaptumExplainer, Explainer
    from torch_geometric.nn import GCNConv, SAGEConv

from captum_peer import peer
from graph_references import random_graph

import pyxai.attribution

EDGES = random_graph(3, n_nodes=9)
X = torch.randn(9, 4, generator=torch.Generator().manual_seed(0))
METHODS = pytest.mark.parametrize("name", ["GuidedBackprop", "Deconvolution"])
CONFIG = {"mode": "multiclass_classification", "task_level": "node", "return_type": "raw"}


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            self.first, self.second = GCNConv(4, 8), GCNConv(8, 3)
        self.act = nn.ReLU()

    def forward(self, x, edge_index):
        return self.second(self.act(self.first(x, edge_index)), edge_index)


class Bipartite(nn.Module):
    """One graph for each call, as torch_geometric's models for captum take them."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            self.conv, self.act, self.head = SAGEConv((4, 5), 3), nn.ReLU(), nn.Linear(3, 2)

    def forward(self, sources, goals, edge_index):
        pair = (sources.squeeze(0), goals.squeeze(0))
        return self.head(self.act(self.conv(pair, edge_index))).sum(0, keepdim=True)


@METHODS
@pytest.mark.parametrize(
    "masks", [("attributes", "object"), (None, "object"), ("attributes", None)]
)
def test_captum_explainer_takes_them(name, masks, capfd):
    net = Net().eval()
    nodes, edges = masks
    options = {"node_mask_type": nodes, "edge_mask_type": edges, "model_config": CONFIG}

    def explained(method):
        algorithm = CaptumExplainer(method)
        explainer = Explainer(net, algorithm=algorithm, explanation_type="model", **options)
        return explainer(X, EDGES, index=1)

    found = explained(getattr(pyxai.attribution, name))
    assert capfd.readouterr() == ("", "")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # captum's
        expected = explained(getattr(captum.attr, name))
    for mask in ("node_mask", "edge_mask"):
        assert (mask in found) == (mask in expected)
        if mask in found:
            torch.testing.assert_close(found[mask], expected[mask])
            assert found[mask].any()


def bipartite():
    generator = torch.Generator().manual_seed(2)
    inputs = (
        torch.randn(1, 9, 4, generator=generator), torch.randn(1, 6, 5, generator=generator),
    )  # fmt: skip
    return Bipartite().eval(), inputs, torch.stack([torch.arange(20) % 9, torch.arange(20) % 6])


@METHODS
def test_bipartite_convolution_of_one_graph(name):
    net, inputs, edges = bipartite()
    found = getattr(pyxai.attribution, name)(net).attribute(inputs, 1, edges)
    theirs = getattr(captum.attr, name)(net)
    expected = peer(theirs, inputs, target=1, additional_forward_args=edges)
    for own, wanted in zip(found, expected, strict=True):
        torch.testing.assert_close(own, wanted)
        assert own.any()


def test_a_traced_method_takes_one_graph_too():
    net, inputs, edges = bipartite()
    found, delta = pyxai.attribution.DeepLift(net).attribute(
        inputs, target=1, additional_forward_args=edges, return_convergence_delta=True
    )
    assert delta.abs() < 1e-5
    assert all(part.any() for part in found)
