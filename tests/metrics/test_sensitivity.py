"""The largest change of an explanation: which noise a row gets, and what follows the rows."""

import captum.attr
import captum.metrics
import pytest
import torch
from four_features import linear
from torch import nn

from pyxai import metrics
from pyxai.attribution import (
    FeatureAblation,
    GradientShap,
    IntegratedGradients,
    NoiseTunnel,
    Occlusion,
    Saliency,
)
from pyxai.metrics.sensitivity import _takes_ids


@pytest.fixture(scope="module")
def net():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)).double().eval()


def sample(batch):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(batch, 4, generator=generator, dtype=torch.float64)


SHAPES = r"perturb_func must return rows of shapes \[\[\d+, 4\]\], got"


class TestNoise:
    @pytest.mark.parametrize("limit", [None, 3, 7, 9])
    def test_a_row_gets_what_it_gets_alone(self, net, limit):
        x, options = sample(3), {"target": 1, "n_perturb_samples": 6}
        method = IntegratedGradients(net)
        whole = metrics.sensitivity_max(
            method.attribute, x, max_examples_per_batch=limit, **options
        )
        alone = [metrics.sensitivity_max(method.attribute, row[None], **options) for row in x]
        torch.testing.assert_close(whole, torch.cat(alone), rtol=1e-12, atol=0)

    def test_seeds_share_no_noise(self):
        seen = {}
        for seed in (0, 1):
            rows = seen[seed] = []
            metrics.sensitivity_max(
                lambda x, rows=rows: rows.append(x) or x,
                sample(1),
                n_perturb_samples=5,
                max_examples_per_batch=1,
                seed=seed,
            )
        moved = torch.cat(seen[0][1:] + seen[1][1:])
        assert len(torch.unique(moved, dim=0)) == 10

    def test_equal_rows_are_moved_apart(self):
        x = sample(2)
        rows = x.repeat_interleave(3, 0)
        (moved,) = metrics.default_perturb_func(rows, 0.1)
        assert len(torch.unique(moved, dim=0)) == 6
        assert (moved - rows).abs().max() <= 0.1
        (other,) = metrics.default_perturb_func(rows.flip(0), 0.1)
        torch.testing.assert_close(moved[:3].sum(0), other[3:].sum(0))


@pytest.mark.parametrize("radius", [0.02, 3.0])
def test_noise_fills_the_radius(radius):
    """Uniform in [-r, r]: of 10,000 numbers the largest lie within 0.2 % of both ends."""
    x, seen = torch.zeros(1, 1000, dtype=torch.float64), []
    metrics.sensitivity_max(
        lambda rows: seen.append(rows) or rows, x, perturb_radius=radius, n_perturb_samples=10
    )
    for moved in (torch.cat(seen[1:]), *metrics.default_perturb_func(x.expand(10, -1), radius)):
        assert -radius <= moved.min() < -0.998 * radius
        assert 0.998 * radius < moved.max() <= radius


class Extra(nn.Module):
    def forward(self, x, extra):
        return (x.square() * extra).cumsum(1)


class TestWhatFollows:
    @pytest.mark.filterwarnings("ignore:Input Tensor 0 did not already require gradients")
    @pytest.mark.parametrize("batch", [1, 3])
    def test_extra_arguments_and_targets(self, batch):
        x, extra = sample(3)[:batch], 1 + sample(3)[:batch].square()
        target = torch.tensor([1, 2, 3])[:batch]

        def shift(rows, radius):
            return rows + radius

        ours = metrics.sensitivity_max(
            Saliency(Extra()).attribute, x, shift, target=target, additional_forward_args=extra
        )
        theirs = captum.metrics.sensitivity_max(
            captum.attr.Saliency(Extra()).attribute,
            x,
            lambda rows, radius: (shift(rows, radius),),
            target=target,
            additional_forward_args=extra,
        )
        torch.testing.assert_close(ours, theirs)

    @pytest.mark.parametrize("name", ["feature_mask", "baselines"])
    def test_one_for_all_of_as_many_features_as_examples(self, net, name):
        x = sample(4)
        one = {"feature_mask": torch.tensor([0, 0, 1, 1]), "baselines": torch.zeros(4).double()}
        method = FeatureAblation(net).attribute
        found = metrics.sensitivity_max(method, x, target=1, **{name: one[name]})
        each = metrics.sensitivity_max(method, x, target=1, **{name: one[name].expand(4, 4)})
        torch.testing.assert_close(found, each)

    def test_lists_as_long_as_the_batch_are_options(self):
        x = sample(2)[:, None]  # windows have two sizes, as many as there are examples
        method = Occlusion(lambda rows: rows.flatten(1).cumsum(1)).attribute
        options = {"target": 1, "baselines": 0.5}
        found = metrics.sensitivity_max(method, x, sliding_window_shapes=[1, 2], **options)
        each = metrics.sensitivity_max(method, x, sliding_window_shapes=(1, 2), **options)
        torch.testing.assert_close(found, each)


class TestDraws:
    """An explanation that draws gives a moved example the draws of the original."""

    @pytest.mark.parametrize("batch", [1, 4])
    @pytest.mark.parametrize("ids", [None, list, torch.tensor])
    @pytest.mark.parametrize("kind", [GradientShap, NoiseTunnel])
    def test_draws_are_kept(self, net, kind, ids, batch):
        x, options = sample(4)[:batch], {"target": 1, "perturb_radius": 1e-12}
        if ids is not None:
            options["example_ids"] = ids(range(batch)) if ids is list else ids([3] * batch)
        if kind is GradientShap:
            options["baselines"] = sample(4) / 2
        method = kind(Saliency(net) if kind is NoiseTunnel else net)
        assert metrics.sensitivity_max(method.attribute, x, **options).max() < 1e-10

    def test_rows_do_not_depend_on_the_batch(self, net):
        x, options = sample(3), {"target": 1, "baselines": sample(5) / 2}
        method = GradientShap(net).attribute
        whole = metrics.sensitivity_max(method, x, **options)
        alone = [metrics.sensitivity_max(method, row[None], **options) for row in x]
        torch.testing.assert_close(whole, torch.cat(alone))


class TestNumbers:
    @pytest.mark.parametrize("order", ["fro", 1, 3.0, float("inf"), -1])
    @pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e200, 1e300])
    def test_scale_of_the_explanation_does_not_matter(self, order, scale):
        expected = metrics.sensitivity_max(lambda rows: rows, sample(3), norm_ord=order)
        found = metrics.sensitivity_max(lambda rows: rows * scale, sample(3), norm_ord=order)
        torch.testing.assert_close(found, expected)

    def test_change_of_an_explanation_of_nothing_is_absolute(self):
        found = metrics.sensitivity_max(
            lambda rows: rows - 2, torch.full((2, 4), 2.0), lambda rows, radius: rows + radius
        )
        torch.testing.assert_close(found, torch.full((2,), 0.04).double(), rtol=1e-5, atol=0)

    def test_changed_entries_are_counted(self):
        x = torch.tensor([[1.0, 2.0, 0.0, 0.0]])

        def last(rows):
            return torch.cat([rows[:, :3], rows[:, 3:] + 1e-200], 1)

        found = metrics.sensitivity_max(lambda rows: rows.double(), x.double(), last, norm_ord=0)
        assert found.item() == 0.5

    def test_whole_numbers_take_no_noise(self):
        x = torch.ones(2, 3, dtype=torch.int64)
        message = "inputs must be floating point for noise to be added, .* got torch.int64"
        with pytest.raises(TypeError, match=message):
            metrics.sensitivity_max(lambda rows: rows, x)
        with pytest.raises(TypeError, match=message):
            metrics.default_perturb_func(x)
        found = metrics.sensitivity_max(lambda rows: rows, x, lambda rows: rows + 1)
        assert found.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"norm_ord": "nuc"}, ValueError, "norm_ord must be \"fro\" or a number, got 'nuc'"),
        ({"norm_ord": True}, ValueError, 'norm_ord must be "fro" or a number, got True'),
        ({"norm_ord": float("nan")}, ValueError, 'norm_ord must be "fro" or a number, got nan'),
        ({"norm_ord": None}, TypeError, 'norm_ord must be "fro" or a number, got None'),
        ({"perturb_radius": "a"}, TypeError, "perturb_radius must be a finite number of at least"),
        ({"perturb_radius": -1}, ValueError, "perturb_radius must be a finite number .*, got -1"),
        ({"perturb_radius": float("nan")}, ValueError, "perturb_radius must be .*, got nan"),
        ({"perturb_radius": float("inf")}, ValueError, "perturb_radius must be .*, got inf"),
        ({"example_ids": [1]}, ValueError, r"example_ids must have shape \[2\], got \[1\]"),
        ({"perturb_func": 3}, TypeError, "perturb_func must be callable, got 3"),
        ({"perturb_func": lambda rows: rows[:1]}, ValueError, SHAPES),
        ({"perturb_func": lambda rows: rows[:, :1]}, ValueError, SHAPES),
        ({"perturb_func": lambda rows: (rows, rows)}, ValueError, SHAPES),
    ],
)
def test_arguments_are_checked(net, change, error, message):
    with pytest.raises(error, match=message):
        metrics.sensitivity_max(Saliency(net).attribute, sample(2), target=0, **change)


@pytest.mark.parametrize("order", [1, 2, float("inf")])
def test_an_explanation_that_falls_everywhere(order):
    x = torch.ones(2, 4, dtype=torch.float64)
    found = metrics.sensitivity_max(lambda rows: -rows, x, lambda rows: rows + 0.1, norm_ord=order)
    torch.testing.assert_close(found, torch.full((2,), 0.1, dtype=torch.float64))


class TestPeers:
    def test_linear_model(self):
        assert metrics.sensitivity_max(Saliency(linear).attribute, sample(3)).max() == 0

    def test_equals_captum(self, net):
        model, x = net, sample(3)

        def perturb(rows, radius):
            generator = torch.Generator().manual_seed(3)
            return rows + torch.rand(rows.shape, generator=generator, dtype=torch.float64) * radius

        method = IntegratedGradients(model)
        options = {"perturb_radius": 0.1, "n_perturb_samples": 5, "target": 2}
        ours = metrics.sensitivity_max(method.attribute, x, perturb, **options)
        theirs = captum.metrics.sensitivity_max(method.attribute, x, perturb, **options)
        torch.testing.assert_close(ours, theirs.double())

    def test_feature_masks_of_each_example_are_repeated(self, net):
        masks = torch.tensor([[0, 0, 1, 1], [0, 1, 1, 0], [0, 1, 2, 3]])
        model, x = net, sample(3)
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


def test_functions_of_c_are_taken_to_name_no_examples():
    assert not _takes_ids(max)  # which has no signature
    assert not _takes_ids(lambda inputs: inputs)
    assert _takes_ids(lambda inputs, *, example_ids=None: inputs)
