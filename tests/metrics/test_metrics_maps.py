"""Metrics of maps that score whole pixels: one score for all channels of an image."""

import pytest
import torch
from torch import nn

from pyxai import metrics
from pyxai.attribution import FunctionalInformation, GradCam, LayerAttribution, ShapleyValues

CURVES = [metrics.insertion, metrics.deletion, metrics.softmax_auc, metrics.kl_auc]
NUMBERS = [metrics.comprehensiveness, metrics.sufficiency, metrics.completeness]
PIXELS = torch.arange(12).view(1, 1, 3, 4)


@pytest.fixture(scope="module")
def case():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = nn.Conv2d(2, 4, 2), nn.Tanh(), nn.Flatten(), nn.Linear(24, 3)
        net = nn.Sequential(*layers).double().eval()
        x = torch.randn(2, 2, 3, 4, dtype=torch.float64)
        scores = torch.randn(2, 1, 3, 4, dtype=torch.float64)
    return net, x, scores


def ask(metric, net, x, scores, **options):
    if metric is not metrics.kl_auc:
        options["target"] = torch.tensor([0, 2])
    found = metric(net, x, scores, **options)
    return found if isinstance(found, torch.Tensor) else torch.cat([found.x.flatten(), *found.y])


class TestPixels:
    @pytest.mark.parametrize("metric", CURVES + NUMBERS)
    @pytest.mark.parametrize("channel", [True, False])
    def test_equals_a_mask_with_pixels_as_players(self, case, metric, channel):
        net, x, scores = case
        found = ask(metric, net, x, scores if channel else scores[:, 0])
        want = ask(metric, net, x, scores.expand_as(x), feature_mask=PIXELS)
        assert torch.equal(found, want)
        if metric in CURVES:
            assert len(found) == 3 * 13  # the sizes, and the outputs of two images

    @pytest.mark.parametrize("metric", CURVES + NUMBERS)
    def test_patches(self, case, metric):
        net, x, scores = case
        patches = PIXELS // 3
        found = ask(metric, net, x, scores, feature_mask=patches)
        want = ask(metric, net, x, scores.expand_as(x), feature_mask=patches.expand(1, 2, 3, 4))
        assert torch.equal(found, want)

    def test_the_best_pixel_comes_first_with_all_channels(self, case):
        net, x, scores = case
        curve = metrics.insertion(net, x, scores, target=1)
        best = (
            torch.zeros_like(scores).flatten(1).scatter_(1, scores.flatten(1).argmax(1)[:, None], 1)
        )
        shown = net(x * best.view_as(scores)).softmax(1)[:, 1]
        torch.testing.assert_close(curve.y[:, 1], shown.detach())

    def test_infidelity_counts_a_pixel_once(self, case):
        net, x, scores = case

        def perturb(rows):
            return rows / 2, rows / 2

        found = metrics.infidelity(net, perturb, x, scores, target=0)
        want = metrics.infidelity(
            net, perturb, x, scores.expand_as(x), target=0, feature_mask=PIXELS
        )
        assert torch.equal(found, want)

    def test_several_inputs(self, case):
        net, x, scores = case
        vector = torch.randn(2, 5, generator=torch.Generator().manual_seed(1)).double()

        def model(image, numbers):
            return net(image) * numbers.sum(1, keepdim=True)

        given, full = (scores, vector.abs()), (scores.expand_as(x), vector.abs())
        mask = (PIXELS, torch.arange(12, 17))
        for metric in CURVES + NUMBERS:
            found = ask(metric, model, (x, vector), given)
            assert torch.equal(found, ask(metric, model, (x, vector), full, feature_mask=mask))


class TestMethods:
    def test_grad_cam(self, case):
        net, x, _ = case
        cam = GradCam(net, net[0]).attribute(x, target=0)
        scores = LayerAttribution.interpolate(cam, (3, 4), "bilinear")
        assert scores.shape == (2, 1, 3, 4)
        assert metrics.deletion(net, x, scores, target=0).y.shape == (2, 13)

    def test_parity_of_functional_information(self, case):
        net, x, _ = case
        method = FunctionalInformation(lambda rows: net(rows)[:, 0].square())
        scores = method.attribute(x, parity=True, n_samples=4, labels=torch.zeros(2).long())
        assert scores.shape == (2, 3, 4)
        assert metrics.insertion(net, x, scores, target=0).y.shape == (2, 13)

    def test_exact_scores_of_pixels_are_complete(self, case):
        net, x, _ = case
        scores = ShapleyValues(net).attribute(x, target=0, feature_mask=PIXELS)
        assert metrics.completeness(net, x, scores[:, :1], target=0).abs().max() < 1e-12


class TestRefused:
    def test_a_mask_that_divides_pixels(self, case):
        net, x, scores = case
        channels = torch.arange(2).view(1, 2, 1, 1)
        message = "feature_mask must hold all channels of a pixel in one group"
        for metric in (metrics.insertion, metrics.completeness):
            with pytest.raises(ValueError, match=message):
                metric(net, x, scores, target=0, feature_mask=channels)

    @pytest.mark.parametrize("shape", [(2, 3, 3, 4), (1, 1, 3, 4), (2, 1, 4, 3), (2, 12), (3, 4)])
    def test_other_shapes(self, case, shape):
        net, x, _ = case
        message = (
            r"inputs, \[2, 2, 3, 4\] or \[2, 1, 3, 4\] or \[2, 3, 4\], got \[" + f"{shape[0]}, "
        )
        with pytest.raises(ValueError, match=message):
            metrics.insertion(net, x, torch.ones(shape), target=0)

    def test_series_have_no_pixels(self):
        x = torch.ones(2, 3, 4)
        with pytest.raises(ValueError, match=r"shape of inputs, \[2, 3, 4\], got \[2, 1, 4\]"):
            metrics.insertion(nn.Flatten(), x, x[:, :1], target=0)
