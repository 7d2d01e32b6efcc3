"""`pyxai explain` of a text, by a classifier that transformers has saved."""

import json

import pytest
import torch
from text_models import classifier

from pyxai import Explanation
from pyxai.adapters import TextClassifier
from pyxai.cli import main

pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")
TEXT = "The film was not bad."


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model, its tokenizer, and a text beside them."""
    place = tmp_path_factory.mktemp("model")
    for each in classifier():
        each.save_pretrained(place / "saved")
    (place / "text.txt").write_text(TEXT + "\n", encoding="utf-8")
    (place / "bytes.txt").write_bytes(b"\xff\xfe\xff")
    (place / "empty").mkdir()
    (place / "blank.txt").write_text("\n")
    return place


def run(folder, *arguments, model="saved", text="text.txt"):
    return main(["explain", str(folder / model), str(folder / text), *arguments])


def test_a_text_is_explained_as_in_python(folder, capsys):
    saved, picture = folder / "why.safetensors", folder / "why.png"
    given = ("--method", "shapley_values", "--target", "good", "--baselines", "pad")
    assert run(folder, *given, "--save", str(saved), "--plot", str(picture)) == 0
    expected = TextClassifier(*classifier()).explain(
        TEXT, method="shapley_values", target="good", baseline="pad"
    )
    found = Explanation.load(saved)
    assert found.feature_names == expected.feature_names
    torch.testing.assert_close(found.attributions, expected.attributions, rtol=0, atol=1e-5)
    assert picture.read_bytes()[:4] == b"\x89PNG"
    assert "label" in capsys.readouterr().out


def test_units_and_json(folder, capsys):
    assert run(folder, "--json", "--option", "unit=sentence", "--option", "n_steps=5") == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["feature_names"] == [[TEXT]]
    assert printed["shape"] == [1, 1]
    assert run(folder, "--method", "saliency", "--report", str(folder / "why.html")) == 0
    assert "film" in (folder / "why.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "places", "said"),
    [
        ([], {"model": "nothing"}, "model must be a folder that transformers has saved"),
        ([], {"model": "empty"}, "it has no config.json"),
        ([], {"text": "no.txt"}, "No such file"),
        ([], {"text": "bytes.txt"}, "inputs must be a text in UTF-8"),
        ([], {"text": "blank.txt"}, "texts must have a character that is no space"),
        (["--rows", "3"], {}, "--rows must be left out for a text"),
        (["--target", "god"], {}, "target must be a label of the model, got 'god'; did you mean"),
        (["--baselines", "0"], {}, "baseline must be one of 'mask', 'pad', 'unknown', 'zero'"),
        (["--option", "unit=letter"], {}, "unit must be one of 'token', 'word', 'sentence'"),
        (["--method", "xrai"], {}, "method must be one that explains texts, got 'xrai'"),
    ],
)
def test_what_is_amiss_is_said(folder, capsys, arguments, places, said):
    assert run(folder, *arguments, **places) == 1
    assert said in capsys.readouterr().err


def test_labels_are_for_texts(folder, tmp_path, capsys):
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    assert main(["explain", "model.pt2", str(tmp_path / "rows.csv"), "--target", "good"]) == 1
    assert "--target must be a whole number, got 'good'" in capsys.readouterr().err
