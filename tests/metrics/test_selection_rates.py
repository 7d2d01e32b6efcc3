"""Rates of selections, counted by hand."""

import pytest
import torch

from pyxai import metrics

TRUTH = torch.tensor([[True, True, False, False, False], [True, False, False, False, False]])


def check(found, tpr, fpr, fdr):
    for name, want in (("tpr", tpr), ("fpr", fpr), ("fdr", fdr)):
        wanted = torch.tensor(want, dtype=torch.float64)
        torch.testing.assert_close(getattr(found, name), wanted, equal_nan=True)


def test_selections():
    selected = torch.tensor([[1, 0, 1, 1, 0], [0, 0, 0, 0, 0]]).bool()
    check(metrics.selection_rates(selected, TRUTH), [1 / 2, 0], [2 / 3, 0], [2 / 3, 0])
    nothing, everything = torch.zeros(2, 5).bool(), torch.ones(5).bool()
    check(metrics.selection_rates(selected, nothing), [torch.nan] * 2, [3 / 5, 0], [1, 0])
    check(metrics.selection_rates(selected, everything), [3 / 5, 0], [torch.nan] * 2, [0, 0])


def test_attributions():
    values = torch.tensor([[5.0, 1.0, 4.0, -9.0, 4.0], [0.0, 0.0, 0.0, 0.0, 0.0]])
    # 0 2 (before 4, its equal) and 0 1
    check(metrics.selection_rates(values, TRUTH, k=2), [1 / 2, 1], [1 / 3, 1 / 4], [1 / 2, 1 / 2])
    found = metrics.selection_rates(values, TRUTH, threshold=0.5)
    check(found, [1, 0], [2 / 3, 0], [1 / 2, 0])
    by_size = metrics.selection_rates(values, TRUTH, k=1, absolute=True)
    check(by_size, [0, 1], [1 / 3, 0], [1, 0])
    for rate, everything in zip(
        metrics.selection_rates(values, TRUTH, k=5),
        metrics.selection_rates(torch.ones(2, 5, dtype=torch.bool), TRUTH),
        strict=True,
    ):
        assert torch.equal(rate, everything)
    images = values.view(2, 1, 1, 5)
    check(metrics.selection_rates(images, TRUTH.view(2, 1, 1, 5), k=0), [0, 0], [0, 0], [0, 0])


@pytest.mark.parametrize("dtype", [torch.int8, torch.int16, torch.int32, torch.int64])
def test_the_least_whole_number_is_large(dtype):
    values = torch.tensor([[torch.iinfo(dtype).min, 3, -2, 1, 0]], dtype=dtype)
    found = metrics.selection_rates(values, TRUTH[:1], k=2, absolute=True)
    check(found, [1], [0], [0])
    above = metrics.selection_rates(values, TRUTH[:1], threshold=2.5, absolute=True)
    check(above, [1], [0], [0])


@pytest.mark.parametrize(
    ("values", "truth", "options", "error", "message"),
    [
        (torch.ones(2, 5), TRUTH, {}, ValueError, "one of k and threshold must be given"),
        (torch.ones(2, 5), TRUTH, {"k": 1, "threshold": 0.0}, ValueError, "one of k and"),
        (torch.ones(2, 5), TRUTH, {"k": 6}, ValueError, "k must be at most 5, all features, got 6"),
        (torch.ones(2, 5), TRUTH.int(), {"k": 1}, TypeError, "truth must be bool, got torch.int32"),
        (torch.ones(2, 4), TRUTH, {"k": 1}, ValueError, r"truth must broadcast to \[2, 4\], got"),
        (torch.ones(2, 5) / 0, TRUTH, {"k": 1}, ValueError, "selected must be finite"),
        (TRUTH, TRUTH, {"k": 1}, ValueError, "k and threshold must be None where selected is bool"),
        (torch.ones(5), TRUTH, {"k": 1}, ValueError, "selected must have examples and features"),
    ],
)
def test_errors(values, truth, options, error, message):
    with pytest.raises(error, match=message):
        metrics.selection_rates(values, truth, **options)
