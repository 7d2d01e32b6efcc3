"""Pictures of hierarchies: where boxes and colours are."""

import matplotlib as mpl
import numpy as np
import pytest
import torch

from pyxai import plot
from pyxai.decomposition import ACD

mpl.use("Agg")


def sums(weights, pair=0.0):
    """Return a scorer that adds weights, and a number for the first two units together."""

    def scorer(inputs, groups, target, arguments):
        flat = groups.flatten(2).double()
        return (
            flat @ torch.tensor(weights, dtype=torch.float64) + pair * flat[..., 0] * flat[..., 1]
        )

    return scorer


def sentence(**options):
    acd = ACD(None, scorer=sums([1.0, -2.0, 0.5], 4.0), **options)
    return acd.agglomerate(torch.ones(1, 3), names=["not", "bad", "film"])[0]


def image():
    acd = ACD(None, scorer=sums([3.0, 1, 0, 0, 0, -1, 0, 0, 2.0]), percentile=70, n_iter=2)
    return acd.agglomerate(torch.rand(1, 1, 3, 3))[0]


def test_a_phrase_stands_above_its_words():
    tree = sentence()
    ax = tree.plot(title="phrases")
    boxes = sorted(ax.patches, key=lambda box: (box.get_y(), box.get_x()))
    assert [box.get_y() for box in boxes] == [0, 0, 0, 1, 2]
    words, pair, whole = boxes[:3], boxes[3], boxes[4]
    assert pair.get_x() == words[0].get_x()
    right = [box.get_x() + box.get_width() for box in boxes]
    assert right[3] == pytest.approx(right[1])
    assert (whole.get_x(), right[4]) == pytest.approx((words[0].get_x(), right[2]))
    # 1, -2, 0.5, 1 - 2 + 4, and 0.5 more, on a scale that ends at the largest
    expected = mpl.colormaps["RdBu_r"]((np.array([1, -2, 0.5, 3, 3.5]) / 3.5 + 1) / 2)
    np.testing.assert_allclose([box.get_facecolor() for box in boxes], expected, atol=1 / 128)
    texts = [text.get_text() for text in ax.texts]
    assert {"not", "bad", "film", "-2.00", "3.50"} <= set(texts)
    assert ax.get_title() == "phrases"
    assert len(ax.figure.axes) == 2  # with a colour bar


def test_parts_that_are_apart_are_one_node_in_several_boxes():
    tree = sentence(percentile=40, n_iter=1, final="any", absolute=False)
    assert [node.members for node in tree.nodes[3:]] == [(0, 2)]
    ax = plot.hierarchy(tree, colorbar=False)
    assert len(ax.patches) == 5
    assert len(ax.figure.axes) == 1


def test_groups_of_an_image_step_by_step():
    tree = image()
    ax = tree.plot()
    assert len(ax.images) == len(tree.steps) > 2
    grey = ax.images[0].get_array()
    height, width = grey.shape[:2]
    assert (height, width) == (3, 3)
    first = [tree.nodes[node] for node in tree.steps[0].values()]
    selected = np.zeros(9, bool)
    for node in first:
        selected[list(node.members)] = True
    # What is in no group is a shade of grey.
    colourless = np.ptp(grey.reshape(9, 3), axis=1) < 1e-6
    assert colourless.tolist() == (~selected).tolist()
    assert [text.get_text() for text in ax.texts if "step" in text.get_text()] == [
        "step 1",
        "step 2",
    ]
    two = plot.hierarchy(tree, steps=[0, 2], limit=5.0)
    assert len(two.images) == 2
    assert two.figure.axes[-1].get_ylim() == (-5, 5)


def test_an_image_without_groups_and_one_word():
    [tree] = ACD(None, scorer=sums([1.0] * 4), variant="official").agglomerate(
        torch.ones(1, 1, 2, 2)
    )
    assert len(tree.plot().images) == 1
    [tree] = ACD(None, scorer=lambda i, g, t, a: g.flatten(2).double().sum(2)).agglomerate(
        torch.ones(1, 1)
    )
    assert len(tree.plot().patches) == 1


def test_refusals():
    with pytest.raises(TypeError, match=r"^tree must be a Hierarchy, got 3"):
        plot.hierarchy(3)
    with pytest.raises(ValueError, match=r"^limit must be positive, got 0"):
        sentence().plot(limit=0)
    with pytest.raises(ValueError, match=r"^steps must be numbers below \d+, got \[99\]"):
        image().plot(steps=[99])
