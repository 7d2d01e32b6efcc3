"""Covariances per class: whose covariance an example gets."""

import numpy as np
import pytest
import torch

from pyxai.attribution import FunctionalInformation
from pyxai.covariance import DenseCovariance


def draws(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


WEIGHT = draws(3, seed=5)
CLASSES = {c: DenseCovariance((c + 2) * torch.eye(3, dtype=torch.float64)) for c in (-1, 0, 1)}
MODELS = {
    "column": lambda rows: rows @ WEIGHT[:, None],
    "row": lambda rows: rows @ WEIGHT,
    "two classes": lambda rows: torch.stack([0 * rows[:, 0], rows @ WEIGHT], 1),
}


def run(model, covariance, call, target, labels):
    method = FunctionalInformation(MODELS[model], covariance=covariance)
    options = {"n_samples": 4, "labels": labels}
    if call == "scores":
        return method.scores(draws(2, 3), target, names=("additive",), **options)["additive"]
    if call == "attribute":
        return method.attribute(draws(2, 3), target, score="marginal", **options)
    found = getattr(method, call)(draws(2, 3), target, **options)
    return found.information if call == "entropy" else found


CALLS = ["attribute", "scores", "entropy", "local_conditional"]


@pytest.mark.parametrize("call", CALLS)
def test_labels_tell_the_covariance_of_a_model_with_one_output(call):
    """P(class 1) of one logit is that of two logits, the other of them 0."""
    expected = run("two classes", CLASSES, call, 1, None)
    for model, target in (("column", 0), ("column", None), ("row", None)):
        torch.testing.assert_close(run(model, CLASSES, call, target, 1), expected)
    of_zero = run("two classes", CLASSES[0], call, 1, None)
    torch.testing.assert_close(run("row", CLASSES, call, None, 0), of_zero)


@pytest.mark.parametrize("call", CALLS)
def test_the_target_of_a_model_with_one_output_is_no_class(call):
    for target in (0, torch.tensor([0, 0])):
        with pytest.raises(ValueError, match="labels must tell the class of each example"):
            run("column", CLASSES, call, target, None)
    with pytest.raises(ValueError, match=r"target must be one class.* labels are not given, got N"):
        run("row", CLASSES, call, None, None)
    assert run("column", CLASSES[1], call, 0, None).isfinite().all()  # one for all classes


@pytest.mark.parametrize("output", ["exp", "identity"])
def test_the_target_is_no_class_for_other_outputs_either(output):
    method = FunctionalInformation(
        lambda rows: rows.square().sum(1, keepdim=True), covariance=CLASSES, output=output
    )
    with pytest.raises(ValueError, match="labels must tell the class of each example"):
        method.attribute(draws(2, 3), 0, score="additive", n_samples=4)
    assert method.attribute(draws(2, 3), 0, score="plain", n_samples=4).isfinite().all()


@pytest.mark.parametrize("labels", [[1, -1], np.array([1, -1]), torch.tensor([1, -1])], ids=repr)
def test_labels_are_any_integers_one_for_each_example(labels):
    found = run("row", CLASSES, "attribute", None, labels)
    for example, label in enumerate((1, -1)):
        alone = run("row", CLASSES[label], "attribute", None, None)
        torch.testing.assert_close(found[example], alone[example])
    one = run("row", CLASSES, "attribute", None, torch.tensor(1))
    torch.testing.assert_close(one, run("row", CLASSES[1], "attribute", None, None))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1, 1], r"labels must have one entry per example, \[2\], got \[3\]"),
        (0.5, "labels must be an integer or one for each example, got 0.5"),
        ("a", "labels must be an integer or one for each example, got 'a'"),
        (torch.ones(2), "labels must be an integer or one for each example, got a torch.float32"),
        (7, r"covariance must hold every explained class, got classes \[-1, 0, 1\] and label 7"),
    ],
)
def test_wrong_labels_are_named(labels, message):
    with pytest.raises((ValueError, TypeError), match=message):
        run("row", CLASSES, "attribute", None, labels)


def test_what_is_no_covariance_is_named():
    matrix = torch.eye(3, dtype=torch.float64)
    with pytest.raises(TypeError, match=r"covariance of class 0 must be a Covariance, got a torch"):
        run("two classes", {0: matrix}, "attribute", 0, None)
    with pytest.raises(TypeError, match="covariance must be a Covariance or a mapping of classes"):
        run("two classes", matrix, "attribute", 0, None)
