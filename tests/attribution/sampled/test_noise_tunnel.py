import captum.attr
import pytest
import torch
from captum_peer import TwoInputs, conv, mlp, peer, rows

import pyxai
from pyxai._random import example_ids
from pyxai.attribution import (
    XRAI,
    FeatureAblation,
    InputXGradient,
    IntegratedGradients,
    NoiseTunnel,
    Saliency,
)
from pyxai.ops import philox_normal

WEIGHT = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)


def linear(x):
    return x @ WEIGHT.to(x.dtype)


def own_draws(x, n_samples, stdev, seed=0):
    """Return the noisy copies that the method makes, [batch, n_samples, *features]."""
    noise = philox_normal(
        x.shape[1:], n_samples, seed=seed, example_ids=example_ids(None, (x,)), dtype=x.dtype
    )
    return x[:, None] + stdev * noise


@pytest.mark.parametrize("nt_type", ["smoothgrad", "smoothgrad_sq", "vargrad"])
@pytest.mark.parametrize("at_once", [None, 1, 7])
def test_statistics_of_a_linear_model(nt_type, at_once):
    # Input times gradient of a linear model at x + e is weight * (x + e): all is known by hand.
    x = rows(3, 3, dtype=torch.float64)
    values = WEIGHT * own_draws(x, 20, 0.5, seed=3)
    expected = {
        "smoothgrad": values.mean(1),
        "smoothgrad_sq": values.square().mean(1),
        "vargrad": values.var(1, correction=0),
    }[nt_type]
    result, error = NoiseTunnel(InputXGradient(linear)).attribute(
        x, nt_type, 20, at_once, 0.5, seed=3, return_error=True
    )
    torch.testing.assert_close(result, expected, rtol=1e-12, atol=1e-12)
    if nt_type == "vargrad":
        centred = (values - values.mean(1, keepdim=True)).square()
        by_hand = (centred.var(1, correction=0) / 20).sqrt()
    else:
        by_hand = (values if nt_type == "smoothgrad" else values.square()).std(1) / 20**0.5
    torch.testing.assert_close(error, by_hand, rtol=1e-10, atol=1e-12)


def test_small_variance_beside_a_large_mean_is_kept():
    # E[a**2] - E[a]**2 in float32 would have an error of 1e6 * 1e-7, as large as the variance.
    x = torch.full((1, 3), 1000.0)
    values = NoiseTunnel(InputXGradient(linear)).attribute(x, "vargrad", 50, stdevs=0.5)
    expected = (WEIGHT.float() * own_draws(x, 50, 0.5)).double().var(1, correction=0)
    torch.testing.assert_close(values.double(), expected, rtol=1e-4, atol=0)


@pytest.mark.parametrize("nt_type", ["smoothgrad", "smoothgrad_sq", "vargrad"])
def test_equals_captum_in_distribution(nt_type):
    model, x = mlp(torch.float32, activation=torch.nn.Tanh), rows(2, 6)
    call = {"nt_type": nt_type, "nt_samples": 4000, "stdevs": 0.5, "target": 1}
    ours, error = NoiseTunnel(Saliency(model)).attribute(x, return_error=True, **call)
    torch.manual_seed(0)
    theirs = peer(captum.attr.NoiseTunnel(captum.attr.Saliency(model)), x, **call)
    # Two independent estimates: 5 standard errors of the difference are missed once in 10**6.
    assert ((ours - theirs.detach()).abs() < 5 * 2**0.5 * error).all()
    assert (error < 0.05 * ours.abs().max()).all()


def test_standard_error_covers_the_truth():
    x = rows(200, 3, dtype=torch.float64)
    result, error = NoiseTunnel(InputXGradient(linear)).attribute(
        x, nt_samples=25, stdevs=1.0, return_error=True
    )
    inside = ((result - WEIGHT * x).abs() < 2 * error).double().mean()
    # P(|t_24| < 2) = 0.943; 600 values, so 4 binomial standard deviations are 0.038.
    assert abs(float(inside) - 0.943) < 0.038


def test_delta_belongs_to_every_copy_example_by_example():
    model, x = mlp(torch.float64), rows(3, 6, dtype=torch.float64)
    tunnel = NoiseTunnel(IntegratedGradients(model))
    call = {"nt_samples": 4, "stdevs": 0.1, "target": [0, 1, 2], "n_steps": 8}
    values, delta = tunnel.attribute(x, return_convergence_delta=True, **call)
    assert torch.equal(values, tunnel.attribute(x, **call))
    copies = own_draws(x, 4, 0.1).flatten(0, 1)
    target = torch.tensor([0, 1, 2]).repeat_interleave(4)
    each, expected = IntegratedGradients(model).attribute(
        copies, target=target, n_steps=8, return_convergence_delta=True
    )
    torch.testing.assert_close(delta, expected)
    torch.testing.assert_close(values, each.view(3, 4, 6).mean(1))
    parts = tunnel.attribute(
        x, return_convergence_delta=True, return_error=True, nt_samples_batch_size=3, **call
    )
    torch.testing.assert_close(parts[1], expected)
    assert parts[2].shape == x.shape


def test_arguments_follow_their_example():
    inputs = rows(4, 4), rows(4, 2, 3, seed=1)
    masks = torch.tensor([[0, 0, 1, 1], [0, 1, 1, 0], [0, 1, 2, 3], [0, 0, 0, 0]])
    call = {
        "target": [(0,), (2,), (1,), (2,)],
        "additional_forward_args": (torch.arange(1.0, 5.0),),
        "baselines": (rows(4, 4, seed=3), 0.5),
        "feature_mask": (masks, torch.zeros(1, 1, 1, dtype=torch.int64)),
    }
    tunnel = NoiseTunnel(FeatureAblation(TwoInputs()))
    # Without noise every copy is the example, and any mix-up of rows would show.
    quiet = tunnel.attribute(inputs, nt_samples=3, stdevs=0.0, **call)
    expected = FeatureAblation(TwoInputs()).attribute(inputs, **call)
    torch.testing.assert_close(quiet, expected)
    noisy = tunnel.attribute(inputs, nt_samples=3, stdevs=(0.1, 0.0), **call)
    assert not torch.allclose(noisy[0], expected[0])


def test_noise_of_each_input_has_its_own_stream_and_size():
    x = torch.zeros(1, 50, dtype=torch.float64)

    def model(left, right):
        return left.sum(1) + right.sum(1)

    tunnel = NoiseTunnel(InputXGradient(model))
    left, right = tunnel.attribute((x, x), nt_samples=40, stdevs=(1.0, 3.0))
    assert abs(float(torch.corrcoef(torch.stack([left[0], right[0]]))[0, 1])) < 0.5
    # 40 copies of 50 numbers: the mean of 40 has standard deviation stdev / sqrt(40).
    assert float(left.std() * 40**0.5) == pytest.approx(1, rel=0.35)
    assert float(right.std() * 40**0.5) == pytest.approx(3, rel=0.35)


def test_baselines_can_be_a_distribution():
    x = torch.zeros(2, 3, dtype=torch.float64)
    background = torch.arange(15.0, dtype=torch.float64).reshape(5, 3)
    tunnel = NoiseTunnel(InputXGradient(linear))
    call = {"stdevs": 0.0, "baselines": background, "draw_baseline_from_distrib": True}
    one = tunnel.attribute(x, nt_samples=1, **call)
    draws = -one / WEIGHT
    assert all(any(torch.equal(row, base) for base in background) for row in draws)
    many, error = tunnel.attribute(x, nt_samples=2000, return_error=True, **call)
    assert ((many + WEIGHT * background.mean(0)).abs() < 5 * error).all()
    pair = NoiseTunnel(InputXGradient(lambda a, b: linear(a) + linear(b)))
    call["baselines"] = (background, background)
    left, right = pair.attribute((x, x), nt_samples=3, **call)
    assert torch.equal(left, right)  # one row of the background for both


def test_noise_of_a_row_is_named_by_its_content_or_by_the_caller():
    x = torch.ones(3, 3, dtype=torch.float64)
    tunnel = NoiseTunnel(InputXGradient(linear))
    same = tunnel.attribute(x)
    assert torch.equal(same[0], same[1])
    named = tunnel.attribute(x, example_ids=[7, 8, 9])
    assert not torch.allclose(named[0], named[1])
    assert torch.equal(tunnel.attribute(x[:1], example_ids=torch.tensor([8])), named[1:2])


def test_explain_wraps_a_method_by_name():
    model, x = mlp(), rows(3, 6)
    result = pyxai.explain(
        model,
        x,
        method="noise_tunnel",
        attribution_method="input_x_gradient",
        target=1,
        nt_samples=4,
        at="baseline",
        return_error=True,
    )
    expected = NoiseTunnel(InputXGradient(model)).attribute(
        x, nt_samples=4, target=1, at="baseline", return_error=True
    )
    assert torch.equal(result.attributions, expected[0])
    assert torch.equal(result.error, expected[1])
    nested = pyxai.explain(
        model,
        x,
        method=NoiseTunnel,
        attribution_method=IntegratedGradients,
        target=1,
        n_steps=5,
    )
    assert nested.convergence_delta.shape == (3 * 5,)
    assert nested[1].convergence_delta.shape == (5,)


def test_noise_around_a_method_of_captum():
    # At x + e, a linear model's integrated gradients are weight * (x + e), and delta is 0.
    x = rows(3, 3, dtype=torch.float64)
    tunnel = NoiseTunnel(captum.attr.IntegratedGradients(linear))
    found, delta = tunnel.attribute(
        x, nt_samples=4, stdevs=0.5, seed=3, n_steps=8, return_convergence_delta=True
    )
    expected = WEIGHT * own_draws(x, 4, 0.5, seed=3).mean(1)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)  # it weighs in float32
    assert delta.shape == (12,)
    assert delta.abs().max() < 1e-6
    names = ("Saliency", "FeatureAblation", "InputXGradient")
    for method in (getattr(captum.attr, name) for name in names):
        net, pair = mlp(), rows(3, 6)
        found = NoiseTunnel(method(net)).attribute(pair, nt_samples=2, stdevs=0.0, target=[0, 1, 2])
        expected = peer(method(net), pair, target=[0, 1, 2])
        torch.testing.assert_close(found, expected.detach(), rtol=1e-5, atol=1e-6)
        assert not found.requires_grad
    with pytest.raises(TypeError, match=r"options must be among target, .*, got 'baselines'"):
        NoiseTunnel(captum.attr.Saliency(net)).attribute(pair, target=0, baselines=0)


def test_bad_arguments_are_named():
    x, tunnel = rows(2, 6), NoiseTunnel(Saliency(mlp()))
    for wrong in (linear, captum.attr.Saliency):
        with pytest.raises(TypeError, match="attribution_method must be an Attribution, got a "):
            NoiseTunnel(wrong)
    with pytest.raises(ValueError, match=r"nt_type must be one of 'smoothgrad', .* got 'smooth'"):
        tunnel.attribute(x, "smooth", target=0)
    with pytest.raises(ValueError, match="nt_samples must be at least 1, got 0"):
        tunnel.attribute(x, nt_samples=0, target=0)
    with pytest.raises(ValueError, match="nt_samples must be at least 2, got 1"):
        tunnel.attribute(x, nt_samples=1, target=0, return_error=True)
    with pytest.raises(ValueError, match="nt_samples_batch_size must be at least 1, got 0"):
        tunnel.attribute(x, nt_samples_batch_size=0, target=0)
    with pytest.raises(ValueError, match=r"stdevs must be at least 0, got -1"):
        tunnel.attribute(x, stdevs=-1, target=0)
    with pytest.raises(TypeError, match="stdevs must be a number, got 'x'"):
        tunnel.attribute(x, stdevs="x", target=0)
    with pytest.raises(ValueError, match="stdevs must have 1 entries, one per input tensor, got 2"):
        tunnel.attribute(x, stdevs=(0.1, 0.2), target=0)
    with pytest.raises(TypeError, match=r"options must be among target, .* Saliency, got 'n"):
        tunnel.attribute(x, target=0, n_steps=3)
    with pytest.raises(ValueError, match=r"example_ids must have shape \[2\], got \[3\]"):
        tunnel.attribute(x, target=0, example_ids=[1, 2, 3])
    with pytest.raises(ValueError, match="seed must be at least 0, got -1"):
        tunnel.attribute(x, target=0, seed=-1)
    with pytest.raises(TypeError, match=r"inputs must be floating point .* got torch\.int64"):
        tunnel.attribute(torch.ones(1, 6, dtype=torch.int64), target=0)


def test_segments_of_each_row_follow_its_copies():
    x = rows(3, 2, 7, 8)
    each = torch.stack([torch.arange(56).view(7, 8) // size for size in (7, 14, 28)])
    call = {"nt_samples": 2, "stdevs": 0.1, "target": 1, "n_steps": 2, "min_pixels": 1}
    tunnel = NoiseTunnel(XRAI(conv()))
    together = tunnel.attribute(x, segments=each, **call)
    listed = tunnel.attribute(x, segments=list(each), **call)
    assert torch.equal(together, listed)
    for row in range(3):
        alone = tunnel.attribute(x[row : row + 1], segments=each[row], **call)
        torch.testing.assert_close(together[row], alone[0])
    masks = each[0] == each[0].unique()[:, None, None]  # shared by all, as bool
    shared = tunnel.attribute(x, segments=masks, **call)
    torch.testing.assert_close(shared, tunnel.attribute(x, segments=each[0], **call))


@pytest.mark.parametrize("name", ["draw_baseline_from_distrib", "return_error"])
def test_words_are_no_choice(name):
    with pytest.raises(TypeError, match=f"{name} must be True or False, got 'no'"):
        NoiseTunnel(Saliency(mlp())).attribute(rows(2, 6), target=0, **{name: "no"})
