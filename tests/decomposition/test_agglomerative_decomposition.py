"""Agglomeration against plain references, cases by hand, and what it refuses."""

import numpy as np
import pytest
import torch
from acd_reference import by_queue, chain, collapsed, official_image, official_text
from contract_runs import assert_close
from torch import nn

from pyxai.decomposition import (
    ACD,
    AgglomerativeDecomposition,
    BuildUp,
    ContextualDecomposition,
    GroupOcclusion,
    Hierarchy,
)
from pyxai.masks import patches
from pyxai.taylor import pairwise_terms

F64 = torch.float64


class Scores:
    """Any function of groups: a random net of the mask, one group at a time."""

    def __init__(self, n, seed, classes=2, round_to=None):
        draw = np.random.default_rng(seed)
        self.first, self.bias = draw.normal(size=(3 * n, n)), draw.normal(size=3 * n)
        self.last = draw.normal(size=(classes, 3 * n))
        self.round_to, self.calls, self.asked = round_to, 0, []

    def of(self, mask):
        found = self.last @ np.tanh(self.first @ mask.ravel().astype(float) + self.bias)
        found = found - self.last @ np.tanh(self.bias)
        return found if self.round_to is None else np.round(found, self.round_to)

    def scores(self, inputs, groups, target=None, arguments=None, *, internal_batch_size=None):
        self.calls += 1
        rows = groups.expand(1, groups.shape[1], *inputs.shape[1:])[0].numpy()
        self.asked += [row.tobytes() for row in rows]
        return torch.from_numpy(np.stack([self.of(row) for row in rows]))[None]


def words(n):
    return torch.arange(n)[None]


def picture(height, width):
    return torch.zeros(1, height, width)


def assert_lists(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        got = found[name]
        if not isinstance(value, list):
            np.testing.assert_allclose(got, value, rtol=1e-12, atol=1e-12, err_msg=name)
            continue
        assert len(got) == len(value), name
        for one, other in zip(got, value, strict=True):
            if isinstance(other, dict):
                assert one.keys() == other.keys(), name
                for key in other:
                    np.testing.assert_allclose(
                        one[key], other[key], rtol=1e-12, atol=1e-12, err_msg=name
                    )
            else:
                np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12, err_msg=name)


class TestOfficial:
    @pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6, 13, 20])
    @pytest.mark.parametrize("absolute", [True, False])
    @pytest.mark.parametrize("percentile", [90, 60])
    def test_text(self, n, absolute, percentile):
        scores = Scores(n, n)
        expected = official_text(
            lambda mask: float(np.subtract(*scores.of(mask)[::-1])), n, percentile, 50, absolute
        )
        acd = ACD(
            None,
            scorer=scores,
            variant="official",
            percentile=percentile,
            absolute=absolute,
            subtract=True,
        )
        [tree] = acd.agglomerate(words(n), 1)
        assert_lists(tree.to_official_text(), expected)
        arrays, levels = collapsed(expected)
        assert_lists(
            tree.to_official_text(collapse=True),
            {**expected, "comps_list": arrays, "comp_scores_list": levels},
        )
        # The sentence is one group in the end, and nothing is merged after that.
        assert len(tree.roots) == 1
        assert tree.n_grown == len(tree.steps)

    def test_text_that_is_not_finished(self):
        scores = Scores(20, 3)
        expected = official_text(lambda mask: float(scores.of(mask)[0]), 20, n_iter=3)
        acd = ACD(None, scorer=scores, variant="official", n_iter=3, spans=False)
        [tree] = acd.agglomerate(words(20), 0)
        assert_lists(tree.to_official_text(), expected)
        assert len(tree.roots) > 1
        assert int(tree.join_steps.max()) == 4  # words that no selection reached

    @pytest.mark.parametrize(
        ("shape", "size", "percentile", "n_iter"),
        [((6, 7), 1, 95, 5), ((6, 7), 1, 70, 9), ((9, 11), 2, 80, 7), ((12, 5), 3, 90, 2)],
    )
    @pytest.mark.parametrize("seed", range(3))
    def test_image(self, shape, size, percentile, n_iter, seed):
        scores = Scores(shape[0] * shape[1], seed, classes=3)
        expected, _ = official_image(scores.of, shape, size, 1, percentile, n_iter)
        acd = ACD(None, scorer=scores, variant="official", percentile=percentile, n_iter=n_iter)
        x = picture(*shape)
        [tree] = acd.agglomerate(x, 1, feature_mask=patches(x, size)[0], layout="image")
        assert_lists(tree.to_official_image(), expected)

    @pytest.mark.parametrize("seed", [0, 5])
    def test_more_groups_than_the_code_has_labels_for(self, seed):
        # Single cells far apart are best first: a 9 x 15 chequered picture has 40 of them.
        shape = 9, 15
        scores = Scores(135, seed, classes=2)
        spots = np.zeros(shape)
        spots[::2, ::2] = np.random.default_rng(seed).random((5, 8)) + 3

        def score(mask):
            return scores.of(mask) + np.array([(spots * mask).sum(), 0])

        expected, exceptions = official_image(score, shape, 1, 0, 80, 4)
        assert exceptions > 0
        assert len(expected["comp_scores_raw_list"][1]) > 11

        def scorer(inputs, groups, target, arguments):
            return torch.from_numpy(np.stack([score(g.numpy()) for g in groups[0]]))[None]

        acd = ACD(None, scorer=scorer, variant="official", percentile=80, n_iter=4)
        [tree] = acd.agglomerate(picture(*shape), 0, layout="image")
        assert_lists(tree.to_official_image(), expected)

    @pytest.mark.parametrize("sign", [1, -1])
    def test_equal_scores(self, sign):
        # All units are selected at once: a sentence is one group; an image has none, as there.
        def scorer(inputs, groups, target, arguments):
            return groups.flatten(2).any(2).double()

        acd = ACD(None, scorer=scorer, variant="official")
        [tree] = acd.agglomerate(words(7))
        assert_lists(tree.to_official_text(), official_text(lambda mask: float(mask.any()), 7))
        [tree] = acd.agglomerate(picture(3, 4), layout="image")
        expected, _ = official_image(lambda mask: np.array([mask.any()], float), (3, 4), 1, 0)
        assert tree.steps == ()
        assert [step.tolist() for step in tree.to_official_image()["im_thresh_list"]] == [
            step.tolist() for step in expected["im_thresh_list"]
        ]

    def test_levels_of_the_collapsed_tree(self):
        # One group from nothing keeps the level of words; what a group and words make is above.
        def scorer(inputs, groups, target, arguments):
            weights = torch.tensor([1.0, 9.0, 8.0, 2.0, 3.0, 7.5], dtype=F64)
            return (groups * weights).sum(2)

        acd = ACD(None, scorer=scorer, variant="official", percentile=55)
        [tree] = acd.agglomerate(words(6))
        assert tree.to_official_text()["comps_list"][1].tolist() == [0, 1, 1, 0, 0, 2]
        found = tree.to_official_text(collapse=True)
        # "1 2" is noted anew in each step in which nothing joins it, and then with word 0.
        assert found["comps_list"][0].tolist() == [0, 7, 7, 3, 4, 5]
        assert found["comp_scores_list"][0] == {0: 0, 6: 17, 7: 17}
        assert found["comps_list"][-1].tolist() == [1] * 6
        assert found["comp_scores_list"][-1][1] == 30.5

    @pytest.mark.parametrize(("n_best", "percentile"), [(6, 55), (5, 62)])
    def test_a_unit_of_more_than_four_neighbours_joins_with_three_quarters(
        self, n_best, percentile
    ):
        # A square in a ring of 12 pixels, of which 8 are beside it. The best of these are first,
        # then the corners; the square itself has little to say.
        mask = torch.tensor([[0, 1, 2, 3], [4, 5, 5, 6], [7, 5, 5, 8], [9, 10, 11, 12]])
        weights = torch.full((13,), -2.0, dtype=F64)
        weights[[0, 3, 9, 12]], weights[5] = 1.0, -1.0
        weights[[1, 2, 4, 6, 7, 8][:n_best]] = 10.0

        def scorer(inputs, groups, target, arguments):
            first = torch.tensor([int((mask.flatten() == unit).nonzero()[0]) for unit in range(13)])
            return groups.flatten(2)[..., first].double() @ weights

        acd = ACD(None, scorer=scorer, variant="official", percentile=percentile, n_iter=1)
        [tree] = acd.agglomerate(picture(4, 4), feature_mask=mask[None], layout="image")
        expected = weights > 0
        expected[5] = n_best == 6
        assert tree.selected[-1].tolist() == expected.tolist()

    def test_a_real_net_scored_one_group_at_a_time(self):
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Conv2d(2, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 3)
        ).double()
        x = torch.randn(1, 2, 8, 8, dtype=F64)
        cd = ContextualDecomposition(net)

        def score(mask):
            return cd.scores(x, torch.from_numpy(mask)[None, None, None])[0, 0].numpy()

        expected, _ = official_image(score, (8, 8), 2, 2, 85, 2)
        acd = ACD(net, variant="official", percentile=85, n_iter=2)
        [tree] = acd.agglomerate(x, 2, feature_mask=patches(x, 2))
        assert_lists(tree.to_official_image(), expected)


def partitions(tree):
    return [{frozenset(tree.nodes[node].members) for node in step.values()} for step in tree.steps]


def grid(lines, columns, corners=False):
    reach = [(0, 1), (1, 0), (0, -1), (-1, 0)]
    reach += [(1, 1), (1, -1), (-1, 1), (-1, -1)] if corners else []
    return {
        line * columns + column: {
            (line + a) * columns + column + b
            for a, b in reach
            if 0 <= line + a < lines and 0 <= column + b < columns
        }
        for line in range(lines)
        for column in range(columns)
    }


class TestQueue:
    @pytest.mark.parametrize("n", [1, 2, 7, 12])
    @pytest.mark.parametrize("absolute", [True, False])
    @pytest.mark.parametrize("percentile", [90, 50])
    def test_text(self, n, absolute, percentile):
        scores = Scores(n, n + 1)

        def score(group):
            return float(scores.of(np.isin(np.arange(n), list(group)))[0])

        expected = by_queue(score, chain(n), percentile, 99, absolute, True, False)
        acd = ACD(None, scorer=scores, percentile=percentile, absolute=absolute)
        [tree] = acd.agglomerate(words(n), 0)
        assert partitions(tree) == expected
        assert [root.members for root in tree.roots] == [tuple(range(n))]
        for node in tree.nodes:  # phrases
            assert node.members == tuple(range(node.members[0], node.members[-1] + 1))

    @pytest.mark.parametrize("adjacency", [4, 8])
    @pytest.mark.parametrize("final", ["any", "adjacent"])
    def test_image(self, adjacency, final):
        scores = Scores(20, 5)

        def score(group):
            return float(scores.of(np.isin(np.arange(20), list(group)))[1])

        near = grid(4, 5, corners=adjacency == 8)
        expected = by_queue(score, near, 80, 4, False, False, final == "any")
        acd = ACD(None, scorer=scores, percentile=80, n_iter=4, adjacency=adjacency, final=final)
        [tree] = acd.agglomerate(picture(4, 5), 1, layout="image")
        assert partitions(tree) == expected
        assert tree.n_grown == 4

    def test_by_hand(self):
        # "not very bad": alone -1, 0.5, -3; "very bad" -4, "not very" -1.5, all +2.
        table = {1: -1.0, 2: 0.5, 4: -3.0, 3: -1.5, 6: -4.0, 5: 9.0, 7: 2.0}

        def scorer(inputs, groups, target, arguments):
            numbers = (groups[0] * torch.tensor([1, 2, 4])).sum(1).tolist()
            return torch.tensor([[table[number] for number in numbers]], dtype=F64)

        [tree] = ACD(None, scorer=scorer).agglomerate(words(3), names=["not", "very", "bad"])
        # |-3| leads; then "not" (1) and "very bad" (gain |-4 + 3| = 1) together; then all: the
        # gains over both are |2 + 4| and |2 + 1|, of which the smaller counts.
        assert [tree.label(node.id) for node in tree.nodes] == [
            "not",
            "very",
            "bad",
            "very bad",
            "not very bad",
        ]
        whole = tree.nodes[-1]
        assert (whole.score, whole.children, whole.level) == (2.0, (0, 3), 2)
        assert (whole.gain, whole.interaction) == (3.0, 7.0)
        assert tree.join_steps.tolist() == [1, 1, 0]
        assert whole.bitmask == 7
        assert str(tree).splitlines()[1:] == [
            "        +2  not very bad",
            "        -1    not",
            "        -4    very bad",
            "      +0.5      very",
            "        -3      bad",
        ]

    @pytest.mark.parametrize("sign", [1, -1])
    def test_equal_scores(self, sign):
        def scorer(inputs, groups, target, arguments):
            # Equal but for rounding: sums of thirds in another order.
            noise = 1e-7 * torch.rand(groups.shape[1], generator=torch.Generator().manual_seed(0))
            return sign * (groups.flatten(2).sum(2).float() / 3 + noise)

        [tree] = ACD(None, scorer=scorer).agglomerate(picture(3, 3), layout="image")
        assert len(tree.nodes) == 10
        assert tree.join_steps.unique().tolist() == [0]
        # All words are selected at once, and merged from the left.
        [tree] = ACD(None, scorer=scorer).agglomerate(words(9))
        assert tree.join_steps.unique().tolist() == [0]
        assert [node.members for node in tree.nodes[9:]] == [tuple(range(k)) for k in range(2, 10)]

    def test_groups_without_names(self):
        def scorer(inputs, groups, target, arguments):
            return groups.flatten(2).sum(2).float()

        [tree] = ACD(None, scorer=scorer).agglomerate(words(3))
        assert [tree.label(node) for node in range(5)] == [
            *("unit 0", "unit 1", "unit 2", "2 units", "3 units"),
        ]
        [tree] = ACD(None, scorer=scorer).agglomerate(picture(2, 2), layout="image")
        shown = str(tree).splitlines()[1:]
        assert "4 units" in shown[0]
        assert not any("unit 0" in line for line in shown)  # of pictures, groups alone


class TestAsking:
    def test_each_group_is_asked_for_once_and_all_of_an_iteration_together(self):
        for variant in ("queue", "official"):
            scores = Scores(36, 2, classes=1)
            acd = ACD(None, scorer=scores, variant=variant, percentile=80, n_iter=4)
            [tree] = acd.agglomerate(picture(6, 6), 0, layout="image")
            assert len(set(scores.asked)) == len(scores.asked)
            # Units, one call for each iteration at most, one for each merge, and the unions.
            assert scores.calls <= 2 + len(tree.steps)

    def test_merging_k_groups_asks_for_a_square_of_pairs(self):
        scores = Scores(49, 0, classes=1)
        spots = np.zeros((7, 7), bool)
        spots[::3, ::3] = True

        def scorer(inputs, groups, target, arguments):
            found = scores.scores(inputs, groups)
            return found + 100 * (groups[..., ::3, ::3].flatten(2).sum(2)[..., None] > 0)

        acd = ACD(None, scorer=scorer, percentile=82, n_iter=1)  # 9 of 49 cells
        [tree] = acd.agglomerate(picture(7, 7), 0, layout="image")
        assert len(tree.steps[0]) == 9
        assert (
            len(scores.asked) == 49 + 1 + 8**2
        )  # units, all, and pairs, the last of which is what was selected

    def test_spans_are_scored_in_one_call(self):
        for variant in ("queue", "official"):
            scores = Scores(12, 0)
            acd = ACD(None, scorer=scores, variant=variant)
            [tree] = acd.agglomerate(words(12), 0)
            assert (scores.calls, len(scores.asked)) == (1, 12 * 13 // 2)
            scores.calls = 0
            acd = ACD(None, scorer=scores, variant=variant, spans=False)
            [other] = acd.agglomerate(words(12), 0)
            assert scores.calls > 1
            assert partitions(tree) == partitions(other)

    def test_the_result_does_not_depend_on_the_batch(self):
        torch.manual_seed(1)
        net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 4)).double()
        x = torch.randn(3, 1, 6, 6, dtype=F64)
        acd, target = ACD(net, percentile=85), [0, 3, 1]
        together = acd.agglomerate(x, target)
        for row, tree in enumerate(together):
            [alone] = acd.agglomerate(x[row : row + 1], target[row])
            assert alone.nodes == tree.nodes
            assert torch.equal(alone.scores, tree.scores)
            assert alone.target == tree.target == (target[row],)
            [few] = acd.agglomerate(x[[row]], target[row], internal_batch_size=3)
            assert partitions(few) == partitions(tree)
            assert_close(few.scores, tree.scores)

    def test_arguments_follow_their_rows(self):
        class Scaled(nn.Module):
            def forward(self, x, by):
                return ((x * by).sum(1) ** 2)[:, None]

        x, by = torch.randn(2, 5, dtype=F64), torch.randn(2, 5, dtype=F64)
        acd = ACD(Scaled(), scorer="build_up")
        for row, tree in enumerate(acd.agglomerate(x, 0, by)):
            [alone] = acd.agglomerate(x[[row]], 0, by[[row]])
            assert alone.nodes == tree.nodes

    @pytest.mark.parametrize("name", ["contextual_decomposition", "build_up", "occlusion"])
    def test_scorers_by_name_are_those_of_the_package(self, name):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2)).double()
        classes = {"build_up": BuildUp, "occlusion": GroupOcclusion}
        scorer = classes.get(name, ContextualDecomposition)(net)
        x = torch.randn(1, 6, dtype=F64)
        [tree] = ACD(net, scorer=name).agglomerate(x, 1)
        [same] = AgglomerativeDecomposition(None, scorer=scorer).agglomerate(x, 1)
        assert tree.nodes == same.nodes
        masks = torch.stack(
            [torch.isin(torch.arange(6), torch.tensor(n.members)) for n in tree.nodes]
        )
        assert_close(tree.scores, scorer.scores(x, masks[None])[0])
        assert_close(tree.whole, scorer.scores(x, torch.ones(1, 1, 6))[0, 0])


class TestInteractions:
    @pytest.mark.parametrize("scorer", [ContextualDecomposition, BuildUp, GroupOcclusion])
    def test_a_merge_of_two_agrees_with_the_scorer(self, scorer):
        torch.manual_seed(4)
        net = nn.Sequential(nn.Linear(8, 12), nn.ReLU(), nn.Linear(12, 3)).double()
        x = torch.randn(1, 8, dtype=F64)
        [tree] = ACD(net, scorer=scorer(net)).agglomerate(x, 2)
        pairs = [node for node in tree.nodes if len(node.children) == 2]
        assert len(pairs) > 2
        for node in pairs:
            parts = [tree.nodes[child] for child in node.children]
            masks = torch.stack([tree.positions(child) for child in node.children])[None]
            together = float(scorer(net).interactions(x, masks, 2)[0, 0, 1])
            assert node.interaction == pytest.approx(together, abs=1e-10)
            least = min(part.score for part in parts)
            assert node.gain == pytest.approx(together + least, abs=1e-10)

    def test_pairs_of_units_are_the_pair_terms_of_a_quadratic_function(self):
        weights = torch.tensor(
            [[0.0, 2, 0, -1], [0, 0, 3, 0], [0, 0, 0, 4], [0, 0, 0, 0]], dtype=F64
        )

        def model(x):
            return (x @ weights * x).sum(1) + x @ torch.tensor([1.0, -2, 0.5, 3], dtype=F64)

        x = torch.tensor([[1.0, -2, 3, 0.5]], dtype=F64)
        terms = pairwise_terms(model, x).matrix[0]
        scorer = BuildUp(model)
        found = scorer.interactions(x, torch.eye(4)[None])[0]
        off = ~torch.eye(4, dtype=torch.bool)
        assert_close(found[off], terms[off])
        [tree] = ACD(None, scorer=scorer).agglomerate(x)
        for node in tree.nodes:  # of a quadratic function interactions of groups are sums of pairs
            parts = [tree.nodes[child].members for child in node.children]
            sums = sum(
                float(terms[a, b])
                for place, first in enumerate(parts)
                for second in parts[place + 1 :]
                for a in first
                for b in second
            )
            assert node.interaction == pytest.approx(sums, abs=1e-10)

    def test_a_linear_model_has_none(self):
        net = nn.Linear(7, 2, bias=False).double()
        [tree] = ACD(net).agglomerate(torch.randn(1, 7, dtype=F64), 0)
        assert all(abs(node.interaction) < 1e-12 for node in tree.nodes)


class TestTree:
    def tree(self, **options):
        acd = ACD(None, scorer=Scores(30, 8), percentile=80, **options)
        return acd.agglomerate(picture(5, 6), 1, layout="image")[0]

    @pytest.mark.parametrize("variant", ["queue", "official"])
    def test_groups_lie_inside_each_other_or_apart(self, variant):
        tree = self.tree(variant=variant)
        for node in tree.nodes[tree.n_units :]:
            parts = [tree.nodes[child] for child in node.children]
            assert len(parts) > 1
            assert sorted(unit for part in parts for unit in part.members) == list(node.members)
            assert node.level == 1 + max(part.level for part in parts)
            assert all(part.id < node.id for part in parts)
            assert node.score == pytest.approx(float(tree.scores[node.id, 1]))
        top = tree.nodes[next(iter(tree.steps[-1].values()))]
        assert len(tree.steps[-1]) == 1
        grown = tree.selected[tree.n_grown - 1]
        assert list(top.members) == grown.nonzero().flatten().tolist()

    def test_files(self, tmp_path):
        tree = self.tree()
        again = Hierarchy.load(tree.save(tmp_path / "tree.safetensors"))
        assert again.nodes == tree.nodes
        assert again.steps == tree.steps
        assert again.options == tree.options
        for name in ("scores", "whole", "inputs", "units", "selected", "unions"):
            assert torch.equal(getattr(again, name), getattr(tree, name)), name
        assert repr(again) == repr(tree) != ""
        assert_lists(again.to_official_image(), tree.to_official_image())
        (tmp_path / "x.safetensors").write_bytes(b"no")
        with pytest.raises(ValueError, match=r"^path must hold a safetensors file"):
            Hierarchy.load(tmp_path / "x.safetensors")
        from pyxai import Explanation

        with pytest.raises(ValueError, match=r"^path must be written by Explanation\.save"):
            Explanation.load(tmp_path / "tree.safetensors")

    def test_units_are_numbered_as_they_are_met_and_may_differ_by_example(self):
        masks = torch.tensor([[[7, 7, 2], [5, 2, 2]], [[0, 1, 1], [0, 1, 3]]])
        x = torch.randn(2, 2, 3)
        trees = ACD(None, scorer=Scores(6, 0, classes=1)).agglomerate(
            x, 0, feature_mask=masks, layout="image"
        )
        assert [tree.units.tolist() for tree in trees] == [
            [[0, 0, 1], [2, 1, 1]],
            [[0, 1, 1], [0, 1, 2]],
        ]
        assert trees[0].to_official_image()["comps_list"][1].shape == (3,)  # no grid

    def test_words_of_several_pieces(self):
        pieces = torch.tensor([[0, 0, 1, 2, 2]])
        [tree] = ACD(None, scorer=Scores(5, 0, classes=1)).agglomerate(
            words(5), 0, feature_mask=pieces, names=["unbe", "is", "good"]
        )
        assert tree.n_units == 3
        assert tree.positions(2).tolist() == [False, False, False, True, True]
        embedded = torch.randn(1, 5, 4)
        scores = Scores(20, 0, classes=1)
        [tree] = ACD(None, scorer=scores).agglomerate(
            embedded, 0, feature_mask=pieces[..., None], layout="text"
        )
        assert tree.n_units == 3


NET = nn.Linear(4, 2)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"percentile": 101}, ValueError, "percentile must be from 0 to 100, got 101"),
        ({"percentile": "high"}, TypeError, "percentile must be a number"),
        ({"n_iter": 0}, ValueError, "n_iter must be at least 1, got 0"),
        ({"variant": "code"}, ValueError, "variant must be one of 'queue', 'official', got 'code'"),
        ({"adjacency": 6}, ValueError, "adjacency must be 4 or 8, got 6"),
        ({"final": "all"}, ValueError, "final must be one of"),
        ({"absolute": 1}, TypeError, "absolute must be True or False, got 1"),
        ({"spans": "yes"}, TypeError, "spans must be True or False"),
        ({"subtract": -1}, ValueError, "subtract must be at least 0, got -1"),
        ({"subtract": "other"}, TypeError, "subtract must be an integer"),
        ({"scorer": "shapley"}, ValueError, "scorer must be one of 'contextual_decomposition'"),
        ({"scorer": 3}, TypeError, "scorer must be a name, have a method `scores`"),
    ],
)
def test_refused_choices(options, error, message):
    with pytest.raises(error, match=f"^{message}"):
        ACD(NET, **options)


def test_refused_models():
    with pytest.raises(TypeError, match=r"^model must be an nn.Module"):
        ACD(lambda x: x)
    with pytest.raises(TypeError, match=r"^forward_func must be callable"):
        ACD(None, scorer="build_up")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"inputs": (torch.ones(1, 4), torch.ones(1, 4))}, "inputs must be one tensor"),
        ({"inputs": torch.ones(1, 2, 4)}, "layout must be 'text' or 'image' where inputs"),
        ({"inputs": torch.ones(4)}, "layout must be 'text' or 'image'"),
        ({"layout": "sound"}, "layout must be one of 'text', 'image', got 'sound'"),
        ({"layout": "image"}, r"inputs must have shape \[batch, \(channels,\) height, width\]"),
        ({"names": ["a"]}, "names must have 4 entries, one per unit, got 1"),
        ({"names": [["a"] * 4] * 2}, r"names must have one list for each of 1 example\(s\), got 2"),
        ({"target": 5}, "target must be in 0 .. 1"),
        ({"target": [0, 1]}, "target must have one entry per example, 1, got 2"),
        ({"internal_batch_size": 0}, "internal_batch_size must be at least 1, got 0"),
        (
            {"feature_mask": torch.tensor([[0, 1, 0, 2]])},
            r"feature_mask must give a number to connected features, got the one at position \[0\]"
            " in 2 pieces",
        ),
        (
            {
                "inputs": torch.ones(1, 2, 2),
                "layout": "text",
                "feature_mask": torch.arange(4).view(1, 2, 2),
            },
            "feature_mask must give all features of a word one number",
        ),
        (
            {"inputs": torch.ones(1, 2, 1, 2), "feature_mask": torch.arange(4).view(1, 2, 1, 2)},
            "feature_mask must give all channels of a pixel one number",
        ),
    ],
)
def test_refused_questions(call, message):
    given = {"inputs": torch.ones(1, 4), "target": 0, **call}
    with pytest.raises(ValueError, match=f"^{message}"):
        ACD(NET).agglomerate(**given)


def test_refused_targets_and_scores():
    x = torch.ones(1, 4)
    with pytest.raises(ValueError, match=r"^target must be given to subtract"):
        ACD(NET, subtract=True).agglomerate(x)
    with pytest.raises(ValueError, match=r"^subtract must be the number of an output"):
        ACD(nn.Linear(4, 3), subtract=True).agglomerate(x, 0)
    for found, message in (
        (torch.ones(1, 2), r"scorer must return shape \[1, 10, ...\] for 10 groups"),
        (torch.full((1, 10), torch.nan), "scorer must return finite numbers"),
    ):
        with pytest.raises(ValueError, match=f"^{message}"):
            ACD(None, scorer=lambda *_, found=found: found).agglomerate(x)
    with pytest.raises(TypeError, match=r"^scorer must return a tensor, got 3"):
        ACD(None, scorer=lambda *_: 3).agglomerate(x)
    [tree] = ACD(NET).agglomerate(x, 1)
    with pytest.raises(ValueError, match=r"^layout must be 'image' for these lists, got 'text'"):
        tree.to_official_image()
    with pytest.raises(ValueError, match=r"^node must be below \d+, got 99"):
        tree.positions(99)


def test_another_output_is_subtracted():
    net = nn.Linear(5, 3).double()
    x = torch.randn(1, 5, dtype=F64)
    [tree] = ACD(net, subtract=2).agglomerate(x, 1)
    for node in tree.nodes:
        assert node.score == pytest.approx(float(tree.scores[node.id, 1] - tree.scores[node.id, 2]))


def test_a_missing_target_is_said_in_terms_of_the_model():
    message = r"^target must be given .* got None for outputs of shape \[rows, 2\]$"
    for scorer in ("contextual_decomposition", "build_up"):
        with pytest.raises(ValueError, match=message):
            ACD(nn.Linear(3, 2), scorer=scorer).agglomerate(torch.ones(4, 3))
