"""Arguments that a metric shares with the one that describes them have the same defaults."""

import inspect

import pytest

from pyxai import metrics


@pytest.mark.parametrize(
    ("metric", "described", "own", "lacking"),
    [
        (metrics.deletion, metrics.insertion, set(), set()),
        (metrics.comprehensiveness, metrics.insertion, {"fractions"}, {"n_points"}),
        (metrics.sufficiency, metrics.comprehensiveness, set(), set()),
        (metrics.softmax_auc, metrics.insertion, {"running_max"}, {"output"}),
        (metrics.kl_auc, metrics.insertion, {"reverse"}, {"output", "target"}),
        (
            metrics.softmax_information_curve,
            metrics.InformationCurves,
            {"attributions", "n_points"},
            {"output"},
        ),
        (
            metrics.accuracy_information_curve,
            metrics.softmax_information_curve,
            set(),
            set(),
        ),
    ],
)
def test_defaults_are_those_of_the_metric_that_describes_them(metric, described, own, lacking):
    mine, theirs = (inspect.signature(each).parameters for each in (metric, described))
    assert mine.keys() - theirs.keys() == own
    assert theirs.keys() - mine.keys() == lacking
    for name in mine.keys() & theirs.keys():
        assert mine[name].default == theirs[name].default, name
        assert mine[name].kind == theirs[name].kind, name
