"""Windows of conv nets: what is computed in them is what the whole model computes."""

import pytest
import torch
from deep_nets import Function, build
from drawn_conv_nets import conv_nets
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import nn
from whole_map_nets import WHOLE, whole_map_net

import pyxai
from pyxai.attribution import FeatureAblation, Occlusion
from pyxai.propagation.windows import arithmetic, model
from pyxai.runner.memory import LiveBytes

EXACT = {"rtol": 1e-10, "atol": 1e-11}


@pytest.fixture(autouse=True)
def windows_always(monkeypatch):
    """Take windows also where nets are too small for them to be worth it."""
    monkeypatch.setattr(arithmetic, "TRACED", 0.0)
    monkeypatch.setattr(arithmetic, "STEP", 0.0)
    monkeypatch.setattr(model, "_GAIN", 100.0)


def both_ways(net, x, method="occlusion", **options):
    """Explain by windows and directly; the first must say that it did."""
    fast = pyxai.explain(net, x, method=method, **options)
    slow = pyxai.explain(net, x, method=method, fast_path=False, **options)
    assert (fast.path, slow.path) == ("incremental", "direct")
    return fast.attributions, slow.attributions


@settings(deadline=None, max_examples=12, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_drawn_nets_have_the_windows_of_the_whole_model(data):
    net, x, target = data.draw(conv_nets())
    assume(any(isinstance(layer, nn.Conv2d) for layer in net.modules()))  # there is work to save
    window = tuple(data.draw(st.integers(1, size)) for size in x.shape[1:])
    strides = tuple(data.draw(st.integers(max(1, size - 2), size)) for size in window)
    base = data.draw(st.sampled_from([0.3, torch.ones_like(x[:1]), 0.5 * x.flip(2)]))
    options = {"sliding_window_shapes": window, "strides": strides, "baselines": base}
    if window == x.shape[1:]:
        # A single window is no case for this.
        options |= {"sliding_window_shapes": (1, *window[1:]), "strides": (1, *strides[1:])}
    torch.testing.assert_close(*both_ways(net, x, target=target, **options), **EXACT)


@settings(deadline=None, max_examples=12, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_means_over_a_background_are_those_of_the_whole_model(data):
    net, x, target = data.draw(conv_nets())
    assume(any(isinstance(layer, nn.Conv2d) for layer in net.modules()))
    background = torch.randn(data.draw(st.integers(1, 4)), *x.shape[1:], dtype=x.dtype)
    background[0] = x[0]
    mask = torch.randint(0, data.draw(st.integers(2, 5)), x.shape[2:]).expand(x.shape[1:])
    if data.draw(st.booleans()):  # boxes
        mask = torch.arange(x.shape[2])[:, None] // 3 * 6 + torch.arange(x.shape[3]) // 3
    options = {
        "score": data.draw(st.sampled_from(["logit", "probability", "weight_of_evidence"])),
        "perturbations_per_eval": data.draw(st.integers(1, 3)),
    }
    fast, slow = both_ways(
        net, x, "prediction_difference", target=target, baselines=background,
        feature_mask=mask[None], **options,
    )  # fmt: skip
    torch.testing.assert_close(fast, slow, **EXACT)
    assert all(parameter.requires_grad for parameter in net.parameters())
    assert not any(module.training or module._forward_hooks for module in net.modules())
    first = pyxai.explain(
        net, x[:1], method="prediction_difference", target=target, baselines=background,
        feature_mask=mask[None], **options,
    )  # fmt: skip
    torch.testing.assert_close(first.attributions, slow[:1], **EXACT)


@pytest.mark.parametrize(("name", "window"), [("vgg", (3, 5, 4)), ("resnet18", (2, 9, 30))])
def test_deep_nets_have_the_windows_of_the_whole_model(name, window):
    net, x, base = build(name, batch=2)
    strides = (1, window[1], window[2] - 1)  # the last windows stand over the edge
    fast, slow = both_ways(
        net, x, target=[1, 4], baselines=base, sliding_window_shapes=window, strides=strides
    )
    torch.testing.assert_close(fast, slow, **EXACT)


def test_float32_is_equal_to_rounding():
    net, x, base = build("resnet18", dtype=torch.float32)
    options = {"sliding_window_shapes": (3, 8, 8), "strides": (3, 8, 8), "baselines": base}
    fast, slow = both_ways(net, x, target=0, **options)
    scale = net(x).abs().max()
    assert (fast - slow).abs().max() <= 1e-5 * scale


def test_superpixels_and_single_features():
    net, x, base = build("vgg", batch=2)
    rows, columns = torch.meshgrid(torch.arange(32), torch.arange(32), indexing="ij")
    blobs = ((rows // 5) * 7 + (columns + rows) // 6).expand(3, -1, -1).clone()
    blobs[1] += 3 * (rows > 20)  # channels need not have the same groups, nor groups be boxes
    fast, slow = both_ways(
        net, x, "feature_ablation", target=1, feature_mask=blobs[None], baselines=base
    )
    torch.testing.assert_close(fast, slow, **EXACT)
    small = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 4 * 4, 2))
    fast, slow = both_ways(small.double().eval(), x[:, :, :6, :6], "feature_ablation", target=0)
    torch.testing.assert_close(fast, slow, **EXACT)


def test_groups_of_each_example_go_the_direct_way():
    net, x, _ = build("vgg", batch=2)
    mask = torch.arange(32).div(8, rounding_mode="floor").expand(2, 3, 32, 32).clone()
    mask[1] = mask[1].flip(-1)
    found = pyxai.explain(net, x, method="feature_ablation", target=0, feature_mask=mask)
    assert found.path == "direct"


def test_rows_alone_are_as_in_the_batch():
    net, x, base = build("resnet18")
    options = {"sliding_window_shapes": (3, 10, 10), "strides": (3, 10, 10), "target": 1}
    whole = Occlusion(net).attribute(x, baselines=base, **options)
    for row in (0, 2):
        one = slice(row, row + 1)
        alone = Occlusion(net).attribute(x[one], baselines=base[one], **options)
        torch.testing.assert_close(whole[one], alone, **EXACT)
    few = Occlusion(net).attribute(x, baselines=base, perturbations_per_eval=2, **options)
    torch.testing.assert_close(whole, few, **EXACT)


def test_all_outputs_at_once():
    net, x, base = build("vgg", batch=2)
    options = {"sliding_window_shapes": (3, 16, 16), "strides": (3, 16, 16), "baselines": base}
    fast = Occlusion(net).attribute(x, **options)
    slow = Occlusion(net).attribute(x, fast_path=False, **options)
    assert len(fast) == 10
    torch.testing.assert_close(fast, slow, **EXACT)


@pytest.mark.parametrize("name", WHOLE)
def test_whole_maps_go_on_where_no_window_is_known(name):
    net, x = whole_map_net(name)
    fast, slow = both_ways(net, x, target=1, sliding_window_shapes=(3, 4, 4), strides=(3, 4, 4))
    torch.testing.assert_close(fast, slow, **EXACT)


def test_what_is_not_exactly_the_graph_goes_the_direct_way():
    net, x, _ = build("vgg", batch=2)
    options = {"sliding_window_shapes": (3, 16, 16), "strides": (3, 16, 16), "target": 0}

    def path(explained, inputs=x, **further):
        return pyxai.explain(explained, inputs, method="occlusion", **options, **further).path

    assert path(net) == "incremental"
    assert path(net.forward) == "direct"
    assert path(lambda rows: net(rows)) == "direct"
    assert path(net, fast_path=False) == "direct"
    seen = []
    hook = net[2].register_forward_hook(lambda *given: seen.append(given[2].shape))
    assert path(net) == "direct"
    assert seen
    hook.remove()
    assert path(net) == "incremental"
    mixed = Function(
        lambda parts, rows: parts[0](rows.float()).double(), build("vgg", dtype=torch.float32)[0]
    )
    assert path(mixed.eval()) == "direct"
    shifted = Function(lambda parts, rows, by: parts[0](rows + by), net).eval()
    assert path(shifted, additional_forward_args=0.5) == "direct"


def test_models_that_mix_rows_go_the_direct_way():
    class Mixed(nn.Sequential):
        def forward(self, x):
            values = super().forward(x)
            return values - values.mean(0) / 2

    layers = [nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()]
    model = Mixed(*layers, nn.Linear(12, 3)).double().eval()
    images = torch.randn(2, 2, 9, 9, dtype=torch.float64)
    images[0] = 0  # as the baseline
    options = {"sliding_window_shapes": (2, 3, 3), "target": 1}
    with pytest.warns(UserWarning, match="other rows"):
        found = pyxai.explain(model, images, method="occlusion", **options)
    assert found.path == "direct"
    apart = nn.Sequential(*model).eval()
    assert pyxai.explain(apart, images, method="occlusion", **options).path == "incremental"


def test_training_mode_goes_the_direct_way():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 2)).train()
    options = {"sliding_window_shapes": (1, 4, 4), "strides": (1, 4, 4), "target": 0}
    x = torch.randn(1, 1, 8, 8)
    assert pyxai.explain(net, x, method="occlusion", **options).path == "direct"
    assert net.training


def test_weights_are_read_anew():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 2))
    net, x = net.double().eval(), torch.randn(1, 1, 8, 8).double()
    options = {"sliding_window_shapes": (1, 4, 4), "strides": (1, 4, 4), "target": 0}
    both_ways(net, x, **options)
    with torch.no_grad():
        net[0].weight.mul_(-2.0)
    torch.testing.assert_close(*both_ways(net, x, **options), **EXACT)
    net[0] = nn.Conv2d(1, 2, 3, padding_mode="circular").double().eval()
    torch.testing.assert_close(*both_ways(net, x, **options), **EXACT)


def test_small_calls_go_the_direct_way(monkeypatch):
    monkeypatch.undo()
    net, x, _ = build("vgg", batch=2)
    options = {"sliding_window_shapes": (3, 16, 16), "strides": (3, 16, 16), "target": 0}
    assert pyxai.explain(net, x, method="occlusion", **options).path == "direct"


@pytest.mark.parametrize(
    ("name", "n_draws", "at_once"),
    [
        *(("resnet18", n, at_once) for n in (1, 3) for at_once in (None, 5)),
        *(("whole maps", n, None) for n in (1, 3)),
    ],
)
def test_no_more_lives_at_once_than_was_counted(name, n_draws, at_once):
    net, x, _ = build("resnet18", batch=1, dtype=torch.float32)
    x = torch.cat([x, x], 3)
    if name == "whole maps":  # of all patches, joined, are the most that lives
        head = nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(16, 3)
        net = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), *head).eval()
    captured = []
    original = model.WindowedModel.__call__

    def watched(self, index):
        with LiveBytes() as live:
            found = original(self, index)
        captured.append((live.peak, self))
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model.WindowedModel, "__call__", watched)
        if at_once is not None:
            patch.setattr(model, "rows_for", lambda *_: at_once)
        if n_draws == 1:
            options = {"sliding_window_shapes": (3, 8, 8), "strides": (3, 8, 8)}
            found, direct = both_ways(net, x, target=0, **options)
        else:
            squares = torch.arange(32)[:, None] // 8 * 8 + torch.arange(64) // 8
            options = {"baselines": torch.randn(n_draws, *x.shape[1:]), "feature_mask": squares}
            found, direct = both_ways(net, x, "prediction_difference", target=0, **options)
    torch.testing.assert_close(found, direct, rtol=1e-4, atol=1e-6)
    peak, windowed = max(captured, key=lambda pair: pair[0])
    n_rows = n_draws * len(windowed.patches)
    most = max(min(part.rows_at_once, n_rows) * part.plan.elements for part in windowed.parts)
    assert 0.1 * most * 4 < peak <= most * 4


def test_errors_are_those_of_the_direct_way():
    net, x, _ = build("vgg", batch=2)
    options = {"sliding_window_shapes": (3, 16, 16), "strides": (3, 16, 16)}
    with pytest.raises(ValueError, match=r"target must be in 0 \.\. 4"):
        Occlusion(net).attribute(x, target=5, **options)
    with pytest.raises(ValueError, match="target must have one entry per example, 2"):
        FeatureAblation(net).attribute(x, target=[1, 2, 3], feature_mask=x[:1].long().abs())
