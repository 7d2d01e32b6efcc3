"""The largest change of an explanation: which noise a row gets, and what follows the rows."""

import captum.attr
import captum.metrics
import pytest
import torch
from torch import nn

from pyxai import metrics
from pyxai.attribution import FeatureAblation, IntegratedGradients, Saliency


@pytest.fixture(scope="module")
def net():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)).double().eval()


def sample(batch):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(batch, 4, generator=generator, dtype=torch.float64)


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


@pytest.mark.parametrize("order", ["nuc", True, float("nan")])
def test_norms_of_matrices_are_refused(net, order):
    with pytest.raises(ValueError, match='norm_ord must be "fro" or a number, got'):
        metrics.sensitivity_max(Saliency(net).attribute, sample(2), target=0, norm_ord=order)
