"""Grad-CAM where channels come last: vision transformers, windows, embeddings."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import pyxai
from pyxai import PyxaiWarning
from pyxai.attribution import GradCam, GuidedBackprop, GuidedGradCam, LayerGradCam

D = torch.float64


class Transformer(nn.Module):
    """A small vision transformer: patches, tokens before them, a block, a head on the first."""

    def __init__(self, leading=1):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.patches = nn.Conv2d(1, 8, 2, 2)
            self.leading = nn.Parameter(torch.randn(1, leading, 8))
            self.places = nn.Parameter(torch.randn(1, 9 + leading, 8) / 2)
            self.block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
            self.norm, self.head = nn.LayerNorm(8), nn.Linear(8, 3)
        self.double().eval()

    def forward(self, x):
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.leading.expand(len(x), -1, -1), tokens], 1) + self.places
        normed = self.norm(tokens)
        return self.head(normed[:, 0] + self.block(normed)[:, 0] ** 2)


class ChannelsLast(nn.Module):
    """A convolution whose map is brought to [batch, height, width, channels] for a norm."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.conv, self.norm, self.head = nn.Conv2d(1, 5, 3), nn.LayerNorm(5), nn.Linear(5, 2)
        self.double().eval()

    def forward(self, x):
        maps = self.norm(self.conv(x).permute(0, 2, 3, 1))
        return self.head((maps**2).mean((1, 2)))


def images(batch=3):
    return torch.randn(batch, 1, 6, 6, generator=torch.Generator().manual_seed(1), dtype=D)


def by_hand(model, layer, x, target, rearrange):
    """Return Grad-CAM from a hook, autograd and its equation."""
    kept = []
    handle = layer.register_forward_hook(lambda _, __, out: kept.append(out))
    output = model(x)[:, target].sum()
    handle.remove()
    (gradient,) = torch.autograd.grad(output, kept[0])
    maps, slopes = rearrange(kept[0].detach()), rearrange(gradient)
    return (slopes.mean((2, 3), keepdim=True) * maps).sum(1, keepdim=True)


@pytest.mark.parametrize("leading", [1, 5])
def test_grid_of_tokens_behind_those_of_the_class(leading):
    model, x = Transformer(leading), images()
    found = LayerGradCam(model, model.norm).attribute(x, 1, reshape_transform="token_grid")
    assert found.shape == (3, 1, 3, 3)

    def rearrange(tokens):
        return tokens[:, leading:].reshape(-1, 3, 3, 8).permute(0, 3, 1, 2)

    torch.testing.assert_close(found, by_hand(model, model.norm, x, 1, rearrange))
    by_function = GradCam(model, model.norm).attribute(x, 1, reshape_transform=rearrange)
    torch.testing.assert_close(by_function, found)
    wide = GradCam(model, model.norm).attribute(
        x, 1, reshape_transform="token_grid", upsample="nearest"
    )
    assert wide.shape == x.shape
    alone = LayerGradCam(model, model.norm).attribute(x[1:2], 1, reshape_transform="token_grid")
    torch.testing.assert_close(alone, found[1:2])


def test_channels_in_the_last_dimension():
    model, x = ChannelsLast(), images()
    found = LayerGradCam(model, model.norm).attribute(x, 0, reshape_transform="channels_last")
    expected = by_hand(model, model.norm, x, 0, lambda maps: maps.permute(0, 3, 1, 2))
    torch.testing.assert_close(found, expected)


def test_guided_grad_cam_and_explain_pass_it_on():
    model, x = ChannelsLast(), images()
    options = {"reshape_transform": "channels_last"}
    with pytest.warns(PyxaiWarning, match="the model has none"):
        found = GuidedGradCam(model, model.norm).attribute(x, 0, **options)
    with pytest.warns(PyxaiWarning, match="the model has none"):
        guided = GuidedBackprop(model).attribute(x, 0)
    cam = LayerGradCam(model, model.norm).attribute(x, 0, relu_attributions=True, **options)
    torch.testing.assert_close(found, guided * LayerGradCam.interpolate(cam, (6, 6)))
    explained = pyxai.explain(
        model, x, method="layer_grad_cam", layer=model.norm, target=0, **options
    )
    assert explained.attributions.shape == (3, 1, 4, 4)


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding, self.head = nn.Embedding(10, 6), nn.Linear(6, 3)
        self.double()

    def forward(self, words):
        return self.head(self.embedding(words).mean(1))


LOOK_LIKE_TOKENS = {
    "norm": (Transformer(), "norm", False), "block": (Transformer(), "block", False),
    "norm's input": (Transformer(), "norm", True), "last": (ChannelsLast(), "norm", False),
    "words": (Words(), "embedding", False),
}  # fmt: skip


@pytest.mark.parametrize("name", LOOK_LIKE_TOKENS)
def test_channels_that_look_like_tokens_are_warned_of(name):
    model, layer, at_input = LOOK_LIKE_TOKENS[name]
    x = torch.tensor([[1, 2, 3, 4]]) if name == "words" else images()
    method = LayerGradCam(model, getattr(model, layer))
    with pytest.warns(PyxaiWarning, match=r"look like tokens; give reshape_transform='token_grid'"):
        method.attribute(x, 0, attribute_to_layer_input=at_input)
    method.attribute(  # and nothing more where it is given
        x, 0, attribute_to_layer_input=at_input, reshape_transform="channels_last"
    )


def test_maps_are_not_warned_of():
    convolution = nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
    squeezed = nn.Sequential(nn.Conv2d(1, 6, 1), nn.LayerNorm([6, 6, 6]), nn.GroupNorm(2, 6))
    for layer in (convolution, squeezed, convolution[2]):
        model = nn.Sequential(*convolution) if layer is not squeezed else nn.Sequential(squeezed)
        if layer is convolution:
            model = nn.Sequential(convolution)
        net = nn.Sequential(model, nn.AdaptiveAvgPool2d(1), nn.Flatten()).double().eval()
        assert LayerGradCam(net, layer).attribute(images(), 0).dim() == 4
    table = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2)).double()
    assert LayerGradCam(table, table[0]).attribute(torch.ones(2, 4, dtype=D), 0).shape == (2, 1)


def test_layouts_that_do_not_fit_are_named():
    model, x = Transformer(), images()
    method = LayerGradCam(model, model.norm)
    for layout, error, message in (
        ("grid", ValueError, "reshape_transform must be one of 'channels_last', 'token_grid'"),
        (3, TypeError, "reshape_transform must be a function or one of .*, got 3"),
        (
            lambda value: None,
            TypeError,
            "what reshape_transform returns must be a tensor, got None",
        ),
        (lambda value: value[:, 0], ValueError, r"must return \[3, channels, \*positions\]"),
        (
            lambda value: value[:1],
            ValueError,
            r"must return \[3, channels, \*positions\], got \[1,",
        ),
    ):
        with pytest.raises(error, match=message):
            method.attribute(x, 0, reshape_transform=layout)
    many, last = Transformer(4), ChannelsLast()
    for model, layer, layout, message in (
        (many, many.norm, "token_grid", "must be a function where the tokens fill no square"),
        (last, last.norm, "token_grid", r"must be 'token_grid' for \[batch, tokens, channels\]"),
        (last, last.head, "channels_last", "must be None for a layer without positions"),
    ):
        with pytest.raises(ValueError, match=message):
            LayerGradCam(model, layer).attribute(x, 0, reshape_transform=layout)


class ImageAndTable(nn.Module):
    def __init__(self):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.conv, self.head = nn.Conv2d(1, 3, 3), nn.Linear(3 * 16 + 5, 2)
        self.double().eval()

    def forward(self, image, table):
        return self.head(torch.cat([self.conv(image).relu().flatten(1), table], 1))


def test_explanations_of_a_layer_between_two_inputs(tmp_path):
    model = ImageAndTable()
    inputs = images(), torch.ones(3, 5, dtype=D)
    for name, options in (("layer_grad_cam", {"layer": model.conv}), ("grad_cam", {})):
        found = pyxai.explain(model, inputs, method=name, target=1, **options)
        expected = LayerGradCam(model, model.conv).attribute(inputs, 1)
        assert torch.equal(found.attributions, expected)
        assert found[1].attributions.shape == (1, 1, 4, 4)
        assert len(found[1].inputs) == 2
        assert "Conv2d" in str(found)
        loaded = pyxai.Explanation.load(found.save(tmp_path / f"{name}.safetensors"))
        assert torch.equal(loaded.attributions, expected)
        assert torch.equal(loaded.inputs[1], inputs[1])
    wide = GradCam(model).attribute(inputs[::1], 1, upsample="nearest")
    assert wide.shape == (3, 1, 6, 6)
    with pytest.raises(ValueError, match="upsample must be None where no input has"):
        GradCam(model, model.head).attribute(inputs, 1, upsample="nearest", relu_attributions=True)
    with pytest.raises(ValueError, match="attributions must have the form of inputs"):
        pyxai.Explanation(expected, inputs, method="by_hand")


def test_xarray_keeps_the_dimensions_of_a_map_apart():
    model = ImageAndTable()
    inputs = images(), torch.ones(3, 5, dtype=D)
    data = pyxai.explain(model, inputs, method="grad_cam", target=1).to_xarray()
    assert dict(data.attributions.sizes) == {"example": 3, "dim_1": 1, "dim_2": 4, "dim_3": 4}
    assert data.inputs_0.shape == (3, 1, 6, 6)
    assert data.inputs_1.dims == ("example", "input_feature_1")
