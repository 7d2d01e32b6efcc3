"""Reports: an encoding shows, honest selections do not look like one."""

import pytest
import torch
from lex_problems import standard_normal
from torch import nn

from pyxai.datasets import S3
from pyxai.imputers import Constant
from pyxai.lex import LEX, Groups, Oracle, Patches, Regime, Subset, report, tabular_networks
from pyxai.metrics import selection_rates

pytestmark = pytest.mark.usefixtures("one_thread")


def noisy_labels(rows, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, 4, generator=generator)
    return x, (x[:, 0] > 0).long()


def test_a_label_written_into_the_mask_shows():
    # The selector looks at feature 0 and keeps feature 1 or 2: the mask says the label.
    def encode(x):
        first = torch.stack([x[:, 0] * 0 - 1, x[:, 0], -x[:, 0], x[:, 0] * 0 - 1], 1)
        return first

    class Reads(nn.Module):
        """Tell which of features 1 and 2 was kept: it is not 0."""

        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(2, 2)

        def forward(self, rows):
            kept = (rows[:, 1:3] != 0).float()
            return torch.stack([kept[:, 1], kept[:, 0]], 1) * 6 + 0 * self.layer(rows[:, :2])

    model = LEX(Reads(), encode, law=Oracle(), imputer=Constant(0.0))
    train, test = noisy_labels(1500, 0), noisy_labels(500, 1)
    truth = torch.zeros(500, 4, dtype=torch.bool)
    truth[:, 0] = True
    model.predictor = nn.Sequential(model.predictor)
    found = report(model, train, test, truth=truth, epochs=12, batch_size=100, lr=0.01)
    assert found.joint.accuracy == 1
    assert found.mask_only.accuracy > 0.99
    assert found.majority < 0.6
    assert (found.tpr, found.fdr, found.esr) == (0, 1, 0.25)
    assert found.fpr == pytest.approx(1 / 3)


def test_an_honest_selection_is_believed_by_a_fresh_predictor():
    train, test = noisy_labels(1500, 0), noisy_labels(500, 1)
    model = LEX(
        *tabular_networks(4, 2, seed=0), law=Subset(1), imputer=standard_normal(), n_imputations=3
    )
    model.fit(train, epochs=6, batch_size=100, lr=3e-3)
    before = {name: each.clone() for name, each in model.state_dict().items()}
    state = torch.random.get_rng_state()
    truth = torch.zeros(500, 4, dtype=torch.bool)
    truth[:, 0] = True
    found = report(model, train, test, truth=truth, epochs=8, batch_size=100, lr=3e-3)
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(each, before[name]) for name, each in model.state_dict().items())
    assert model.training
    assert found.tpr > 0.98
    assert found.joint.accuracy > 0.95
    assert found.eval_x.accuracy > 0.95
    assert found.mask_only.accuracy < found.majority + 0.05
    assert found.full.accuracy > 0.9
    text = str(found)
    assert all(name in text for name in ("EVAL-X", "mask only", "trained jointly", "TPR", "FDR"))
    without = report(model, train, test, epochs=1)
    assert without.tpr is None
    assert "TPR" not in str(without)


def images_and_labels(rows, seed):
    x, y = noisy_labels(rows, seed)
    return x.view(rows, 1, 2, 2).repeat_interleave(2, 2).repeat_interleave(2, 3), y


def test_a_truth_of_pixels_is_one_of_patches():
    train, test = images_and_labels(100, 0), images_and_labels(40, 1)
    networks = (
        nn.Sequential(nn.Flatten(), nn.Linear(16, 2)),
        nn.Sequential(nn.Flatten(), nn.Linear(16, 4)),
    )
    model = LEX(*networks, law=Subset(1), groups=Patches(2))
    pixels = torch.zeros(40, 1, 4, 4, dtype=torch.bool)
    pixels[:, :, 1, 0] = True  # in the first patch
    patches = torch.tensor([[True, False, False, False]])
    options = {"epochs": 1, "batch_size": 50}
    found = [
        report(model, train, test, truth=truth, **options)
        for truth in (pixels, pixels[:1], pixels[0, 0], patches, patches.expand(40, 4))
    ]
    assert len({(each.tpr, each.fpr, each.fdr) for each in found}) == 1
    rates = selection_rates(model.select(test[0]), patches.expand(40, 4))
    assert found[0].tpr == pytest.approx(float(rates.tpr.mean()))
    assert found[0].fdr == pytest.approx(float(rates.fdr.mean()))


def test_a_truth_that_does_not_fit_is_refused_before_judges_are_trained(monkeypatch):
    model = LEX(*tabular_networks(4, 2, seed=0), groups=Groups(torch.tensor([0, 0, 1, 1])))
    data = noisy_labels(10, 0)
    monkeypatch.setattr(LEX, "fit", None)
    for shape in ((10, 3), (9, 4), (10, 1, 4)):
        message = r"truth must broadcast to groups of shape \[10, 2\], or to the inputs of test, "
        with pytest.raises(ValueError, match=message + r"\[10, 4\], got"):
            report(model, data, data, truth=torch.ones(shape, dtype=torch.bool))
    with pytest.raises(TypeError, match=r"truth must have dtype torch\.bool"):
        report(model, data, data, truth=torch.ones(10, 2))


def test_wrong_labels_are_named():
    model = LEX(*tabular_networks(4, 2, seed=0))
    x, y = noisy_labels(10, 0)
    with pytest.raises(TypeError, match=r"labels of test must have dtype torch\.int64"):
        report(model, (x, y), (x, y.float()))


SEEDS = range(8)


def trained(seed, steps, k, imputer, **options):
    # In float64: what float32 rounds, which threads and machines do differently, grows over the
    # steps until a seed's rates differ by .08.
    data = S3(200 * steps, seed=100 + seed, dtype=torch.float64)
    networks = (each.double() for each in tabular_networks(11, 2, seed=seed))
    model = LEX(*networks, law=Subset(k), imputer=imputer, **options)
    model.fit((data.inputs, data.labels), epochs=1, batch_size=200, lr=2e-3, seed=seed)
    return model, data


def test_zeros_encode_more_than_draws_do():
    # examples/lex_encoding.md has the table. Single seeds: -.02 to .06, and .01 to .12.
    test = S3(2_000, seed=1, dtype=torch.float64)
    gaps, in_masks = [], []
    for seed in SEEDS:
        for sign, imputer in ((1, Constant(0.0)), (-1, standard_normal(2))):
            model, data = trained(seed, 300, 2, imputer, n_imputations=2)
            few = data.inputs[:4000], data.labels[:4000]
            found = report(model, few, (test.inputs, test.labels), epochs=5, batch_size=200)
            gaps.append(sign * (found.joint.accuracy - found.eval_x.accuracy))
            in_masks.append(sign * found.mask_only.accuracy)
    assert sum(gaps) / len(SEEDS) > 0.01
    assert sum(in_masks) / len(SEEDS) > 0.05


def test_joint_draws_find_more_than_surrogate_zeros():
    # examples/lex_selection.md has the table. Single seeds: .02 to .22.
    test = S3(2_000, seed=1, dtype=torch.float64)
    surrogate = Regime(predictor="frozen", pretraining="random_masks", pretrain_epochs=1)
    found = []
    for seed in SEEDS:
        for sign, imputer, options in (
            (1, standard_normal(2), {"n_imputations": 2}),
            (-1, Constant(0.0), {"regime": surrogate}),
        ):
            model, _ = trained(seed, 600, 5, imputer, **options)
            rates = selection_rates(model.select(test.inputs), test.truth)
            torch.testing.assert_close(rates.tpr, 1 - rates.fdr)  # five are kept, and five count
            found.append(sign * float(rates.tpr.mean()))
    assert sum(found) / len(SEEDS) > 0.05
