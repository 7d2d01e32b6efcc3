"""`pyxai explain` by methods that look inside a model: which layer, which neuron, what is drawn."""

import json

import matplotlib.image
import numpy as np
import pytest
import torch

import pyxai
from pyxai.cli import main

CODE = """

class Looks(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(), nn.Conv2d(4, 5, 2))
        self.head = nn.Linear(5, 2)

    def forward(self, x):
        return self.head(self.body(x).relu().mean((2, 3)))


class Reads(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body, self.head = nn.Conv1d(2, 4, 3), nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.body(x).relu().mean(2))


def square():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2))
"""


@pytest.fixture
def nets(folder, monkeypatch):
    """The module of models, with some that keep places and some that do not."""
    with (folder / "nets.py").open("a") as file:
        file.write(CODE)
    draw = np.random.default_rng(0).normal
    for name, shape in (("table", (3, 4)), ("image", (2, 3, 11, 13)), ("series", (2, 2, 9))):
        np.save(f"{name}.npy", draw(size=shape).astype(np.float32))
    monkeypatch.syspath_prepend(str(folder))
    import nets

    return nets


def rows(name):
    return torch.from_numpy(np.load(f"{name}.npy"))


@pytest.mark.parametrize("method", ["layer_grad_cam", "layer_conductance", "layer_activation"])
def test_a_layer_is_given_by_its_name(method, nets, said):
    words = ("nets:Looks", "image.npy", "--method", method, "--layer", "body.0")
    more = () if method == "layer_activation" else ("--target", 1)
    said(*words, *more, "--save", "why.safetensors")
    options = {} if method == "layer_activation" else {"target": 1}
    want = pyxai.explain(
        nets.Looks().eval(), rows("image"), method=method, layer="body.0", **options
    )
    found = pyxai.Explanation.load("why.safetensors")
    assert torch.equal(found.attributions, want.attributions)
    assert found.method == method
    assert found.of_layer


@pytest.mark.parametrize(("text", "place"), [("3,2,1", (3, 2, 1)), ("-1,2,1", (3, 2, 1))])
def test_a_neuron_is_given_by_its_place(text, place, nets, said):
    words = ("nets:Looks", "image.npy", "--method", "neuron_gradient", "--layer", "body.0")
    found = json.loads(said(*words, f"--neuron={text}", "--json"))
    want = pyxai.explain(
        nets.Looks().eval(),
        rows("image"),
        method="neuron_gradient",
        layer="body.0",
        neuron_selector=place,
    )
    np.testing.assert_array_equal(found["attributions"], want.attributions.numpy())
    assert found["target"] is None


def test_what_does_not_fit_is_said_before_files_are_read(nets, said):
    words = ("nets:make", "none.npy", "--method")
    for more, text in (
        (("layer_lrp",), "--layer must be given for layer_lrp, got none"),
        (("neuron_gradient", "--layer", "0"), "--neuron must be given for neuron_gradient"),
        (("saliency", "--layer", "0"), "--layer must be left out for saliency, which takes none"),
        (("layer_lrp", "--layer", "0", "--neuron", "1"), "--neuron must be left out for layer_lrp"),
        (("layer_lrb", "--layer", "0"), "did you mean 'layer_lrp'?"),
        (("layer_lrp", "--layer", "0", "--option", "layer=0"), "layer, which is given by --layer"),
    ):
        assert text in said(*words, *more, status=1)


def test_a_neuron_that_is_no_number_is_said_to_be_none(nets, capsys):
    words = ("explain", "nets:make", "none.npy", "--method", "neuron_gradient", "--layer", "0")
    with pytest.raises(SystemExit):
        main([*words, "--neuron", "a"])
    text = "--neuron: must be a whole number, or several as in 1,2,2, got 'a'"
    assert text in capsys.readouterr().err


def test_layers_that_are_none_and_outputs_that_nobody_asks_for(nets, exported, said):
    words = ("nets:Looks", "image.npy", "--method", "layer_activation")
    text = said(*words, "--layer", "body.3", status=1)
    assert "--layer must be a name among those of the model's named_modules(), got 'body.3'" in text
    assert "did you mean 'body.2'" in text
    assert "it has 'body', 'body.0', 'body.1'" in said(*words, "--layer", "x", status=1)
    text = said(*words, "--layer", "body.0", "--target", "1", status=1)
    assert "target must be None for layer_activation, which takes none, got 1" in text
    words = (exported, "table.npy", "--method", "layer_activation", "--layer", "0")
    assert "an exported program has none: give module:function" in said(*words, status=1)


def test_columns_of_a_table_are_no_names_of_units(nets, said):
    with open("table.csv", "w") as file:
        file.write("age,height,weight,pulse\n3,1.5,-2,0.5\n1,0.5,2,1.5\n")
    words = ("nets:square", "table.csv", "--method", "layer_lrp", "--layer", "0")
    text = said(*words)
    assert "top 4 units" in text
    assert "unit 3" in text
    assert "age" not in text
    assert "dry" in said(*words, "--feature-names", "wet,dry,hot,cold")
    words = ("nets:square", "table.csv", "--method", "neuron_gradient", "--layer", "0")
    assert "age" in said(*words, "--neuron", "2")


@pytest.mark.parametrize(
    ("place", "data", "layer"),
    [
        ("nets:make", "table", "0"),
        ("nets:square", "table", "0"),
        ("nets:Looks", "image", "body.0"),
        ("nets:Reads", "series", "body"),
    ],
)
def test_every_form_is_drawn_and_has_a_page(place, data, layer, nets, said):
    words = (place, f"{data}.npy", "--method", "layer_gradient_x_activation", "--layer", layer)
    said(*words, "--plot", "why.png", "--report", "why.html")
    assert matplotlib.image.imread("why.png").std() > 0
    with open("why.html") as file:
        assert "layer gradient x activation" in file.read()
