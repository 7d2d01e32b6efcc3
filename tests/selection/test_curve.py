"""Selection curves of other metrics, and of models trained anew for each number of features."""

import pytest
import torch
from linear_table import N, net

from pyxai.selection import greedy_feature_selection, selection_curve

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(60, 3, generator=GENERATOR, dtype=torch.float64)
X[:, 1] += X[:, 0]  # so that what is left makes up for what is missing
Y = X @ torch.tensor([1.0, 2.0, -1.0], dtype=torch.float64)
ORDER = [1, 2, 0]


def least_squares(kept):
    """Fit some columns and the mean."""
    columns = torch.cat([X[:, kept], torch.ones(60, 1, dtype=torch.float64)], 1)
    weights = torch.linalg.lstsq(columns, Y[:, None]).solution[:, 0]
    return lambda rows: rows[:, kept] @ weights[:-1] + weights[-1]


def test_losses_are_those_of_the_fits():
    asked = []

    def retrain(kept):
        asked.append(kept.tolist())
        return least_squares(kept)

    options = {"loss": "squared_error", "baselines": 0.0}
    curve = selection_curve(lambda x: x.sum(1), (X, Y), ORDER, retrain=retrain, **options)
    assert asked == [[], [1], [1, 2], [1, 2, 0]]
    wanted = [(least_squares(torch.tensor(k).long())(X) - Y).square().mean() for k in asked]
    torch.testing.assert_close(curve.values, torch.stack(wanted))
    assert curve.values[-1] < 1e-20
    as_it_is = selection_curve(least_squares(torch.arange(3)), (X, Y), ORDER, **options)
    assert as_it_is.values[1] > curve.values[1] + 0.1


def test_a_selection_stands_for_its_order():
    model = least_squares(torch.arange(3))
    options = {"loss": "squared_error", "baselines": 0.0}
    found = greedy_feature_selection(model, (X, Y), n_select=2, **options)
    curve = selection_curve(model, (X, Y), found, **options)
    assert curve.sizes.tolist() == [0, 1, 2]
    own = selection_curve(model, (X, Y), found.order.tolist(), **options)
    assert torch.equal(curve.values, own.values)


@pytest.mark.parametrize("metric", ["accuracy", "roc_auc"])
def test_other_metrics(metric):
    labels = (Y > 0).long()

    def retrain(kept):
        fit = least_squares(kept)
        return lambda rows: torch.stack([-fit(rows), fit(rows)], 1)

    model = retrain(torch.arange(3))
    curve = selection_curve(model, (X, labels), ORDER, metric=metric, retrain=retrain)
    for size in range(4):
        alone = selection_curve(
            retrain(torch.tensor(ORDER[:size]).long()), (X, labels), ORDER, metric=metric
        )
        assert curve.values[size] == alone.values[size]


def test_curves_of_other_metrics(table):
    from sklearn import metrics

    x, y = table
    labels, model = (y > 0).long(), net(n_classes=2)
    order = [3, 1, 4, 0]
    areas = selection_curve(model, (x, labels), order, metric="roc_auc", sizes=(1, 2, 4))
    hits = selection_curve(model, (x, labels), order, metric="accuracy", sizes=(1, 2, 4))
    mean = x.mean(0)
    for place, size in enumerate((1, 2, 4)):
        rows = mean.repeat(N, 1)
        rows[:, order[:size]] = x[:, order[:size]]
        out = model(rows).detach()
        expected = metrics.roc_auc_score(labels, out[:, 1] - out[:, 0])
        assert areas.values[place] == pytest.approx(expected)
        expected = (out.argmax(1) == labels).double().mean()
        assert hits.values[place] == pytest.approx(float(expected))
