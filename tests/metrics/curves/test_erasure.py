"""Comprehensiveness and sufficiency: closed forms, and which fractions may be asked for."""

import pytest
import torch
from four_features import ROWS, WEIGHT, linear, sample
from torch import nn

from pyxai import metrics


@pytest.fixture(scope="module")
def case():
    generator = torch.Generator().manual_seed(0)
    x, scores = torch.randn(2, 4, 5, generator=generator, dtype=torch.float64)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3)).double().eval()
    return net, x, scores


def test_comprehensiveness_and_sufficiency():
    scores = ROWS * WEIGHT
    options = {"fractions": (0.25, 0.5), "output": "logit"}
    # the top feature of row 0 is worth 3, the top two 5
    comprehensive = metrics.comprehensiveness(linear, ROWS[:1], scores[:1], **options)
    sufficient = metrics.sufficiency(linear, ROWS[:1], scores[:1], **options)
    assert comprehensive.item() == pytest.approx((3 + 5) / 2)
    assert sufficient.item() == pytest.approx(((4.5 - 3) + (4.5 - 5)) / 2)


def test_fractions_of_nothing_are_refused():
    with pytest.raises(ValueError, match=r"fractions must be in \(0, 1\], got \[0.0\]"):
        metrics.sufficiency(linear, sample(), sample(), fractions=(0.0,))


class TestFractions:
    @pytest.mark.parametrize("metric", [metrics.comprehensiveness, metrics.sufficiency])
    def test_one_number_is_one_fraction(self, case, metric):
        found = metric(*case, target=0, fractions=0.4)
        assert torch.equal(found, metric(*case, target=0, fractions=[0.4]))
        generated = metric(*case, target=0, fractions=(share / 10 for share in (4,)))
        assert torch.equal(found, generated)

    @pytest.mark.parametrize(
        ("fractions", "error", "message"),
        [
            ([0.5, float("nan")], ValueError, r"in \(0, 1\], got \[0.5, nan\]"),
            ([0.0], ValueError, r"in \(0, 1\], got \[0.0\]"),
            ([], ValueError, r"in \(0, 1\], got \[\]"),
            (1.5, ValueError, r"in \(0, 1\], got \[1.5\]"),
            ("a", TypeError, r"numbers in \(0, 1\], got 'a'"),
            (["a"], TypeError, r"numbers in \(0, 1\], got a list of 1"),
            (None, TypeError, r"numbers in \(0, 1\], got None"),
        ],
    )
    def test_others_are_refused(self, case, fractions, error, message):
        with pytest.raises(error, match="fractions must be " + message):
            metrics.comprehensiveness(*case, target=0, fractions=fractions)

    @pytest.mark.parametrize(
        ("fraction", "count"),
        [(0.28, 7), (7 / 25, 7), (0.2804, 8), (0.2796, 7), (0.0004, 1), (1.0, 25)],
    )
    def test_shares_are_rounded_up_but_for_rounding_errors(self, fraction, count):
        """0.28 * 25 is a little above 7 as a float; 0.2804 * 25 is 7.01, more than 7."""
        assert 0.28 * 25 > 7

        def shown(rows):  # how many features are there
            return torch.stack([rows.sum(1), torch.zeros(len(rows))], 1)

        x = torch.ones(1, 25)
        drop = metrics.sufficiency(shown, x, x, target=0, output="logit", fractions=fraction)
        assert drop.item() == 25 - count
