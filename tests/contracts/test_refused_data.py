"""What data sets, imputers, laws, covariances, files and traced models refuse, check by check."""

from dataclasses import replace
from unittest.mock import Mock

import pytest
import torch
from torch import nn

from pyxai import UnsupportedOperationError, datasets
from pyxai.attribution import LRP
from pyxai.covariance import BandedCovariance, DenseCovariance, ToeplitzCovariance, toeplitz
from pyxai.decomposition import ACD, Hierarchy
from pyxai.graphs.question_checks import check_targets
from pyxai.imputers import VAEAC, MarkovChain
from pyxai.lex.likelihoods import CategoricalLikelihood, GaussianLikelihood
from pyxai.propagation.decomposed.prefix import rows_first
from pyxai.selection.scoring import roc_auc
from pyxai.tracing import Call, trace
from pyxai.transforms import nmf

ONES, TOKENS = torch.ones(2, 3), torch.tensor([[0, 1], [2, 1]])
IMAGES, LABELS = torch.rand(2, 1, 4, 4), torch.tensor([0, 1])
CASES = {
    "a band wider than the matrix": (
        lambda: BandedCovariance(torch.ones(4, 3)),
        r"diagonals must have shape \[bandwidth \+ 1, features\] with bandwidth < features, "
        r"got \[4, 3\]",
    ),
    "a diagonal alone": (
        lambda: BandedCovariance(torch.ones(3)),
        r"diagonals must have shape .*, got \[3\]",
    ),
    "a matrix of negative numbers": (
        lambda: DenseCovariance(-torch.ones(2, 2)).color(torch.ones(1, 2)),
        "covariance must be positive semi-definite, got an eigenvalue -2",
    ),
    "images of colour": (
        lambda: datasets.decoy_colours(IMAGES.expand(2, 3, 4, 4), LABELS),
        r"images must have one channel, got shape \[2, 3, 4, 4\]",
    ),
    "negative labels": (
        lambda: datasets.decoy_colours(IMAGES, LABELS - 1),
        "labels must be at least 0, got -1",
    ),
    "one text": (
        lambda: datasets.decoy_words(TOKENS[0], LABELS, torch.tensor([8, 9])),
        r"tokens must have shape \[rows, places\], got \[2\]",
    ),
    "texts without tokens": (
        lambda: datasets.decoy_words(TOKENS[:, :0], LABELS, torch.tensor([8, 9])),
        r"tokens must have shape \[rows, places\], got \[2, 0\]",
    ),
    "labels of other images": (
        lambda: datasets.switching_panels(images=IMAGES, labels=LABELS[:1]),
        r"labels must have 2 rows, got shape \[1\]",
    ),
    "a mouth without length": (
        lambda: datasets.mouth_box(torch.ones(1, 2, 2), length=0),
        "length must be positive, got 0",
    ),
    "a mouth without height": (
        lambda: datasets.mouth_box(torch.ones(1, 2, 2), height=-0.5),
        "height must be positive, got -0.5",
    ),
    "maps instead of classes": (
        lambda: check_targets(None, LABELS, torch.ones(2, 3, 4), "logit"),
        r"model must return \[n_nodes, n_classes\] for a graph, got shape \[2, 3, 4\]",
    ),
    "smoothing": (lambda: MarkovChain(smoothing=0), "smoothing must be positive, got 0"),
    "a list of tokens": (
        lambda: MarkovChain(3).fit(TOKENS[0]),
        r"data must have shape \[rows, places\], got \[2\]",
    ),
    "no tokens": (
        lambda: MarkovChain(3).fit(TOKENS[:0]),
        r"data must have (shape \[rows, places\]|rows), got",
    ),
    "negative tokens": (
        lambda: MarkovChain(3).fit(TOKENS - 1),
        "data must be at least 0, got -1",
    ),
    "networks": (lambda: VAEAC(networks=nn.Linear(2, 2)), "networks must be Networks, got"),
    "a rate of 0": (lambda: VAEAC(lr=0.0), "lr must be positive, got 0.0"),
    "logits of a batch of batches": (
        lambda: CategoricalLikelihood().check(torch.ones(2, 3, 4), LABELS),
        r"predictor must return \[batch, n_classes\], got shape \[2, 3, 4\]",
    ),
    "probabilities of other classes": (
        lambda: CategoricalLikelihood().check(torch.ones(2, 3), torch.full((2, 2), 0.5)),
        r"targets must have shape \[2\] for classes or \[2, 3\] for probabilities, got \[2, 2\]",
    ),
    "means alone": (
        lambda: GaussianLikelihood("predicted").check(ONES, ONES),
        "predictor must return a tuple of means and variances, got another",
    ),
    "means, variances and more": (
        lambda: GaussianLikelihood("predicted").check((ONES, ONES, ONES), ONES),
        "predictor must return a tuple of means and variances, got another",
    ),
    "a number in a composite": (
        lambda: LRP(nn.Linear(3, 2), composite={3: "epsilon"}).attribute(ONES, 0),
        "composite must map names, modules or their types, got 3",
    ),
    "labels of one class": (
        lambda: roc_auc(torch.tensor([0.1, 0.2]), torch.tensor([1, 1])),
        "labels must hold both classes for 'roc_auc', got one",
    ),
    "labels of the other class": (
        lambda: roc_auc(torch.tensor([0.1, 0.2]), torch.tensor([0, 0])),
        "labels must hold both classes for 'roc_auc', got one",
    ),
    "rows that are nowhere": (
        lambda: rows_first(ONES, Mock(op="sum", where="here"), {}),
        "the frozen layers must end where each example has rows of its own, got the value of sum",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_does_not_fit_is_named(case):
    call, message = CASES[case]
    with pytest.raises((TypeError, ValueError, UnsupportedOperationError), match=f"^{message}"):
        call()


def test_a_long_signal_must_have_a_root_of_its_own_form(monkeypatch):
    monkeypatch.setattr(toeplitz, "MAX_DENSE_ROOT", 2)
    short = torch.tensor([1.0, 0.7, 0.0], dtype=torch.float64)
    with pytest.raises(ValueError, match="autocovariance must have a non-negative spectrum when"):
        ToeplitzCovariance(short)
    monkeypatch.setattr(toeplitz, "MAX_DENSE_ROOT", 3)
    root = ToeplitzCovariance(short).color(torch.eye(3, dtype=torch.float64))
    gap = (torch.arange(3)[:, None] - torch.arange(3)).abs()
    torch.testing.assert_close(root.T @ root, short[gap])


def changed_nodes(tree, **changes):
    *others, last = tree.nodes
    return replace(tree, nodes=(*others, replace(last, **changes)))


BROKEN = {
    r"tracked must have two axes, got \[0\]": lambda tree: replace(tree, tracked=torch.ones(0)),
    "scores and selections must fit": lambda tree: replace(tree, scores=tree.scores[1:]),
    "scores and selections must fit its nodes": lambda tree: replace(
        tree, selected=tree.selected[1:]
    ),
    "node 4 must be made of nodes before it": lambda tree: changed_nodes(tree, children=(0, 4)),
    "node 4 must be made of nodes": lambda tree: changed_nodes(tree, id=3),
    "node 4 must have units of it as members": lambda tree: changed_nodes(tree, members=(0, 3)),
    "names must be those of its 3 units": lambda tree: replace(tree, names=("a", "b")),
}


@pytest.mark.parametrize("message", BROKEN)
def test_files_of_hierarchies_hold_what_fits_together(message, tmp_path):
    def scorer(inputs, groups, target, arguments):
        return groups.flatten(2).sum(2).float()

    [tree] = ACD(None, scorer=scorer).agglomerate(torch.arange(3)[None])
    assert len(tree.nodes) == 5
    Hierarchy.load(tree.save(tmp_path / "good"))
    with pytest.raises(ValueError, match=rf"^path must hold a whole file, .*: {message}"):
        Hierarchy.load(BROKEN[message](tree).save(tmp_path / "broken"))


class TwoParts(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, x):
        return x * x.relu() * self.scale


def test_a_traced_model_names_the_tensor_that_it_lost():
    model = TwoParts()
    graph = trace(model, (ONES,))
    del model.scale
    with pytest.raises(RuntimeError, match=r"^the model lost its tensor 'scale' since it was"):
        graph.run((ONES,))


def test_a_rule_for_one_operand_names_an_op_of_two():
    graph = trace(TwoParts(), (ONES,))
    values = graph.run((ONES,))
    calls = {node: Call(node, (values,)) for node in graph.nodes if node.kind == "call"}
    names = {(call.node.op, call.dependents()): call for call in calls.values()}
    assert names["relu", ("self",)].sole() == "self"
    both = names["mul", ("self", "other")]
    with pytest.raises(UnsupportedOperationError, match=r"mul at .* must have one operand that"):
        both.sole()


def test_weights_that_do_not_settle_are_said(monkeypatch):
    monkeypatch.setattr(nmf, "_ROUNDS", 0)
    with pytest.raises(RuntimeError, match=r"^the weights of NMF did not converge; are two"):
        nmf._free_weights(torch.eye(2), torch.ones(1, 2))
