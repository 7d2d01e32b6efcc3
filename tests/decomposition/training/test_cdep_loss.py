"""The CDEP penalty: closed forms, contextual decomposition by hand, and how it treats a model."""

import math

import pytest
import torch
from contract_runs import assert_close
from torch import nn

from pyxai.decomposition import ContextualDecomposition, cdep_loss
from pyxai.decomposition.training.penalties import PENALTIES

F64 = torch.float64


def tensor(*values):
    return torch.tensor(values, dtype=F64)


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def made(*layers):
    """Return layers with weights drawn from a fixed seed, float64."""
    net = nn.Sequential(*layers).double()
    with torch.no_grad():
        for number, parameter in enumerate(net.parameters()):
            parameter.copy_(drawn(*parameter.shape, seed=number + 1) * 0.6)
    return net


class Sum(nn.Module):
    """The group {0} explains the first feature, the rest the second."""

    def forward(self, x):
        return x.sum(1, keepdim=True)


FIRST = torch.tensor([[[True, False]]])


class TestByHand:
    @pytest.mark.parametrize(
        ("penalty", "desired", "x", "expected"),
        [
            ("sigmoid", 0.0, (1, 1), 0.5),
            ("sigmoid", 0.0, (1 + math.log(3), 1), 0.75),
            ("sigmoid", 0.25, (1 + math.log(3), 1), 0.5),
            ("softplus", 0.0, (1, 1), math.log(2)),
            ("softplus", 1.0, (3, 1), math.log1p(math.exp(2)) - 2),
            ("absolute", 0.0, (-3, 1), 3),
            ("absolute", 2.0, (-3, 1), 5),
            ("square", 0.0, (-3, 1), 9),
            ("square", -1.0, (-3, 1), 4),
            ("ratio", 0.0, (-3, 1), 0.75),
            ("ratio", 0.5, (-3, 1), 0.25),
            ("ratio", 0.0, (0, 0), 0),
            (lambda b, g, t: b * g + t, 2.0, (-3, 1), -1),
        ],
    )
    def test_penalties(self, penalty, desired, x, expected):
        found = cdep_loss(Sum(), tensor([*x]), FIRST, penalty=penalty, desired=desired)
        assert_close(found, torch.tensor(expected, dtype=F64))

    def test_nothing_over_nothing_has_a_gradient(self):
        x = tensor([0.0, 0.0]).requires_grad_()
        cdep_loss(Sum(), x, FIRST, penalty="ratio").backward()
        assert torch.equal(x.grad, torch.zeros_like(x))


def by_hand(net, x, mask):
    """Contextual decomposition of Linear, ReLU, Linear by the paper's equations 5 to 11."""
    relevant, irrelevant = x * mask, x * (1 - mask)
    for layer in net:
        if isinstance(layer, nn.ReLU):
            total = (relevant + irrelevant).relu()
            relevant = relevant.relu()
            irrelevant = total - relevant
        else:
            r, g = relevant @ layer.weight.T, irrelevant @ layer.weight.T
            share = r.abs() / (r.abs() + g.abs())
            relevant, irrelevant = r + share * layer.bias, g + (1 - share) * layer.bias
    return relevant, irrelevant


NET = [nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3)]
X = drawn(4, 5)
GROUPS = torch.tensor([[[1, 0, 1, 0, 0], [0, 1, 0, 0, 1]]], dtype=torch.bool)


class TestOfATrainedModel:
    @pytest.mark.parametrize("penalty", ["sigmoid", "softplus", "square"])
    def test_a_net_of_linear_layers_and_relu_by_hand(self, penalty):
        net = made(*NET)
        loss = cdep_loss(net, X, GROUPS, penalty=penalty)
        expected = 0.0
        for group in GROUPS[0]:
            parts = by_hand(net, X, group.double())
            expected = expected + PENALTIES[penalty](*parts, tensor(0.0)).mean()
        assert_close(loss, expected)
        found = torch.autograd.grad(loss, list(net.parameters()))
        wanted = torch.autograd.grad(expected, list(net.parameters()))
        for one, other in zip(found, wanted, strict=True):
            assert_close(one, other)

    @pytest.mark.parametrize("penalty", list(PENALTIES))
    def test_gradients_of_parameters_are_finite_differences(self, penalty):
        net = made(*NET)
        desired = 0.3 if penalty != "square" else drawn(4, 2)

        def loss(*parameters):
            return cdep_loss(net, X, GROUPS, [0, 1, 2, 1], penalty=penalty, desired=desired)

        assert torch.autograd.gradcheck(loss, tuple(net.parameters()))

    def test_each_group_of_each_example_and_their_mean(self):
        net = made(*NET)
        groups = GROUPS.repeat(4, 1, 1)
        groups[1, 0] = False
        groups[:, 1] = False
        groups[3, 1] = True
        each = cdep_loss(net, X, groups, penalty="square", reduction="none")
        assert each.shape == (4, 2)
        assert bool((each > 0)[groups.any(2)].all())
        assert not bool(each[~groups.any(2)].any())
        mean = cdep_loss(net, X, groups, penalty="square")
        assert_close(mean, each[[0, 2, 3], 0].mean() + each[3, 1])
        parts = ContextualDecomposition(net).parts(X, groups)
        assert_close(each[0, 0], parts.relevant[0, 0].square().mean())
        none = cdep_loss(net, X, torch.zeros_like(GROUPS))
        assert float(none.detach()) == 0.0
        none.backward()
        assert not any(bool(parameter.grad.any()) for parameter in net.parameters())

    def test_a_row_costs_what_it_costs_alone(self):
        net = made(*NET)
        groups = torch.rand(4, 3, 5, generator=torch.Generator().manual_seed(1)) > 0.5
        every = cdep_loss(net, X, groups, [0, 1, 2, 0], reduction="none")
        for row, target in enumerate((0, 1, 2, 0)):
            alone = cdep_loss(net, X[[row]], groups[[row]], target, reduction="none")
            assert_close(alone, every[[row]])
        for bound in (1, 5):
            found = cdep_loss(
                net, X, groups, [0, 1, 2, 0], reduction="none", internal_batch_size=bound
            )
            assert_close(found, every)

    def test_words_of_an_lstm(self):
        class Reader(nn.Module):
            def __init__(self):
                super().__init__()
                self.words, self.lstm = nn.Embedding(9, 3), nn.LSTM(3, 4, batch_first=True)
                self.head = nn.Linear(4, 2)

            def forward(self, words):
                return self.head(self.lstm(self.words(words))[0][:, -1])

        with torch.random.fork_rng():
            torch.manual_seed(0)
            reader = Reader().double()
        words = torch.tensor([[1, 4, 2], [7, 0, 3]])
        decoys = torch.tensor([[[0, 1, 0]], [[1, 0, 0]]]).bool()
        scorer = ContextualDecomposition(reader, lstm_bias="paper")
        loss = cdep_loss(reader, words, decoys, [1, 0], penalty="softplus", scorer=scorer)
        parts = scorer.parts(words, decoys, [1, 0])
        expected = torch.nn.functional.softplus(parts.relevant - parts.irrelevant).mean()
        assert_close(loss, expected)
        loss.backward()
        assert all(bool(parameter.grad.any()) for parameter in reader.parameters())


class TestScorers:
    def test_rules_of_a_decomposition(self):
        net = made(*NET)
        scorer = ContextualDecomposition(net, policy="shapley", bias="irrelevant")
        found = cdep_loss(net, X, GROUPS, 1, scorer=scorer, penalty="square")
        assert_close(found, scorer.scores(X, GROUPS, 1).square().mean(0).sum())

    def test_the_gradient_times_the_input(self):
        net = made(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3))
        loss = cdep_loss(net, X, GROUPS, 2, scorer="input_x_gradient", penalty="square")
        x = X.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(net(x)[:, 2].sum(), x, create_graph=True)
        expected = ((X * gradient).unsqueeze(1) * GROUPS).sum(2).square().mean(0).sum()
        assert_close(loss, expected)
        found = torch.autograd.grad(loss, net[0].weight)
        assert_close(found[0], torch.autograd.grad(expected, net[0].weight)[0])

    def test_any_function_that_can_be_differentiated(self):
        net = made(nn.Linear(5, 1))
        found = cdep_loss(
            net,
            X,
            GROUPS,
            0,
            scorer=lambda x, target, _: x * net[0].weight[target],
            penalty="absolute",
        )
        expected = ((X * net[0].weight).unsqueeze(1) * GROUPS).sum(2).abs().mean(0).sum()
        assert_close(found, expected)
        found.backward()
        assert net[0].weight.grad.any()


class Noisy(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = made(
            nn.Linear(5, 7), nn.BatchNorm1d(7), nn.ReLU(), nn.Dropout(), nn.Linear(7, 3)
        )
        self.net[3].eval()
        self.calls = 0

    def forward(self, x):
        return self.net(x)

    def train(self, mode=True):
        raise AssertionError("the loop's own affair")


class TestInATrainingLoop:
    @pytest.mark.parametrize("scorer", [None, "input_x_gradient"])
    @pytest.mark.filterwarnings("error")
    def test_the_model_is_explained_as_it_will_be_used_and_left_as_it_is(self, scorer):
        model = Noisy()
        model.net[4].weight.requires_grad_(False)
        flags = [module.training for module in model.modules()]
        state = {name: value.clone() for name, value in model.state_dict().items()}
        random = torch.get_rng_state()
        found = cdep_loss(model, X, GROUPS, 1, scorer=scorer)
        assert [module.training for module in model.modules()] == flags
        assert True in flags
        assert False in flags
        assert torch.equal(torch.get_rng_state(), random)
        assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
        assert [p.requires_grad for p in model.parameters()].count(False) == 1
        assert all(parameter.grad is None for parameter in model.parameters())
        found.backward()
        assert model.net[0].weight.grad.any()
        for module in model.modules():
            module.training = False
        assert_close(cdep_loss(model, X, GROUPS, 1, scorer=scorer), found)

    def test_also_after_an_error(self):
        model = Noisy()
        flags = [module.training for module in model.modules()]
        with pytest.raises(ValueError, match="target"):
            cdep_loss(model, X, GROUPS, 9)
        assert [module.training for module in model.modules()] == flags

    def test_weights_are_read_anew_in_each_step(self):
        net = made(*NET)
        optimiser = torch.optim.SGD(net.parameters(), 0.05)
        losses = []
        for _ in range(30):
            loss = cdep_loss(net, X, GROUPS, penalty="square")
            losses.append(float(loss.detach()))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        assert losses[-1] < 0.2 * losses[0]


class TestRefused:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (
                {"penalty": "cubic"},
                "penalty must be one of 'sigmoid', .* or a function, got 'cubic'",
            ),
            ({"penalty": lambda b, g, t: b.sum()}, "penalty must return a tensor of the scores'"),
            ({"desired": 1.5}, r"desired must be in \[0, 1\], a share, .*'sigmoid', got 1.5"),
            ({"desired": torch.zeros(4)}, r"desired must be a number or have shape \[4, 2\]"),
            ({"desired": torch.zeros(4, 3)}, r"desired must be a number or have shape \[4, 2\]"),
            ({"desired": float("nan")}, "desired must be finite, got nan"),
            ({"reduction": "sum"}, "reduction must be one of 'mean', 'none', got 'sum'"),
            (
                {"scorer": "saliency"},
                'scorer must be a ContextualDecomposition, "input_x_gradient"',
            ),
            ({"scorer": lambda x, *_: x.sum()}, "scorer must return attributions of the inputs'"),
            ({"scorer": ContextualDecomposition(Sum())}, "scorer must be made for the model"),
            ({"groups": GROUPS[..., :3]}, "groups must have shape"),
            ({"groups": 2 * GROUPS.double()}, "groups must be from 0 to 1, got 2"),
        ],
    )
    def test_arguments_that_do_not_fit(self, change, message):
        given = {"groups": GROUPS, **change}
        with pytest.raises(ValueError, match=message):
            cdep_loss(made(*NET), X, given.pop("groups"), **given)

    def test_what_is_no_module(self):
        with pytest.raises(TypeError, match=r"model must be an nn.Module, got"):
            cdep_loss(lambda x: x, X, GROUPS)
