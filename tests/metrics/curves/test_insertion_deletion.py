"""Metrics against closed forms and against captum's where those are right."""

import math

import captum.metrics
import pytest
import torch
from torch import nn

from pyxai import metrics
from pyxai.attribution import FeatureAblation, IntegratedGradients, Saliency

WEIGHT = torch.tensor([3.0, -1.0, 2.0, 0.5], dtype=torch.float64)


def linear(x):
    return x @ WEIGHT.to(x.dtype)


def classes(x):
    return torch.stack([linear(x), -linear(x), 0 * linear(x)], 1)


def net(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)).double().eval()


def sample(batch=3, seed=0):
    return torch.randn(batch, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class TestReveal:
    x = torch.tensor([[1.0, 1.0, 1.0, 1.0], [1.0, 2.0, -1.0, 0.0]], dtype=torch.float64)

    def test_insertion_of_a_linear_model(self):
        scores = self.x * WEIGHT  # ranks: 0 2 3 1 and 0 3 1 2 (ties by number: -2, -2)
        curve = metrics.insertion(linear, self.x, scores, output="logit")
        expected = [[0.0, 3.0, 5.0, 5.5, 4.5], [0.0, 3.0, 3.0, 1.0, -1.0]]
        torch.testing.assert_close(curve.y, torch.tensor(expected, dtype=torch.float64))
        torch.testing.assert_close(curve.x, torch.linspace(0, 1, 5, dtype=torch.float64))
        area = (0 / 2 + 3 + 5 + 5.5 + 4.5 / 2) / 4
        assert curve.auc[0].item() == pytest.approx(area)

    def test_deletion_starts_from_the_input(self):
        curve = metrics.deletion(linear, self.x, self.x * WEIGHT, output="logit")
        expected = torch.tensor([4.5, 1.5, -0.5, -1.0, 0.0], dtype=torch.float64)
        torch.testing.assert_close(curve.y[0], expected)

    def test_groups_are_shown_together(self):
        mask = torch.tensor([[0, 1, 1, 0]])
        curve = metrics.insertion(
            linear, self.x[:1], self.x[:1] * WEIGHT, feature_mask=mask, output="logit"
        )
        # mean scores: (3 + .5) / 2 and (-1 + 2) / 2
        torch.testing.assert_close(curve.y[0], torch.tensor([0.0, 3.5, 4.5], dtype=torch.float64))

    def test_fills(self):
        base = torch.full((1, 4), 2.0, dtype=torch.float64)
        curve = metrics.insertion(
            linear, self.x[:1], self.x[:1] * WEIGHT, baselines=base, output="logit"
        )
        torch.testing.assert_close(curve.y[0, 0], linear(base)[0])
        torch.testing.assert_close(curve.y[0, -1], linear(self.x[:1])[0])

    def test_softmax_auc_is_insertion_of_the_probability(self):
        curve = metrics.softmax_auc(classes, self.x, self.x * WEIGHT, target=0)
        p = [torch.softmax(torch.tensor([v, -v, 0.0]), 0)[0].item() for v in (0, 3, 5, 5.5, 4.5)]
        torch.testing.assert_close(
            curve.y[0], torch.tensor(p, dtype=torch.float64), rtol=1e-6, atol=0
        )
        rising = metrics.softmax_auc(classes, self.x, self.x * WEIGHT, target=0, running_max=True)
        assert (rising.y.diff(dim=1) >= 0).all()
        assert rising.y[0, -1] == curve.y[0].max()

    @pytest.mark.parametrize("reverse", [False, True])
    def test_kl_auc(self, reverse):
        model, x = net(), sample()
        scores = torch.randn(3, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        curve = metrics.kl_auc(model, x, scores, reverse=reverse)
        full = model(x).log_softmax(1)
        for row in range(3):
            shown = torch.zeros_like(x[row])
            for step, feature in enumerate([None, *scores[row].argsort(descending=True).tolist()]):
                if feature is not None:
                    shown[feature] = x[row, feature]
                q = model(shown[None]).log_softmax(1)[0]
                a, b = (q, full[row]) if reverse else (full[row], q)
                expected = (a.exp() * (a - b)).sum()
                torch.testing.assert_close(curve.y[row, step], expected.detach())
        assert curve.y[:, -1].abs().max() < 1e-12

    def test_comprehensiveness_and_sufficiency(self):
        scores = self.x * WEIGHT
        options = {"fractions": (0.25, 0.5), "output": "logit"}
        # the top feature of row 0 is worth 3, the top two 5
        comprehensive = metrics.comprehensiveness(linear, self.x[:1], scores[:1], **options)
        sufficient = metrics.sufficiency(linear, self.x[:1], scores[:1], **options)
        assert comprehensive.item() == pytest.approx((3 + 5) / 2)
        assert sufficient.item() == pytest.approx(((4.5 - 3) + (4.5 - 5)) / 2)

    def test_many_features_get_a_hundred_steps(self):
        x = torch.rand(2, 1000)
        curve = metrics.insertion(lambda rows: rows.sum(1), x, x, output="logit")
        assert curve.y.shape == (2, 101)
        assert (curve.y.diff(dim=1) >= 0).all()

    def test_rows_do_not_depend_on_the_batch(self):
        x, scores = sample(4), sample(4, seed=1)
        whole = metrics.insertion(net(), x, scores, target=[0, 1, 2, 0])
        for i, target in enumerate([0, 1, 2, 0]):
            alone = metrics.insertion(net(), x[i : i + 1], scores[i : i + 1], target=target)
            torch.testing.assert_close(alone.y[0], whole.y[i])


class TestInfidelity:
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


class TestSensitivity:
    def test_linear_model(self):
        assert metrics.sensitivity_max(Saliency(linear).attribute, sample()).max() == 0

    def test_equals_captum(self):
        model, x = net(), sample()

        def perturb(rows, radius):
            generator = torch.Generator().manual_seed(3)
            return rows + torch.rand(rows.shape, generator=generator, dtype=torch.float64) * radius

        method = IntegratedGradients(model)
        options = {"perturb_radius": 0.1, "n_perturb_samples": 5, "target": 2}
        ours = metrics.sensitivity_max(method.attribute, x, perturb, **options)
        theirs = captum.metrics.sensitivity_max(method.attribute, x, perturb, **options)
        torch.testing.assert_close(ours, theirs.double())

    def test_feature_masks_of_each_example_are_repeated(self):
        masks = torch.tensor([[0, 0, 1, 1], [0, 1, 1, 0], [0, 1, 2, 3]])
        model, x = net(), sample()
        options = {"target": [0, 1, 2], "feature_mask": masks}
        whole = metrics.sensitivity_max(FeatureAblation(model).attribute, x, **options)
        for i in range(3):
            alone = metrics.sensitivity_max(
                FeatureAblation(model).attribute,
                x[i : i + 1],
                target=i,
                feature_mask=masks[i : i + 1],
            )
            assert alone.item() == pytest.approx(whole[i].item())

    def test_chunks_do_not_repeat_noise(self):
        seen = []
        metrics.sensitivity_max(
            lambda rows: seen.append(rows) or rows,
            sample(2),
            n_perturb_samples=4,
            max_examples_per_batch=2,
        )
        rows = torch.stack(seen[1:])[:, 0]
        assert len(torch.unique(rows, dim=0)) == 4


class TestQuality:
    def test_completeness(self):
        x = sample()
        exact = metrics.completeness(linear, x, x * WEIGHT)
        assert exact.abs().max() < 1e-12
        off = metrics.completeness(linear, x, x * WEIGHT + 0.25)
        torch.testing.assert_close(off, torch.ones(3, dtype=torch.float64))

    def test_sparseness(self):
        values = torch.tensor([[0.0, 0.0, 0.0, -2.0], [1.0, -1.0, 1.0, 1.0], [0.0, 0, 0, 0]])
        torch.testing.assert_close(
            metrics.sparseness(values), torch.tensor([0.75, 0.0, 0.0], dtype=torch.float64)
        )

    def test_stability(self):
        from scipy.stats import pearsonr, spearmanr

        a, b = sample(3), sample(3, seed=1)
        b[:, 1] = b[:, 0]  # a tie
        for measure, peer in (("spearman", spearmanr), ("pearson", pearsonr)):
            expected = [peer(a[i], b[i]).statistic for i in range(3)]
            found = metrics.stability(a, b, measure=measure)
            torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))
        top = metrics.stability(
            torch.tensor([[4.0, 3, 2, 1]]), torch.tensor([[4.0, 1, 2, 3]]), measure="top", top=0.5
        )
        assert top.item() == 0.5

    def test_point_game(self):
        values = torch.tensor([[0.1, 0.9, -5.0, 0.5], [-1.0, -2.0, -3.0, -4.0]])
        truth = torch.tensor([False, True, True, False])
        assert metrics.point_game(values, truth).tolist() == [1.0, 0.0]
        mass = metrics.point_game(values, truth, mode="mass")
        torch.testing.assert_close(
            mass, torch.tensor([0.6, 0.0], dtype=torch.float64), rtol=1e-6, atol=0
        )

    def test_grid_point_game(self):
        maps = torch.zeros(1, 2, 4, 4)
        maps[0, 0, 0, 3] = 3.0  # upper right cell
        maps[0, 1, 3, 0] = 1.0  # lower left cell
        maps[0, 0, 2, 2] = -9.0
        for cell, expected in enumerate([0.0, 0.75, 0.25, 0.0]):
            assert metrics.grid_point_game(maps, 2, torch.tensor([cell])).item() == expected


class TestErrors:
    def test_attributions_of_another_shape(self):
        x = sample()
        for metric in (
            metrics.insertion,
            metrics.deletion,
            metrics.comprehensiveness,
            metrics.completeness,
        ):
            with pytest.raises(
                ValueError,
                match=r"attributions must have the shape of inputs, \[3, 4\], got \[3, 3\]",
            ):
                metric(linear, x, x[:, :3])
        with pytest.raises(ValueError, match="attributions must have the shape of inputs"):
            metrics.infidelity(linear, TestInfidelity.perturb, x, x[:2])

    def test_nan(self):
        x = sample()
        with pytest.raises(ValueError, match="attributions must be finite"):
            metrics.insertion(linear, x, x * math.nan)

    def test_fractions(self):
        with pytest.raises(ValueError, match=r"fractions must be in \(0, 1\], got \[0.0\]"):
            metrics.sufficiency(linear, sample(), sample(), fractions=(0.0,))

    def test_perturb_func(self):
        x = sample()
        with pytest.raises(TypeError, match="perturb_func must return \\(perturbations"):
            metrics.infidelity(linear, lambda rows: rows, x, x)
        with pytest.raises(
            ValueError, match="perturbed_inputs of perturb_func must have the shapes"
        ):
            metrics.infidelity(linear, lambda rows: (rows, rows[:1]), x, x)

    def test_target_out_of_range(self):
        with pytest.raises(ValueError, match="target"):
            metrics.insertion(net(), sample(), sample(), target=7)

    def test_grid(self):
        with pytest.raises(ValueError, match="cells must divide height 4 and width 4, got 3"):
            metrics.grid_point_game(torch.ones(1, 4, 4), 3, torch.tensor([0]))
        with pytest.raises(ValueError, match="cell must hold 1 numbers from 0 to 3"):
            metrics.grid_point_game(torch.ones(1, 4, 4), 2, torch.tensor([4]))

    def test_kl_needs_classes(self):
        with pytest.raises(ValueError, match="model must return logits"):
            metrics.kl_auc(linear, sample(), sample())


def test_curve_is_readable_and_drawn():
    import matplotlib

    matplotlib.use("Agg")
    curve = metrics.insertion(linear, TestReveal.x, TestReveal.x, output="logit")
    assert "insertion (logit), 2 example(s), 5 points" in repr(curve)
    assert len(curve[0]) == 1
    ax = curve.plot()
    assert ax.get_xlabel() == "fraction of features shown"
    torch.testing.assert_close(curve.mean().auc, curve.auc.mean(0, keepdim=True))
    matplotlib.pyplot.close("all")
