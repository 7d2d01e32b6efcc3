"""Selection over a data set: closed forms, batches that must not matter, and a real table."""

import itertools

import pytest
import torch
from linear_table import WEIGHT, D, LinearTable, N, draws, linear, net
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from pyxai import PyxaiWarning
from pyxai.greedy import path_nodes
from pyxai.selection import (
    baseline_feature_selection,
    greedy_feature_selection,
    selection_curve,
)
from pyxai.selection.growing import GrowingScores
from pyxai.selection.problem import objective_of


class TestClosedForms(LinearTable):
    def test_scores_are_the_path_integral(self):
        """The loss is (1 - t)^2 |rest|^2 on the path, so that its mean slope is known."""
        found = greedy_feature_selection(linear, (self.x, self.y), loss="squared_error", rounds=[6])
        rest = self.parts.sum(1, keepdim=True)
        expected = (self.parts * rest).mean(0)
        torch.testing.assert_close(found.scores, expected[found.order])
        assert found.order.tolist() == expected.argsort(descending=True).tolist()

    def test_second_round_starts_from_the_first(self):
        found = greedy_feature_selection(linear, (self.x, self.y), loss="squared_error")
        shown = []
        for feature, score in zip(found.order.tolist(), found.scores, strict=True):
            rest = self.parts[:, [i for i in range(D) if i not in shown]].sum(1, keepdim=True)
            expected = (self.parts * rest).mean(0)
            torch.testing.assert_close(score, expected[feature])
            left = [i for i in range(D) if i not in shown]
            assert feature == max(left, key=lambda i: float(expected[i]))
            shown.append(feature)

    def test_curve_is_the_loss_of_each_prefix(self):
        found = greedy_feature_selection(linear, (self.x, self.y), loss="squared_error")
        order = found.order.tolist()
        expected = torch.stack([self.loss_of(order[:k]) for k in range(D + 1)])
        torch.testing.assert_close(found.curve.values, expected)
        assert found.curve.sizes.tolist() == list(range(D + 1))
        assert found.curve.mean == pytest.approx(float(expected[1:].mean()))
        area = float(torch.trapezoid(expected) / D)
        assert found.curve.auc == pytest.approx(area)

    def test_shortlist_of_all_is_exact_greedy(self):
        options = {"loss": "squared_error"}
        exact = baseline_feature_selection(linear, (self.x, self.y), order_by="exact", **options)
        short = greedy_feature_selection(linear, (self.x, self.y), shortlist=D, **options)
        assert short.order.tolist() == exact.order.tolist()

    def test_adaptive_rounds_take_what_keeps_its_promise(self):
        """Columns that do not interact gain what their scores say, so one round takes them all."""
        x = torch.linalg.qr(draws(N, D, seed=7) - draws(N, D, seed=7).mean(0)).Q
        found = greedy_feature_selection(
            linear, (x, linear(x)), loss="squared_error", rounds="adaptive", baselines=0.0
        )
        assert (found.round_index == 0).all()
        assert found.order.tolist() == WEIGHT.square().argsort(descending=True).tolist()

    def test_stops_when_the_rest_adds_little(self):
        found = greedy_feature_selection(
            linear, (self.x, self.y + 3), loss="squared_error", epsilon=0.2
        )
        reached = int((found.round_index >= 0).sum())
        losses, full = found.curve.values, found.curve.values[-1]
        assert 0 < reached < D
        assert losses[reached] <= 1.2 * full < losses[reached - 1]
        assert sorted(found.order.tolist()) == list(range(D))

    def test_linear_gain_gives_one_order_for_all_rounds(self):
        def loss(outputs, labels):
            return labels - outputs

        orders = {
            tuple(
                greedy_feature_selection(
                    linear, (self.x, self.y), loss=loss, baselines=-5.0, rounds=rounds
                ).order.tolist()
            )
            for rounds in (1, 2, 4, "geometric", [6])
        }
        mean = WEIGHT * (self.x + 5).mean(0)
        assert orders == {tuple(mean.argsort(descending=True, stable=True).tolist())}


def test_quadratic_gain_with_one_node():
    """G = c'w + w'Hw / 2 with a zero diagonal: one midpoint gives the closed form exactly."""
    c, h = draws(D, seed=3), draws(D, D, seed=4)
    h = (h + h.T).fill_diagonal_(0)
    data = (torch.ones(4, D, dtype=torch.float64), torch.zeros(4))

    def model(w):
        return w @ c + ((w @ h) * w).sum(1) / 2

    found = greedy_feature_selection(
        model, data, loss=lambda out, y: -out, baselines=0.0, n_steps=1
    )
    shown = torch.zeros(D, dtype=torch.float64)
    for feature, score in zip(found.order.tolist(), found.scores, strict=True):
        expected = c + h @ shown + h @ (1 - shown) / 2
        torch.testing.assert_close(score, expected[feature])
        shown[feature] = 1


def test_twins_share_credit_and_are_not_both_first():
    """A column that stands twice, each with half of its weight, in a net that saturates."""
    x = draws(200, 3, seed=5)
    x = torch.cat([x[:, :1], x], 1)
    labels = (x[:, 0] + 0.4 * x[:, 2] > 0).long()

    def model(rows):  # the twins together say most of it, but one of them says it too
        told = torch.tanh(4 * (rows[:, 0] + rows[:, 1]))
        return torch.stack([-told - rows[:, 2], told + rows[:, 2]], 1)

    first = baseline_feature_selection(model, (x, labels), order_by="one_shot")
    scores = torch.zeros(4, dtype=torch.float64).scatter_(0, first.order, first.scores)
    torch.testing.assert_close(scores[0], scores[1])
    found = greedy_feature_selection(model, (x, labels))
    assert set(found.order[:2].tolist()) == {0, 2}
    assert set(first.order[:2].tolist()) == {0, 1}


def test_columns_that_cannot_matter_score_zero(table):
    x, y = table
    x = x.clone()
    x[:, 2] = 7.0  # equals its mean
    model = net()
    with torch.no_grad():
        model[0].weight[:, 4] = 0.0  # not read
    found = greedy_feature_selection(model, (x, y), rounds=[D])
    scores = torch.zeros(D, dtype=torch.float64).scatter_(0, found.order, found.scores)
    assert scores[2] == 0
    assert scores[4] == 0
    assert (scores[[0, 1, 3, 5]] != 0).all()


def test_an_order_that_means_nothing_is_told(table):
    rows, labels = table
    with pytest.warns(PyxaiWarning, match="no feature changes the output over the data set"):
        greedy_feature_selection(lambda x: 0 * x[:, :3], (rows, labels % 3), curve=False)


def test_scores_of_a_round_sum_to_what_is_left(table):
    x, y = table
    found = greedy_feature_selection(net(), (x, y), rounds=[D], n_steps=512)
    gain = found.curve.values[0] - found.curve.values[-1]
    torch.testing.assert_close(found.scores.sum(), gain, rtol=1e-3, atol=0)


class TestBatches:
    """What comes in other batches, or at another size of passes, is the same."""

    def same(self, one, other):
        assert one.order.tolist() == other.order.tolist()
        torch.testing.assert_close(one.scores, other.scores)
        torch.testing.assert_close(one.curve.values, other.curve.values)

    @pytest.mark.parametrize("batch_size", [7, 1000])
    def test_passes(self, table, batch_size):
        whole = greedy_feature_selection(net(), table)
        self.same(whole, greedy_feature_selection(net(), table, batch_size=batch_size))

    @pytest.mark.parametrize(("size", "shuffle"), [(9, False), (13, True)])
    def test_loader(self, table, size, shuffle):
        loader = DataLoader(TensorDataset(*table), batch_size=size, shuffle=shuffle)
        whole = greedy_feature_selection(net(), table)
        self.same(whole, greedy_feature_selection(net(), loader))
        # Another order of the rows would be another shuffle for permutation importance.
        for order_by in ("exact", "one_shot", "random") if shuffle else ("permutation",):
            self.same(
                baseline_feature_selection(net(), table, order_by=order_by),
                baseline_feature_selection(net(), loader, order_by=order_by),
            )

    def test_sample_is_the_same_for_all_batches_and_differs_by_seed(self, table):
        x, y = table
        batches = [(x[i : i + 9], y[i : i + 9]) for i in range(0, N, 9)]
        found = greedy_feature_selection(net(), table, sample_size=20, seed=3)
        self.same(found, greedy_feature_selection(net(), batches, sample_size=20, seed=3))
        other = greedy_feature_selection(net(), table, sample_size=20, seed=4)
        assert not torch.equal(found.scores, other.scores)
        everything = greedy_feature_selection(net(), table, sample_size=N)
        self.same(everything, greedy_feature_selection(net(), table))

    def test_sampled_rows_are_rows_with_the_mean_of_all(self, table):
        x, y = table
        mean = x.mean(0)
        subset = {
            round(
                float(
                    greedy_feature_selection(
                        net(), (x[list(c)], y[list(c)]), baselines=mean, curve=False
                    ).scores[0]
                ),
                9,
            )
            for c in itertools.combinations(range(5), 4)
        }
        found = greedy_feature_selection(
            net(), (x[:5], y[:5]), sample_size=4, baselines=mean, curve=False
        )
        assert round(float(found.scores[0]), 9) in subset

    def test_model_is_left_as_found(self, table):
        model = net().train()
        state = {name: value.clone() for name, value in model.state_dict().items()}
        random = torch.get_rng_state()
        greedy_feature_selection(model, table)
        assert all(p.requires_grad and p.grad is None for p in model.parameters())
        assert all(torch.equal(model.state_dict()[name], value) for name, value in state.items())
        assert torch.equal(torch.get_rng_state(), random)

    def test_low_precision(self, table):
        x, y = table
        found = greedy_feature_selection(net(dtype=torch.bfloat16), (x.bfloat16(), y))
        exact = greedy_feature_selection(net(), (x.bfloat16().double(), y))
        assert found.order[0] == exact.order[0]
        torch.testing.assert_close(found.scores[0], exact.scores[0], rtol=0.05, atol=0)


class TestGrowingSample:
    """Columns of known means of their gains, so that it is known when a choice is clear."""

    x = draws(2000, 3, seed=11)

    def select(self, gains, rounds=1, n_select=1, **options):
        """Select by G_i = sum of shown columns: scores are means of columns, their rows known."""
        data = (gains, torch.zeros(len(gains)))
        return greedy_feature_selection(
            lambda rows: rows.sum(1),
            data,
            loss=lambda outputs, labels: -outputs,
            baselines=0.0,
            rounds=rounds,
            n_select=n_select,
            curve=False,
            **options,
        )

    def test_clear_choices_stay_with_few_rows(self):
        gains = self.x + torch.tensor([9.0, 0.0, 4.0], dtype=torch.float64)
        found = self.select(gains, sample_size=16, max_sample_size=2000, n_select=3)
        assert found.order.tolist() == [0, 2, 1]
        assert found.n_rows == 16

    def test_close_ones_take_all(self):
        gains = self.x.clone()
        gains[:, 1] = gains[:, 0]  # their difference is 0, which no sample makes clear
        found = self.select(gains, sample_size=16, max_sample_size=1000, rounds=[1])
        assert found.n_rows == 1000
        small = self.select(gains, sample_size=1000, rounds=[1])
        torch.testing.assert_close(found.scores, small.scores)

    def test_twice_the_rows_until_two_standard_errors(self):
        gains = self.x + torch.tensor([0.25, 0.0, -5.0], dtype=torch.float64)
        found = self.select(gains, sample_size=8, max_sample_size=2000, seed=1)
        assert 8 < found.n_rows < 2000
        assert found.order.tolist() == [0]
        # Half of the rows left it open. A smaller sample is the first rows of a larger one.
        half = self.select(gains, sample_size=found.n_rows // 2, seed=1, rounds=[3], n_select=3)
        whole = self.select(gains, sample_size=found.n_rows, seed=1, rounds=[3], n_select=3)
        assert half.scores[0] - half.scores[1] < 2 * 1.6 / (found.n_rows // 2) ** 0.5
        torch.testing.assert_close(found.scores[0], whole.scores[0])

    def rows_taken(self, gains, absolute=False):
        """Return how many of 64 rows a round takes that begins with 16, in their order."""
        objective = objective_of(
            lambda rows: rows.sum(1),
            (gains, torch.zeros(len(gains))),
            loss=lambda outputs, labels: -outputs,
            baselines=0.0,
        )
        scores = GrowingScores(objective, 16, *path_nodes("midpoint", 1), [1], absolute)
        scores(torch.zeros(1, 1, dtype=torch.int32), torch.arange(1))
        return scores.n_rows

    @pytest.mark.parametrize(("errors", "n_rows"), [(2.05, 16), (1.95, 32), (1.6, 32), (1.3, 64)])
    def test_clear_is_two_standard_errors(self, errors, n_rows):
        """Gaps of 1 +- c, in turn: n of them have the standard error c / sqrt(n - 1)."""
        c = 15**0.5 / errors
        turns = torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(32)
        gains = torch.stack([1 + c * turns, 0 * turns, 0 * turns - 99], 1)
        assert self.rows_taken(gains) == n_rows

    def test_signs_do_not_count_where_sizes_are_compared(self):
        gains = torch.tensor([-9.0, 1.0, 0.0]).double() + self.x[:64] / 10
        assert self.rows_taken(gains, absolute=True) == 16
        assert self.rows_taken(gains) == 16
        equal = torch.stack([gains[:, 1], -gains[:, 1], gains[:, 2]], 1)
        assert self.rows_taken(equal, absolute=True) == 64

    def test_errors(self):
        for options, message in (
            ({"max_sample_size": 10}, "sample_size must be at most max_sample_size=10, got None"),
            ({"sample_size": 20, "max_sample_size": 10}, "max_sample_size=10, got 20"),
            ({"sample_size": 1, "max_sample_size": 10}, "sample_size must be at least 2, got 1"),
            (
                {"sample_size": 5, "max_sample_size": 10, "rounds": "adaptive"},
                "max_sample_size must be None for adaptive rounds",
            ),
        ):
            with pytest.raises(ValueError, match=message):
                self.select(self.x, **options)


class Tabular(nn.Module):
    """Two dense columns and three categorical fields with embeddings of size 4."""

    def __init__(self):
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(5, 4) for _ in range(3))
        self.rest = nn.Sequential(nn.Linear(14, 16), nn.ReLU(), nn.Linear(16, 2))

    def embed(self, dense, codes):
        fields = [table(codes[:, i]) for i, table in enumerate(self.tables)]
        return dense, torch.stack(fields, 1)

    def head(self, dense, embedded):
        return self.rest(torch.cat([dense, embedded.flatten(1)], 1))


@pytest.fixture(scope="module")
def case():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Tabular().double().eval()
    codes = torch.randint(5, (60, 3), generator=torch.Generator().manual_seed(2))
    dense = draws(60, 2, seed=3)
    with torch.no_grad():
        embedded = model.embed(dense, codes)[1]
        labels = model.head(dense, embedded).argmax(1)
    return model, dense, codes, embedded, labels


class TestFields:
    def test_a_field_is_one_feature(self, case):
        model, dense, _, embedded, labels = case
        found = greedy_feature_selection(model.head, ((dense, embedded), labels), rounds=[5])
        leaf = embedded.clone().requires_grad_()
        mean_dense, mean = dense.mean(0), embedded.mean(0)
        total = torch.zeros(3, dtype=torch.float64)
        for t in (0.125, 0.375, 0.625, 0.875):  # midpoints
            leaf = (mean + t * (embedded - mean)).requires_grad_()
            out = model.head(mean_dense + t * (dense - mean_dense), leaf)
            gain = -nn.functional.cross_entropy(out, labels, reduction="sum")
            (grad,) = torch.autograd.grad(gain, leaf)
            total += ((embedded - mean) * grad).sum((0, 2)) / 4 / len(dense)
        scores = torch.zeros(5, dtype=torch.float64).scatter_(0, found.order, found.scores)
        torch.testing.assert_close(scores[2:], total)

    def test_codes_go_through_the_embedding_part(self, case):
        model, dense, codes, embedded, labels = case
        given = greedy_feature_selection(model.head, ((dense, embedded), labels))
        pairs = TensorDataset(dense, codes, labels)

        def collate(items):
            columns = [torch.stack(column) for column in zip(*items, strict=True)]
            return (columns[0], columns[1]), columns[2]

        loader = DataLoader(pairs, batch_size=16, collate_fn=collate)
        found = greedy_feature_selection(model.head, loader, embed=model.embed)
        assert found.order.tolist() == given.order.tolist()
        torch.testing.assert_close(found.scores, given.scores)
        assert all(p.requires_grad for p in model.parameters())

    def test_widths_of_fields_side_by_side(self, case):
        model, dense, _, embedded, labels = case

        def flat_head(rows):
            return model.head(rows[:, :2], rows[:, 2:].reshape(-1, 3, 4))

        flat = torch.cat([dense, embedded.flatten(1)], 1)
        widths = {"age": 1, "hours": 1, "job": 4, "city": 4, "state": 4}
        found = greedy_feature_selection(flat_head, (flat, labels), fields=widths)
        given = greedy_feature_selection(model.head, ((dense, embedded), labels))
        torch.testing.assert_close(found.scores, given.scores)
        assert found.selected == tuple(list(widths)[i] for i in given.order.tolist())
        mask = torch.repeat_interleave(torch.arange(5), torch.tensor(list(widths.values())))
        masked = greedy_feature_selection(flat_head, (flat, labels), feature_mask=mask)
        assert masked.order.tolist() == found.order.tolist()


def test_one_logit_is_a_binary_model(table):
    x, y = table
    two = net(n_classes=2)

    def one(rows):
        out = two(rows)
        return out[:, 1:] - out[:, :1]

    labels = (y > 0).long()
    pair, single = (greedy_feature_selection(model, (x, labels)) for model in (two, one))
    assert pair.order.tolist() == single.order.tolist()
    torch.testing.assert_close(pair.scores, single.scores)


def test_result_is_readable(table):
    names = ["age", "height", "weight", "pulse", "sugar", "iron"]
    found = greedy_feature_selection(net(), table, n_select=3, feature_names=names)
    lines = str(found).splitlines()
    assert lines[0] == "FeatureSelection: 3 of 6 features, greedy"
    assert "(none)" in lines[2]
    assert found.selected[0] in lines[3]
    assert len(lines) == 7
    assert found.support().sum() == 3
    assert found.support(1).nonzero().item() == found.order[0]
    assert len(found.curve.sizes) == 4
    assert "loss, 0 to 3 features" in repr(found.curve)
    with pytest.raises(ValueError, match=r"n_features must be in 0 .. 3, the selected ones, got 4"):
        found.support(4)


class TestErrors:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"rounds": [1] * 7}, "got more rounds than features: 7"),
            ({"n_select": 7}, "n_select must be at most 6, all players, got 7"),
            ({"loss": "hinge"}, "loss must be one of 'cross_entropy', 'squared_error', got 'hing"),
            ({"fields": [2, 2]}, "fields must have widths that sum to 6, got 4"),
            ({"fields": [6], "feature_mask": torch.arange(6)}, "fields must be None where"),
            ({"feature_names": ["a"]}, "feature_names must have 6 entries, got 1"),
            ({"sample_size": 51}, "sample_size must be at most the 50 rows of data, got 51"),
            ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
            ({"method": "simpson"}, "method must be one of"),
            ({"baselines": torch.zeros(5)}, "baselines must be a number or have shape"),
        ],
    )
    def test_options(self, table, options, message):
        with pytest.raises(ValueError, match=message):
            greedy_feature_selection(net(), table, **options)

    @pytest.mark.parametrize(
        ("data", "error", "message"),
        [
            (draws(5, 6), TypeError, "data must be a pair"),
            ((draws(5, 6), torch.zeros(4).long()), ValueError, "one entry for each of 5 rows, got"),
            ((draws(5, 6), torch.zeros(5, 1).long()), ValueError, r"labels must have shape \[5\]"),
            ((draws(5, 6), torch.full((5,), 3)), ValueError, "in 0 .. 2 for a model with 3 cl"),
            ((draws(5, 6), torch.full((5,), -1)), ValueError, "got -1"),
            ((draws(5, 6), torch.full((5,), 0.5)), ValueError, "labels must be whole numbers"),
            ((draws(5, 6) / 0, torch.zeros(5).long()), ValueError, "inputs must be finite"),
            ((torch.ones(5, 6).long(), torch.zeros(5).long()), TypeError, "must be floating point"),
            ([], ValueError, "data must give at least one batch, got none"),
            ([draws(5, 6)] * 3, TypeError, r"data must give pairs \(inputs, labels\), got a torch"),
            (iter([]), ValueError, "data must be iterable more than once"),
        ],
    )
    def test_data(self, data, error, message):
        with pytest.raises(error, match=message):
            greedy_feature_selection(net(), data)

    def test_batches_of_other_shapes(self):
        labels = torch.zeros(5).long()
        with pytest.raises(ValueError, match=r"one shape in all batches, \[\[6\]\], got \[\[5\]\]"):
            greedy_feature_selection(net(), [(draws(5, 6), labels), (draws(5, 5), labels)] * 2)

    def test_loss_of_the_wrong_shape(self, table):
        with pytest.raises(ValueError, match=r"loss must have one value for each of \d+ rows"):
            greedy_feature_selection(net(), table, loss=nn.functional.cross_entropy)

    def test_nan_of_the_model(self, table):
        with pytest.raises(ValueError, match="model output must be finite"):
            greedy_feature_selection(lambda rows: net()(rows) * torch.nan, table)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"fields": 3}, "fields must be a list of widths, or a mapping of .*, got 3"),
            ({"fields": "ab"}, "fields must be a list of widths, or a mapping of .*, got 'ab'"),
            ({"seed": None}, "seed must be an integer, got None"),
            ({"curve": "no"}, "curve must be True or False, got 'no'"),
            ({"absolute": "no"}, "absolute must be True or False, got 'no'"),
            ({"epsilon": "a"}, "epsilon must be a number, got 'a'"),
        ],
    )
    def test_kinds_of_options(self, table, options, message):
        with pytest.raises(TypeError, match=message):
            greedy_feature_selection(net(), table, **options)

    def test_unknown_options(self, table):
        message = "options must be among loss, baselines, .* seed, got 'rounds'"
        with pytest.raises(TypeError, match=message):
            baseline_feature_selection(net(), table, order_by="exact", rounds=2)
        with pytest.raises(TypeError, match=message):
            selection_curve(net(), table, [0, 1], rounds=2)
        with pytest.raises(TypeError, match=r"options must be among .*, got 'sample_name'"):
            selection_curve(net(), table, [0, 1], sample_name="rows")

    @pytest.mark.parametrize("loss", ["cross_entropy", "squared_error"])
    def test_labels_that_are_no_numbers(self, table, loss):
        inputs, labels = table
        lost = labels.double().where(labels > 0, torch.nan)
        with pytest.raises(ValueError, match="labels must be finite, got"):
            greedy_feature_selection(lambda rows: rows[:, 0], (inputs, lost), loss=loss)
        with pytest.raises(ValueError, match="labels must be finite, got"):
            selection_curve(net(), (inputs, lost), [0, 1], metric="accuracy")

    def test_kinds_of_orders_and_sizes(self, table):
        with pytest.raises(TypeError, match="order must be a list of feature numbers, got a list"):
            selection_curve(net(), table, ["a", "b"])
        with pytest.raises(TypeError, match="sizes must be a list of numbers of features, got 3"):
            selection_curve(net(), table, [0, 1], sizes=3)

    @pytest.mark.parametrize("order", [[0, 0], [6], [-1]])
    def test_order(self, table, order):
        with pytest.raises(ValueError, match="order must hold"):
            selection_curve(net(), table, order)

    def test_roc_auc_of_three_classes(self, table):
        with pytest.raises(ValueError, match="two classes or one logit"):
            selection_curve(net(), table, [0, 1], metric="roc_auc")


ORDERS = ("exact", "one_shot", "integrated_gradients", "permutation", "random")


def losses_by_order(seed):
    """Mean training loss over k = 1 .. 30 columns of a net, the others at their mean."""
    from sklearn.datasets import load_breast_cancer

    raw = load_breast_cancer()
    x, y = torch.tensor(raw.data), torch.tensor(raw.target)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        train = torch.randperm(len(x))[:455]
        x, y = x[train], y[train]
        x = ((x - x.mean(0)) / x.std(0)).float()
        layers = [nn.Linear(30, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 2)]
        model = nn.Sequential(*layers)
        optimiser = torch.optim.Adam(model.parameters(), 1e-3)
        for _ in range(60):
            for rows in torch.randperm(len(x)).split(64):
                optimiser.zero_grad()
                nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
                optimiser.step()
    model.eval()
    found = {"greedy": greedy_feature_selection(model, (x, y)).curve.mean}
    for order in ORDERS:
        found[order] = baseline_feature_selection(model, (x, y), order_by=order).curve.mean
    return found


@pytest.mark.usefixtures("one_thread")
def test_breast_cancer():
    """Greedy selection of columns on eight nets, against .066, measured on one that is not known.

    A net has its own loss (standard deviation .009), so that no bound near .066 holds for each of
    them: what does is .066 and the .01 that are allowed, and .066 up to .01 on average. That greedy
    selection by gradients is within .01 of exact greedy selection is true on average as well; on
    single nets it has been .008 better and .023 worse.
    """
    rows = [losses_by_order(seed) for seed in range(8)]
    found = {name: torch.tensor([row[name] for row in rows]) for name in rows[0]}
    greedy, exact = found.pop("greedy"), found.pop("exact")
    assert greedy.max() <= 0.066 + 0.01, greedy
    assert (greedy.mean() - 0.066).abs() <= 0.01, greedy
    assert (greedy - exact).mean().abs() <= 0.01, greedy - exact
    for name, losses in found.items():
        assert (losses > greedy + 0.01).all(), (name, losses - greedy)
