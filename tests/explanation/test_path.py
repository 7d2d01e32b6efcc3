"""Which way the model was evaluated: said by who evaluates, kept with the result."""

import pytest
import torch

import pyxai
from pyxai import Explanation
from pyxai.runner import note_path, path_noted

X = torch.ones(1, 2)


def test_kept_and_shown(tmp_path):
    plain = Explanation(X, X, method="by_hand")
    assert plain.path == "direct"
    assert "path" not in str(plain)
    file = plain.save(tmp_path / "plain")
    assert b'"path"' not in file.read_bytes()
    assert Explanation.load(file).path == "direct"
    fast = Explanation(X, X, method="by_hand", path="linear prefix")
    assert "path linear prefix" in " ".join(str(fast).split())
    assert Explanation.load(fast.save(tmp_path / "fast")).path == "linear prefix"
    assert fast[0].path == fast.to("cpu").path == "linear prefix"
    with pytest.raises(TypeError, match="path must be a name, got 3"):
        Explanation(X, X, path=3)


def test_heard_by_every_block_around():
    note_path("nobody listens")
    with path_noted() as outer:
        with path_noted() as inner:
            note_path("one")
            note_path("one")
        note_path("two")
    assert inner == ["one"]
    assert outer == ["one", "two"]


def test_explain_says_it():
    class Noting(pyxai.attribution.Saliency):
        def attribute(self, *given, **named):
            note_path("by hand")
            return super().attribute(*given, **named)

    model = torch.nn.Linear(2, 1)
    assert pyxai.explain(model, X, method=Noting).path == "by hand"
    assert pyxai.explain(model, X, method="saliency").path == "direct"
