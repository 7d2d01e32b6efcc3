"""Infidelity against closed forms and captum: baselines, groups, batches, extreme numbers."""

import captum.metrics
import pytest
import torch
from four_features import WEIGHT, linear, net, sample
from torch import nn

from pyxai import metrics
from pyxai.attribution import FeatureAblation, IntegratedGradients, Saliency, ShapleyValues


@pytest.fixture(scope="module")
def case():
    generator = torch.Generator().manual_seed(0)
    x, base, scores = torch.randn(3, 3, 4, generator=generator, dtype=torch.float64)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)).double().eval()
    return net, x, base, scores


def noise_like(rows):
    generator = torch.Generator().manual_seed(5)
    return torch.randn(rows.shape, generator=generator, dtype=rows.dtype) * 0.3


def shifted(rows):
    return rows - noise_like(rows)


def between(rows, baselines):
    return torch.where(noise_like(rows) > 0, rows, (rows + baselines) / 2)


class TestBaselinesOfTheDecorator:
    @pytest.mark.parametrize("scaled", [False, True])
    @pytest.mark.parametrize("form", ["number", "one", "each", "touching"])
    @pytest.mark.parametrize("function", [shifted, between])
    def test_equals_captum(self, case, scaled, form, function):
        net, x, base, scores = case
        baselines = {"number": 0.5, "one": base[:1], "each": base, "touching": base.clone()}[form]
        if form == "touching":
            baselines[:, 1] = x[:, 1]  # nothing to divide by
        options = {"target": 1, "n_perturb_samples": 4}
        decorated = metrics.infidelity_perturb_func_decorator(scaled)(function)
        found = metrics.infidelity(net, decorated, x, scores, baselines=baselines, **options)

        def as_captum_calls_it(rows, baselines):
            return function(rows) if function is shifted else function(rows, baselines)

        peer = captum.metrics.infidelity_perturb_func_decorator(scaled)(as_captum_calls_it)
        expected = captum.metrics.infidelity(net, peer, x, scores, baselines=baselines, **options)
        torch.testing.assert_close(found, expected.detach())

    @pytest.mark.parametrize("scaled", [False, True])
    def test_features_of_zero_without_baselines(self, case, scaled):
        """A feature that is 0 has nothing to divide its change by, which counts as it is."""
        net, x, _, scores = case
        x = x.clone()
        x[0, 2], x[1] = 0.0, 0.0
        options = {"target": 1, "n_perturb_samples": 4}
        decorated = metrics.infidelity_perturb_func_decorator(scaled)(shifted)
        found = metrics.infidelity(net, decorated, x, scores, **options)
        change, moved = shifted(x.repeat_interleave(4, 0)), x.repeat_interleave(4, 0)
        noise = moved - change
        ratio = noise / moved if scaled else noise
        ratio = torch.where(moved == 0, noise, ratio)
        predicted = (ratio * scores.repeat_interleave(4, 0)).sum(1)
        said = (net(moved) - net(change))[:, 1].detach()
        torch.testing.assert_close(found, (predicted - said).square().view(3, 4).mean(1))

    @pytest.mark.parametrize("function", [shifted, between])
    def test_integrated_gradients_of_a_linear_model_are_faithful(self, case, function):
        _, x, base, _ = case
        weight = torch.tensor([3.0, -1.0, 2.0, 0.5], dtype=torch.float64)

        def linear(rows):
            return rows @ weight

        scores = IntegratedGradients(linear).attribute(x, base)
        decorated = metrics.infidelity_perturb_func_decorator()(function)
        found = metrics.infidelity(linear, decorated, x, scores, baselines=base)
        assert found.max() < 1e-20

    def test_several_inputs(self, case):
        net, x, base, scores = case

        def split(rows):
            return rows[:, :1], rows[:, 1:]

        def model(first, second):
            return net(torch.cat([first, second], 1))

        @metrics.infidelity_perturb_func_decorator()
        def halfway(rows, baselines):
            return tuple((row + base) / 2 for row, base in zip(rows, baselines, strict=True))

        @metrics.infidelity_perturb_func_decorator()
        def halfway_of_one(rows, baselines):
            return (rows + baselines) / 2

        several = metrics.infidelity(
            model, halfway, split(x), split(scores), baselines=split(base), target=0
        )
        one = metrics.infidelity(net, halfway_of_one, x, scores, baselines=base, target=0)
        torch.testing.assert_close(several, one)


class TestGroups:
    """A group's score stands on each of its members and counts once."""

    weight = torch.tensor([3.0, -1.0, 2.0, 0.5], dtype=torch.float64)

    def linear(self, *rows):
        return torch.cat(rows, 1) @ self.weight

    @pytest.mark.parametrize(
        "mask", [torch.tensor([0, 0, 0, 3]), torch.tensor([[0, 1, 1, 0], [0, 1, 2, 3], [4] * 4])]
    )
    @pytest.mark.parametrize("method", [FeatureAblation, ShapleyValues])
    def test_exact_scores_are_complete_and_faithful(self, case, mask, method):
        _, x, base, _ = case
        scores = method(self.linear).attribute(x, base, feature_mask=mask)
        options = {"baselines": base, "feature_mask": mask}
        assert metrics.completeness(self.linear, x, scores, **options).abs().max() < 1e-12

        def hide_groups(rows, baselines):
            groups = mask.expand(3, 4).repeat_interleave(len(rows) // 3, 0)
            chances = torch.rand(len(rows), 5, generator=torch.Generator().manual_seed(2))
            hidden = chances.gather(1, groups) < 0.5
            return hidden.double(), torch.where(hidden, baselines, rows)

        assert metrics.infidelity(self.linear, hide_groups, x, scores, **options).max() < 1e-20
        without = metrics.infidelity(self.linear, hide_groups, x, scores, baselines=base)
        assert without.max() > 1e-3

    def test_groups_over_several_inputs(self, case):
        _, x, _, _ = case
        inputs, mask = (x[:, :1], x[:, 1:]), (torch.tensor([7]), torch.tensor([7, 7, 8]))
        scores = FeatureAblation(self.linear).attribute(inputs, feature_mask=mask)
        off = metrics.completeness(self.linear, inputs, scores, feature_mask=mask)
        assert off.abs().max() < 1e-12

        def hide_first(rows):
            return (
                (torch.ones_like(rows[0]), torch.tensor([1.0, 1, 0]).expand(len(rows[1]), 3)),
                (0 * rows[0], rows[1] * torch.tensor([0, 0, 1])),
            )

        found = metrics.infidelity(self.linear, hide_first, inputs, scores, feature_mask=mask)
        assert found.max() < 1e-20

    def test_uneven_changes_of_a_group_count_by_their_mean(self):
        def sums(rows):
            return rows.sum(1)

        def one_of_two(rows):
            change = torch.tensor([0.5, 0.0]).expand_as(rows)
            return change, rows - change

        ones = torch.ones(1, 2)
        mask = torch.tensor([0, 0])
        found = metrics.infidelity(sums, one_of_two, ones, 4 * ones, feature_mask=mask)
        assert found.item() == pytest.approx((4 * 0.25 - 0.5) ** 2)


class TestRows:
    @pytest.mark.parametrize("limit", [None, 1, 2, 3, 7, 20])
    def test_a_call_has_no_more_rows_than_allowed(self, case, limit):
        net, x, base, scores = case
        sizes = []

        def perturb(rows, baselines):
            sizes.append(len(rows))
            return rows - baselines, (rows + baselines) / 2

        options = {"target": [0, 1, 2], "baselines": base, "n_perturb_samples": 17}
        found = metrics.infidelity(net, perturb, x, scores, max_examples_per_batch=limit, **options)
        assert sum(sizes) == 51
        assert max(sizes) <= (limit or 51)
        if limit is None:
            assert sizes == [51]
        change = net(x) - net((x + base) / 2)
        expected = ((x - base) * scores).sum(1) - change.gather(1, torch.arange(3)[:, None])[:, 0]
        torch.testing.assert_close(found, expected.detach().square())

    def test_perturbations_in_any_memory_order(self):
        net = nn.Sequential(nn.Flatten(), nn.Linear(18, 2)).eval()
        x = torch.rand(2, 2, 3, 3)

        def perturb(rows):
            moved = rows.flip(0).contiguous(memory_format=torch.channels_last)
            return (rows - moved).contiguous(memory_format=torch.channels_last), moved

        def contiguous(rows):
            return tuple(each.contiguous() for each in perturb(rows))

        found, expected = (
            metrics.infidelity(net, f, x, x, target=0) for f in (perturb, contiguous)
        )
        assert torch.equal(found, expected)

    def test_result_has_no_graph(self, case):
        net, x, _, scores = case
        found = metrics.infidelity(
            net, lambda rows: (rows.requires_grad_(), rows / 2), x, scores, target=0
        )
        assert not found.requires_grad


class TestNumbers:
    @pytest.mark.parametrize("scale", [1e-300, 1e-170, 1e-30, 1e200])
    def test_normalized_error_does_not_depend_on_the_scale(self, case, scale):
        net, x, _, scores = case
        options = {"target": 1, "normalize": True}

        def perturb(rows):
            return noise_like(rows), shifted(rows)

        expected = metrics.infidelity(net, perturb, x, scores, **options)
        found = metrics.infidelity(net, perturb, x, scores * scale, **options)
        torch.testing.assert_close(found, expected)
        nothing = metrics.infidelity(net, perturb, x, 0 * scores, **options)
        as_it_is = metrics.infidelity(net, perturb, x, 0 * scores, target=1)
        torch.testing.assert_close(nothing, as_it_is)

    @pytest.mark.parametrize("broken", [0, 1])
    def test_nan_is_refused(self, case, broken):
        net, x, _, scores = case
        name = ("perturbations", "perturbed_inputs")[broken]

        def perturb(rows):
            return tuple(rows * torch.nan if i == broken else rows for i in range(2))

        with pytest.raises(ValueError, match=f"{name} of perturb_func must be finite, got 120 NaN"):
            metrics.infidelity(net, perturb, x, scores, target=0)


def test_a_scalar_of_the_whole_batch_says_nothing_of_a_row():
    def model(rows):
        return rows.square().sum()

    def half(rows):
        return rows / 2, rows / 2

    x = torch.ones(3, 2)
    message = "model must return one value for each of 3 examples, got one scalar for all"
    with pytest.raises(ValueError, match=message):
        metrics.infidelity(model, half, x, x)
    # 1 - 0.25 for each of two features, of which half of 1 is predicted
    found = metrics.infidelity(model, half, x[:1], x[:1], n_perturb_samples=3)
    assert found.item() == pytest.approx((2 * 0.5 - 2 * 0.75) ** 2)


def test_attributions_of_another_shape():
    x = sample()
    with pytest.raises(ValueError, match="attributions must have the shape of inputs"):
        metrics.infidelity(linear, TestNoise.perturb, x, x[:2])


class TestNoise:
    @staticmethod
    def perturb(inputs):
        generator = torch.Generator().manual_seed(5)
        noise = torch.randn(inputs.shape, generator=generator, dtype=inputs.dtype) * 0.3
        return noise, inputs - noise

    def test_gradient_of_a_linear_model_is_faithful(self):
        x = sample()
        found = metrics.infidelity(
            linear, self.perturb, x, WEIGHT.expand(3, 4), n_perturb_samples=7
        )
        assert found.max() < 1e-20

    @pytest.mark.parametrize("normalize", [False, True])
    def test_equals_captum(self, normalize):
        model, x = net(), sample()
        attributions = Saliency(model).attribute(x, target=1, abs=False)
        options = {"target": 1, "n_perturb_samples": 6, "normalize": normalize}
        ours = metrics.infidelity(model, self.perturb, x, attributions, **options)
        theirs = captum.metrics.infidelity(model, self.perturb, x, attributions, **options)
        torch.testing.assert_close(ours, theirs.detach().double())

    def test_decorated_function_returns_perturbed_inputs_only(self):
        x = sample().abs() + 1

        @metrics.infidelity_perturb_func_decorator()
        def half(inputs):
            return inputs / 2

        # Attributions in output units: half of each is what the perturbation takes away.
        found = metrics.infidelity(linear, half, x, x * WEIGHT, n_perturb_samples=1)
        assert found.max() < 1e-20

    @pytest.mark.parametrize("scaled", [False, True])
    def test_decorated_function_equals_captum_where_inputs_are_0(self, scaled):
        x = sample()
        x[:, 1] = 0

        def perturb(rows):
            return rows - self.perturb(rows)[0]

        options = {"target": 1, "n_perturb_samples": 4}
        found, expected = (
            module.infidelity(
                net(), module.infidelity_perturb_func_decorator(scaled)(perturb), x, x, **options
            )
            for module in (metrics, captum.metrics)
        )
        torch.testing.assert_close(found, expected.detach().double())


def test_perturb_func():
    x = sample()
    with pytest.raises(TypeError, match="perturb_func must return \\(perturbations"):
        metrics.infidelity(linear, lambda rows: rows, x, x)
    with pytest.raises(ValueError, match="perturbed_inputs of perturb_func must have the shapes"):
        metrics.infidelity(linear, lambda rows: (rows, rows[:1]), x, x)
