"""What a reader sees: no sign on sizes, zeros as zeros, names of groups and of each example."""

import pytest
import torch

import pyxai
from pyxai import Explanation
from pyxai.explanation.numbers import rounding, shortened

MASK = torch.arange(2).repeat_interleave(384)[None]  # two words of 384 numbers each
WORDS = torch.randn(1, 768, generator=torch.Generator().manual_seed(0))


def lines(result):
    return [line.strip() for line in str(result).splitlines()]


def test_sizes_have_no_sign():
    values = torch.tensor([[1.0, -3.0], [1.0, 5.0]])
    shown = lines(Explanation(values, values))
    assert "feature 1  4" in shown
    assert "feature 0  1" in shown
    assert "feature 1  -3" in lines(Explanation(values, values)[0])
    assert "feature 0  +1" in lines(Explanation(values, values)[0])
    model = torch.nn.Linear(2, 1)
    saliency = pyxai.explain(model, values[:1], method="saliency")
    assert not any("+" in line for line in lines(saliency)[-2:])
    signed = pyxai.explain(model, values[:1], method="saliency", abs=False)
    assert all(line.split()[-1][0] in "+-" for line in lines(signed)[-2:])


@pytest.mark.parametrize("zero", [-1.39e-17, 1.39e-17, -0.0])
def test_what_rounding_leaves_of_a_zero_is_one(zero):
    values = torch.tensor([[0.5, zero]], dtype=torch.float64)
    result = Explanation(values, values, outputs=torch.tensor([-0.0]))
    assert "feature 1  0" in lines(result)
    assert any(line.split() == ["outputs", "[0]"] for line in lines(result))
    assert result.top()[1][1] == zero  # numbers are as they are
    assert rounding(values) < 1e-15
    small = torch.tensor([[0.5, 1e-12]], dtype=torch.float64)
    assert "feature 1  +1e-12" in lines(Explanation(small, small))


@pytest.mark.parametrize("name", ["pairwise_terms", "interaction_indices", "integrated_hessians"])
def test_effects_print_zeros_too(name):
    def model(x):
        return (x[:, 0] * x[:, 1] + 0.1 * x[:, 2]).sin()[:, None] @ torch.ones(1, 1).double()

    x = torch.tensor([[0.3, 0.7, 0.9]], dtype=torch.float64)
    text = str(getattr(pyxai.taylor, name)(model, x))
    shown = [line.split()[0] for line in text.splitlines() if line.startswith("     ")]
    assert shown
    assert all(number == "0" or abs(float(number)) > 1e-15 for number in shown)


def test_names_of_groups():
    model = torch.nn.Linear(768, 2)
    names = ["boring", "film"]
    per_feature = [name for name in names for _ in range(384)]
    for given in (names, per_feature):
        result = pyxai.explain(
            model,
            WORDS,
            method="shapley_values",
            target=0,
            feature_mask=MASK,
            feature_names=given,
        )
        assert {name for name, _ in result.top()} == {"boring", "film"}
        assert "more" not in str(result)
        assert result.feature_names == per_feature
    assert Explanation(
        WORDS * 0 + MASK, WORDS, options={"feature_mask": MASK}, feature_names=names
    ).top(1) == [("film", 1.0)]
    with pytest.raises(ValueError, match="one name for each of 768 features or of 2 groups, got 3"):
        pyxai.explain(
            model,
            WORDS,
            method="shapley_values",
            target=0,
            feature_mask=MASK,
            feature_names=["a", "b", "c"],
        )
    mixed = [str(at) for at in range(768)]
    unequal = Explanation(
        WORDS * 0 + MASK, WORDS, options={"feature_mask": MASK}, feature_names=mixed
    )
    assert unequal.top(1) == [("384 and 383 more", 1.0)]


def test_names_of_each_example(tmp_path):
    values = torch.tensor([[1.0, -2.0], [3.0, 0.5]])
    names = [["not", "bad"], ["good", "film"]]
    result = Explanation(values, values, feature_names=names)
    assert result[0].top(1) == [("bad", -2.0)]
    assert result[1].top(1) == [("good", 3.0)]
    assert result[[1, 0]].feature_names == [["good", "film"], ["not", "bad"]]
    assert result.top(1) == [("feature 0", 2.0)]  # no name that both have
    assert Explanation.load(result.save(tmp_path / "e")).feature_names == names
    assert "feature" in result.to_xarray()["attributions"].dims
    # Words of its own are what an example holds, and the numbers that stand for them say nothing.
    assert [label.get_text() for label in result[1].plot().get_yticklabels()] == ["good", "film"]
    same = Explanation(values, values, feature_names=[["a", "b"], ["a", "b"]])
    assert same.top(1) == [("a", 2.0)]
    explained = pyxai.explain(torch.nn.Linear(2, 1), values, method="saliency", feature_names=names)
    assert explained.feature_names == names
    for wrong, message in (
        ([["a", "b"]], "one list of names for each of 2 examples, got 1"),
        ([["a", "b"], ["c"]], "one name for each of 2 features, got 1"),
    ):
        with pytest.raises(ValueError, match=message):
            Explanation(values, values, feature_names=wrong)


def test_names_of_groups_of_each_example():
    values = torch.tensor([[1.0, 1.0, 2.0], [3.0, 4.0, 4.0]])
    mask = torch.tensor([[0, 0, 1], [0, 1, 1]])
    result = Explanation(
        values, values, options={"feature_mask": mask}, feature_names=[["a", "b"], ["c", "d"]]
    )
    assert result[0].top() == [("b", 2.0), ("a", 1.0)]
    assert result[1].top() == [("d", 4.0), ("c", 3.0)]
    assert result.feature_names == [["a", "a", "b"], ["c", "d", "d"]]


def test_long_texts_keep_both_ends():
    assert shortened("a b", 5) == "a b"
    assert shortened("beginning and end", 9) == "beginn…nd"[:9]
    assert len(shortened("x" * 5000)) == 48
    assert shortened("two\nlines") == "two lines"
