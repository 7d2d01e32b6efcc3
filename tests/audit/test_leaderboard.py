"""A leaderboard says what the rows say: paired, in the right direction, for each class too."""

import numpy as np
import pytest
import torch
from audit_cases import Rows, make_labels, make_net, make_rows

from pyxai.attribution import InputXGradient
from pyxai.audit import BETTER, METRICS, audit, load, prepare, run_shard
from pyxai.audit.leaderboard import columns_of
from pyxai.audit.measures import metrics_asked

METHODS = {
    "saliency": "saliency",
    "ig": ("integrated_gradients", {"n_steps": 4}),
    "dl": "deep_lift",
}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    def undefined(model, inputs, attributions, *, target):
        values = attributions.sum(1)
        return values.where(inputs[:, 0] > -1, torch.nan)

    data = Rows(make_rows(40), make_labels(40), unreadable=(6, 7))
    metrics = {"insertion": "insertion", "deletion": "deletion", "own": undefined}
    out = tmp_path_factory.mktemp("leaderboard")
    return audit(make_net(), data, METHODS, metrics, out, shard_size=7)


def numbers(values, better):
    return values.abs() if better == "zero" else values


@pytest.mark.parametrize("by", [None, "target"])
def test_numbers_are_those_of_the_rows(found, by):
    board, rows = found.leaderboard(by=by), found.rows()
    names = ["gap", "relative_gap", "insertion", "deletion", "own"]
    assert list(board.columns.get_level_values(0).unique()) == names
    assert list(board.index.names) == ["method"] if by is None else ["target", "method"]
    assert len(board) == 3 * (1 if by is None else rows.target.nunique())
    for line, shown in board.iterrows():
        mine = rows[rows.method == (line if by is None else line[1])]
        mine = mine if by is None else mine[mine.target == line[0]]
        for name in names:
            values = numbers(mine[name].dropna(), shown[name].better)
            assert shown[name]["count"] == len(values)
            assert shown[name].failures == mine.error.notna().sum()
            if len(values):
                assert shown[name]["mean"] == pytest.approx(values.mean(), nan_ok=True)
            if len(values) > 1:
                half = 1.959964 * values.sem()
                assert shown[name].low_95 == pytest.approx(values.mean() - half)
                assert shown[name].high_95 == pytest.approx(values.mean() + half)


@pytest.mark.parametrize("name", ["insertion", "deletion", "gap"])
def test_the_best_are_those_whose_paired_differences_do_not_tell(found, name):
    board, rows = found.leaderboard(name)[name], found.rows()
    table = numbers(rows.pivot(index="id", columns="method", values=name), board.better.iloc[0])
    costs = -table if board.better.iloc[0] == "higher" else table
    first = costs.mean().idxmin()
    assert board["rank"].dropna().to_dict() == costs.mean().rank(method="min").dropna().to_dict()
    for method in board.index[board["rank"].notna()]:
        excess = (costs[method] - costs[first]).dropna()
        assert board.best[method] == (excess.mean() - 1.959964 * excess.sem() <= 0)


def board_of(values, way):
    """Return lines of the columns of an array by method, for a board of one column."""
    values = np.asarray(values, float)
    everything = {None: np.ones(len(values), bool)}
    columns = columns_of({"x": way}, lambda name: values, np.zeros(values.shape, bool), everything)
    return {name: column for (_, name), column in columns.items()}


def test_what_rows_share_does_not_hide_a_difference():
    random = np.random.default_rng(0)
    shared, noise = random.normal(0, 10, 200), random.normal(0, 0.5, (200, 2))
    board = board_of(np.stack([shared, shared + 1 + noise[:, 0], shared + noise[:, 1]], 1), "lower")
    assert board["low_95"][1] < board["high_95"][0]  # two intervals do not tell
    assert board["best"] == [True, False, True]
    board = board_of(np.stack([shared, shared + 1 + noise[:, 0]], 1), "higher")
    assert (board["rank"], board["best"]) == ([2, 1], [False, True])


def test_independent_noise_is_no_difference():
    random = np.random.default_rng(1)
    board = board_of(random.normal([0, 0, 0, 5], 1, (50, 4)), "lower")
    assert board["best"] == [True, True, True, False]
    assert sorted(board["rank"]) == [1, 2, 3, 4]


def test_the_mark_counts_false_alarms():
    random, alarms = np.random.default_rng(2), 0
    for _ in range(400):
        values = random.normal(0, 1, (60, 2)) + random.normal(0, 3, (60, 1))
        alarms += board_of(values, "higher")["best"].count(False)
    # Whichever is first, so both tails: 5 % of 400, four standard deviations of it.
    assert abs(alarms - 20) < 4 * (400 * 0.05 * 0.95) ** 0.5


def test_equal_methods_share_a_rank_and_nobody_ranks_what_has_no_direction():
    board = board_of([[1, 1, 2], [2, 2, 3], [4, 4, 5]], "higher")
    assert board["rank"] == [2, 2, 1]
    assert board["best"] == [False, False, True]
    board = board_of([[1, 2], [2, 3]], None)
    assert board["rank"] == board["best"] == [None, None]
    board = board_of([[-3, 1], [3, 1]], "zero")
    assert (board["mean"], board["rank"]) == ([3, 1], [2, 1])


def test_a_method_that_fails_where_it_is_hard_is_compared_where_both_answer():
    hard = np.array([0.0] * 20 + [10.0] * 20)
    jitter = np.random.default_rng(3).normal(0, 0.1, 40)
    flatters = np.where(hard > 0, np.nan, hard + 1 + jitter)  # worse, but the hard rows fail
    board = board_of(np.stack([hard, flatters], 1), "lower")
    assert (board["rank"], board["best"]) == ([2, 1], [True, True])


def test_few_rows():
    board = board_of([[1.0, 2.0, np.nan]], "lower")
    assert board["mean"] == [1, 2, None]
    assert board["low_95"] == [None] * 3
    assert (board["rank"], board["best"]) == ([1, 2, None], [True, True, None])


class Reversed(InputXGradient):
    """The attributions of `InputXGradient` with the other sign, moved to another feature."""

    def attribute(self, inputs, target=None):
        return -super().attribute(inputs, target=target).roll(1, dims=1)


# On a linear model this is right by every measure, and the reverse wrong.
@pytest.mark.parametrize(
    "metric",
    [
        *("completeness", "comprehensiveness", "deletion", "infidelity", "insertion", "kl_auc"),
        *("principles", "softmax_auc", "sufficiency"),
    ],
)
def test_directions_prefer_what_is_right(tmp_path, metric):
    torch.manual_seed(0)
    net = torch.nn.Linear(5, 3, bias=False)
    with torch.no_grad():
        net.weight.mul_(4)
    rows = torch.randn(24, 5, generator=torch.Generator().manual_seed(2))
    methods = {"right": InputXGradient, "wrong": Reversed}
    board = audit(net, rows, methods, metric, tmp_path).leaderboard(metric)
    names = list(board.columns.get_level_values(0).unique())
    assert set(names) <= set(BETTER)
    # Some of the principles hold for both, up to rounding.
    told = [name for name in names if np.ptp(board[name]["mean"]) > 1e-6]
    assert told
    for name in told:
        assert board[name]["rank"].to_dict() == {"right": 1, "wrong": 2}, name


def test_there_is_a_direction_for_every_column_that_is_known():
    columns = {name for metric in METRICS for name in metrics_asked(metric)[0].columns}
    assert set(BETTER) == {"gap", "relative_gap", *columns}
    assert set(BETTER.values()) == {"higher", "lower", "zero"}
    asked = metrics_asked({"mine": "insertion", "fair": "principles"})
    assert asked[0].columns == {"mine": "higher"}
    assert asked[1].columns["fair_P1"] == "higher"


def test_a_direction_can_be_said(found):
    assert found.leaderboard("own")["own"]["rank"].isna().all()
    assert found.leaderboard("own")["own"].better.tolist() == [None] * 3
    board = found.leaderboard(["own", "insertion"], better={"own": "higher"})
    assert sorted(board["own"]["rank"]) == [1, 2, 3]
    assert board["own"].better.tolist() == ["higher"] * 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metrics": "seconds"}, "metrics must be one of 'gap', 'relative_gap', 'insertion'"),
        ({"metrics": []}, "metrics must name at least one column, got none"),
        ({"by": "label"}, "by must be one of 'target', got 'label'"),
        ({"better": {"own": "more"}}, "better of own must be one of 'higher', 'lower', 'zero'"),
        ({"better": {"x": "lower"}}, "better must be one of .*, got 'x'"),
    ],
)
def test_arguments_are_checked(found, change, message):
    with pytest.raises(ValueError, match=message):
        found.leaderboard(**change)


def test_an_audit_on_its_way_has_one(tmp_path):
    job = prepare(make_net(), make_rows(), METHODS, "insertion", tmp_path, shard_size=10)
    with pytest.raises(ValueError, match="out must have a shard that is done"):
        load(tmp_path).leaderboard()
    run_shard(job, 1)
    assert load(tmp_path).leaderboard()["insertion"]["count"].tolist() == [10] * 3


def test_gaps_are_relative_to_the_change_from_the_baselines(tmp_path):
    net, rows = make_net(), make_rows(8)
    background = make_rows(5, seed=9)
    rows[3] = 0.5  # the baseline: nothing changes
    methods = {
        "ig": ("integrated_gradients", {"n_steps": 3}),
        "own": ("integrated_gradients", {"n_steps": 3, "baselines": torch.ones(1, 6)}),
        "shap": ("gradient_shap", {"baselines": background}),
        "lrp": "lrp",
        "saliency": "saliency",
    }
    table = audit(net, rows, methods, out=tmp_path, baselines=0.5, batch_size=3).rows()
    target = net(rows).argmax(1, keepdim=True)

    def at(starts):
        return net(starts).mean(0, keepdim=True).expand(8, -1).gather(1, target)[:, 0]

    starts = {
        "ig": torch.full((1, 6), 0.5),
        "own": torch.ones(1, 6),
        "shap": background,
    }
    for name, start in starts.items():
        mine = table[table.method == name]
        change = (net(rows).gather(1, target)[:, 0] - at(start)).detach().numpy()
        assert np.isnan(mine.relative_gap.iloc[3]) == (name == "ig") == (change[3] == 0)
        change[change == 0] = np.nan
        expected = np.abs(mine.gap.to_numpy() / change)
        np.testing.assert_allclose(mine.relative_gap, expected, rtol=1e-4)
    for name in ("lrp", "saliency"):
        assert table[table.method == name].relative_gap.isna().all()


def test_infinite_numbers_have_a_mean_and_no_spread(tmp_path):
    def endless(model, inputs, attributions, *, target):
        sums = attributions.sum(1)
        ends = torch.where(attributions.amin(1) < 0, torch.inf, sums)  # never of saliency
        return ends.where(inputs[:, 0] > -1, sums)

    def both(model, inputs, attributions, *, target):
        return inputs[:, 0].sign() * torch.inf

    metrics = {"own": endless, "both": both}
    found = audit(make_net(), make_rows(40), METHODS, metrics, tmp_path)
    rows = found.rows(["method", "own"])
    board = found.leaderboard(["own", "both"], better={"own": "lower", "both": "lower"})
    assert board["own", "mean"].tolist() == [pytest.approx(rows.own[::3].mean()), np.inf, np.inf]
    assert board["own", "low_95"].isna().tolist() == [False, True, True]
    assert board["own", "rank"].tolist() == [1, 2, 2]
    assert board["own", "best"].tolist() == [True, False, False]
    assert board["both", "mean"].isna().all()
    assert board["both", "rank"].isna().all()
    whole = found.statistics()
    whole = whole[(whole.column == "own") & whole["class"].isna()].set_index("method")
    assert whole["std"].isna().tolist() == [False, True, True]
    for method, mine in rows.groupby("method"):
        assert whole.loc[method, "max"] == mine.own.max()
