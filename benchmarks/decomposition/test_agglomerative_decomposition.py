"""Agglomeration of 196 superpixels and of 20 words, against scoring one group at a time.

Three ways ask the same net the same question and build the same hierarchy. Ours scores all
candidates of an iteration in one call and none twice. "One at a time" asks for the same groups,
each in a call of its own. "As the authors' code asks" is that with nothing remembered: it scores
the union of all groups once for each group, and all pairs anew in each merge. Of the slow ways
one run is timed in each round.
"""

import torch
from _timing import compare
from torch import nn

from pyxai.decomposition import ACD, ContextualDecomposition
from pyxai.masks import patches


class OneAtATime:
    """Score groups in calls of one; count them."""

    def __init__(self, cd):
        self.cd, self.count = cd, 0

    def scores(self, inputs, groups, target, arguments):
        self.count += groups.shape[1]
        each = [self.cd.scores(inputs, groups[:, [g]]) for g in range(groups.shape[1])]
        return torch.cat(each, 1)


def asked_by_the_code(tree, candidates):
    """Count the scores of the authors' code that builds an image's hierarchy.

    Cells and the image; in each iteration its groups, the union of all once for each of them, and
    all candidates; in each merge all pairs.
    """
    grown, merges = tree.steps[: tree.n_grown], tree.steps[tree.n_grown - 1 : -1]
    pairs = sum(len(step) * (len(step) - 1) // 2 for step in merges)
    return tree.n_units + 1 + sum(2 * len(step) for step in grown) + candidates + pairs


def report(benchmark, ratios, **counts):
    benchmark.extra_info.update(counts)
    assert all(ratio < 1 for ratio in ratios.values())


def test_superpixels(benchmark):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 5, stride=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * 25, 50),
        nn.ReLU(),
        nn.Linear(50, 10),
    ).eval()
    x = torch.randn(1, 3, 56, 56)
    cells = patches(x, 4)  # 14 x 14
    cd = ContextualDecomposition(net)
    single = OneAtATime(cd)
    ours = ACD(None, scorer=cd, variant="official")
    slow = ACD(None, scorer=single, variant="official")
    [tree] = ours.agglomerate(x, 3, feature_mask=cells)
    [same] = slow.agglomerate(x, 3, feature_mask=cells)
    assert [node.members for node in tree.nodes] == [node.members for node in same.nodes]
    torch.testing.assert_close(tree.scores, same.scores, rtol=1e-4, atol=1e-5)
    assert tree.n_units == 196
    asked = single.count
    near = [_near(cells[0, 0, ::4, ::4], step, tree) for step in tree.steps[: tree.n_grown]]
    official = asked_by_the_code(tree, sum(near))

    def as_the_code():
        slow.agglomerate(x, 3, feature_mask=cells)
        mask = (cells == 0)[None]
        for _ in range(official - asked):
            cd.scores(x, mask)

    ratios = compare(
        benchmark,
        lambda: ours.agglomerate(x, 3, feature_mask=cells),
        {
            "one at a time": lambda: slow.agglomerate(x, 3, feature_mask=cells),
            "as the authors' code asks": as_the_code,
        },
        rounds=3,
    )
    report(benchmark, ratios, scores=asked, scores_of_the_code=official)


def _near(cells, step, tree):
    """Count the free neighbours of each group."""
    members = [torch.isin(cells, torch.tensor(tree.nodes[node].members)) for node in step.values()]
    taken = torch.stack(members).any(0)
    total = 0
    for group in members:
        wide = nn.functional.pad(group, (1, 1, 1, 1))
        around = wide[:-2, 1:-1] | wide[2:, 1:-1] | wide[1:-1, :-2] | wide[1:-1, 2:]
        total += int((around & ~taken).sum())
    return total


class Reader(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(100, 50)
        self.lstm = nn.LSTM(50, 64, batch_first=True)
        self.head = nn.Linear(64, 2)

    def forward(self, words):
        return self.head(self.lstm(self.words(words))[0][:, -1])


def test_words(benchmark):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    net, x = Reader().eval(), torch.randint(0, 100, (1, 20))
    cd = ContextualDecomposition(net)
    single = OneAtATime(cd)
    calls = {
        name: ACD(None, scorer=scorer, subtract=True, spans=spans)
        for name, scorer, spans in (
            ("ours", cd, None),
            ("one call for each iteration", cd, False),
            ("one at a time", single, False),
        )
    }
    trees = {name: acd.agglomerate(x, 1)[0] for name, acd in calls.items()}
    for tree in trees.values():
        assert [n.members for n in tree.nodes] == [n.members for n in trees["ours"].nodes]
    asked = single.count
    ratios = compare(
        benchmark,
        lambda: calls["ours"].agglomerate(x, 1),
        {
            name: lambda acd=acd: acd.agglomerate(x, 1)
            for name, acd in calls.items()
            if name != "ours"
        },
        rounds=3,
    )
    report(benchmark, ratios, spans=210, scores_one_at_a_time=asked)
