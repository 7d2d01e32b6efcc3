"""Grad-CAM against closed forms and captum, and its hooks."""

import captum.attr
import pytest
import torch
from closed_forms import CASES
from counted import Counting
from torch import nn

from pyxai import PyxaiWarning, explain
from pyxai.attribution import GradCam, LayerGradCam, LayerGradientXActivation


def small_net(dtype=torch.float64):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Conv2d(2, 4, 3),
            nn.ReLU(inplace=True),
            nn.Conv2d(4, 3, 3),
            nn.Tanh(),
            nn.Flatten(),
            nn.Linear(48, 5),
        )
    return net.to(dtype).eval()


def images(batch=4, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, 2, 8, 8, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_closed_forms(case):
    net = case.feature_map_net()
    scores = LayerGradCam(net, net.features).attribute(case.feature_map())
    expected = case.expected("grad_cam")
    torch.testing.assert_close(scores.flatten(1), expected, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("layer", [0, 2, 3, 5])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"attribute_to_layer_input": True},
        {"relu_attributions": True},
        {"attr_dim_summation": False},
    ],
)
def test_equals_captum(layer, options):
    net, x, target = small_net(), images(), [0, 1, 2, 4]
    ours = LayerGradCam(net, net[layer]).attribute(x, target=target, **options)
    theirs = captum.attr.LayerGradCam(net, net[layer]).attribute(x, target=target, **options)
    torch.testing.assert_close(ours, theirs)


def test_signed_by_default_and_rows_stand_alone():
    net, x = small_net(), images()
    whole = LayerGradCam(net, net[2]).attribute(x, target=1)
    assert (whole < 0).any()
    torch.testing.assert_close(LayerGradCam(net, net[2]).attribute(x[2:3], 1), whole[2:3])
    bounded = LayerGradCam(net, net[2]).attribute(x, 1, internal_batch_size=3)
    torch.testing.assert_close(bounded, whole)


def test_upsampling_is_separate():
    net, x = small_net(), images()
    low = GradCam(net).attribute(x, target=1)
    assert low.shape == (4, 1, 4, 4)  # the last convolution
    torch.testing.assert_close(low, LayerGradCam(net, net[2]).attribute(x, target=1))
    high = GradCam(net).attribute(x, target=1, upsample="bilinear")
    torch.testing.assert_close(high, LayerGradCam.interpolate(low, (8, 8), "bilinear"))
    theirs = captum.attr.LayerAttribution.interpolate(low, (8, 8), "bilinear")
    torch.testing.assert_close(high, theirs)


def test_extra_arguments_and_token_inputs():
    embedding = nn.Embedding(10, 6).double()
    head = nn.Linear(6, 3).double()

    def model(tokens, scale):
        return head(embedding(tokens).mean(1)) * scale[:, None]

    tokens = torch.tensor([[1, 2, 3], [4, 5, 6]])
    scale = torch.tensor([1.0, 2.0], dtype=torch.float64)
    with pytest.warns(PyxaiWarning, match="these look like tokens"):
        ours = LayerGradCam(model, embedding).attribute(tokens, 1, scale)
    theirs = captum.attr.LayerGradCam(model, embedding).attribute(tokens, 1, scale)
    torch.testing.assert_close(ours, theirs)


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.head = nn.Linear(3, 3), nn.Linear(3, 2)

    def forward(self, x):
        return self.head(self.layer(self.layer(x)))


class Tokens(nn.Module):
    """A layer that gives two tensors."""

    def __init__(self):
        super().__init__()
        self.lstm, self.head = nn.LSTM(3, 4, batch_first=True), nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.lstm(x)[0][:, -1])


def test_arguments_of_autograd_that_change_nothing_are_taken():
    net, x = small_net(), images()
    expected = LayerGradCam(net, net[0]).attribute(x, 0)
    idle = {"retain_graph": True, "allow_unused": True, "materialize_grads": True}
    off = {"create_graph": False, "is_grads_batched": False, "grad_outputs": None}
    for given in ({}, idle, off):
        found = LayerGradCam(net, net[0]).attribute(x, 0, grad_kwargs=given)
        assert torch.equal(found, expected)
        assert torch.equal(GradCam(net, net[0]).attribute(x, 0, grad_kwargs=given), expected)
    for given in ({"create_graph": True}, {"only_inputs": True}):
        with pytest.raises(NotImplementedError, match="grad_kwargs must be among retain_graph, "):
            LayerGradCam(net, net[0]).attribute(x, 0, grad_kwargs=given)
    with pytest.raises(TypeError, match="grad_kwargs must be a mapping or None, got 3"):
        LayerGradCam(net, net[0]).attribute(x, 0, grad_kwargs=3)


def test_layers_that_do_not_fit_are_named():
    net, x = small_net(), images()
    with pytest.raises(TypeError, match="layer must be a module or the name of one, got 7"):
        LayerGradCam(net, 7)
    with pytest.raises(ValueError, match=r"layer must be run exactly .*, got 0 runs of Linear"):
        LayerGradCam(net, nn.Linear(1, 1)).attribute(x, target=0)
    twice = Twice()
    with pytest.raises(ValueError, match=r"layer must be run exactly once .*, got 2 runs"):
        LayerGradCam(twice, twice.layer).attribute(torch.ones(2, 3), target=0)
    none = "layer must be given for a model without modules that are convolutions, got None for"
    with pytest.raises(ValueError, match=f"{none} Twice$"):
        GradCam(twice)
    exported = torch.export.export(net, (x,)).module()
    with pytest.raises(ValueError, match=f"{none} GraphModule; take the model before its export"):
        GradCam(exported)
    with pytest.raises(ValueError, match="upsample must be one of 'nearest'"):
        GradCam(net).attribute(x, 0, upsample="cubic")
    tokens = Tokens()
    with pytest.raises(
        TypeError, match="layer must give a tensor or a flat tuple of tensors, got a tuple"
    ):
        LayerGradCam(tokens, tokens.lstm).attribute(torch.ones(2, 5, 3), target=0)


@pytest.mark.parametrize("calls", [0, 1])
def test_hooks_are_gone_after_an_exception(calls):
    net, x = small_net(), images()
    done = []

    def failing(z):
        outputs = net(z)
        if len(done) == calls:
            raise RuntimeError("boom")
        done.append(1)
        return outputs

    with pytest.raises(RuntimeError, match="boom"):
        LayerGradCam(failing, net[2]).attribute(x, target=0)
    assert not net[2]._forward_hooks
    assert not net[2]._forward_pre_hooks
    assert all(p.grad is None and p.requires_grad for p in net.parameters())


def test_bfloat16_maps_come_back_in_float32():
    net, x = small_net(), images()
    wide = GradCam(net).attribute(x, target=1)
    half = GradCam(small_net(torch.bfloat16)).attribute(x.bfloat16(), target=1)
    assert half.dtype == torch.float32
    assert (half - wide).abs().max() < 0.05 * wide.abs().max()


@pytest.mark.parametrize(("batch", "more"), [(1, 0), (5, 0), (3, 1), (4, 1)])
def test_one_example_is_run_by_itself_where_shapes_leave_it_open(batch, more):
    net = small_net()  # [batch, 3, 4, 4] at the layer
    counting = Counting(net)
    method = LayerGradCam(counting, net[2])
    first = method.attribute(images(batch), target=1)
    counting.forwards = 0
    assert torch.equal(method.attribute(images(batch), target=1), first)
    assert counting.forwards == batch + more


class Turned(nn.Module):
    """Gives its layer [tokens, batch, size] if it is asked to."""

    def __init__(self):
        super().__init__()
        self.layer, self.head = nn.Linear(3, 4), nn.Linear(4, 2)

    def forward(self, x, turned):
        z = self.layer(x.transpose(0, 1) if turned else x)
        return self.head(z.transpose(0, 1) if turned else z).sum(1)


@pytest.mark.parametrize("batch", [1, 4, 5])
def test_examples_must_be_in_dimension_0_in_each_call(batch):
    model, x = Turned().eval(), torch.randn(batch, 4, 3)
    method = LayerGradCam(model, model.layer)
    assert method.attribute(x, 1, False).shape == (batch, 1, 4)
    with pytest.raises(ValueError, match=r"keep the examples in dimension 0, got \[4, 1"):
        method.attribute(x, 1, True)


class Cropped(nn.Module):
    """Looks at as many rows of the image as a number in its corner says."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Tanh(), nn.AdaptiveAvgPool2d(1))
        self.net.double().eval()

    def forward(self, x):
        return self.net(x[:, :, : int(x[0, 0, 0, 0])]).flatten(1)


@pytest.mark.parametrize("method", [LayerGradCam, LayerGradientXActivation])
def test_sizes_of_the_layer_may_depend_on_the_numbers(method):
    model, x = Cropped(), images(2)
    for height in (6, 8, 5):
        x[:, 0, 0, 0] = height
        found = method(model, model.net[0]).attribute(x, target=1)
        theirs = getattr(captum.attr, method.__name__)(model, model.net[0])
        assert found.shape[2] == height - 2
        torch.testing.assert_close(found, theirs.attribute(x, target=1))


@pytest.mark.parametrize("method", [LayerGradCam, LayerGradientXActivation])
def test_calls_do_not_depend_on_earlier_ones(method):
    torch.manual_seed(0)
    net = small_net(torch.float32)
    asked, x = method(net, net[2]), images(12).float()
    options = {"target": 1, "internal_batch_size": 5}
    fresh = asked.attribute(x, **options)
    asked.attribute(x[:2], target=1)
    with torch.autocast("cpu", torch.bfloat16):
        half = asked.attribute(x, **options)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, fresh, rtol=0.1, atol=0.05)
    assert torch.equal(asked.attribute(x, **options), fresh)


def test_gradients_that_are_not_finite_are_refused():
    net = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(108, 1)).double()
    x = images()
    with pytest.raises(ValueError, match="gradients of the model must be finite"):
        LayerGradCam(lambda z: (0 * net(z)).sqrt(), net[0]).attribute(x)


def test_targets_that_a_layer_has_no_part_in_get_zeros_beside_others():
    class Halves(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Conv2d(2, 3, 3).double(), nn.Conv2d(2, 3, 3).double()

        def forward(self, x):
            return torch.stack([conv(x).tanh().sum((1, 2, 3)) for conv in (self.one, self.two)], 1)

    model = Halves().eval()
    options = {"method": "layer_grad_cam", "layer": model.one}
    options["grad_kwargs"] = {"materialize_grads": True}
    found = explain(model, images(), targets=[0, 1], **options)
    alone = LayerGradCam(model, model.one).attribute(images(), target=0)
    torch.testing.assert_close(found[0].attributions, alone)
    assert not found[1].attributions.any()
