"""Contextual decomposition: cases by hand, its public form, and what it refuses."""

import pytest
import torch
from contract_runs import assert_close
from torch import nn

import pyxai
from pyxai.decomposition import ContextualDecomposition

F64 = torch.float64


def tensor(*values):
    return torch.tensor(values, dtype=F64)


def linear(weight, bias=None):
    weight = torch.as_tensor(weight, dtype=F64)
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None).double()
    with torch.no_grad():
        layer.weight.copy_(weight)
        if bias is not None:
            layer.bias.copy_(torch.as_tensor(bias, dtype=F64))
    return layer


def masks(*groups, n):
    """Return groups of features given by number, bool [1, groups, n]."""
    found = torch.zeros(1, len(groups), n, dtype=torch.bool)
    for row, group in enumerate(groups):
        found[0, row, list(group)] = True
    return found


class Pointwise(nn.Module):
    """A function of the first feature plus the second, so that both parts can be chosen."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x[:, 0] + x[:, 1])


def parts_of(function, relevant, irrelevant, **options):
    """Return both parts of a function of ``relevant + irrelevant``."""
    cd = ContextualDecomposition(Pointwise(function), **options)
    found = cd.parts(tensor([relevant, irrelevant]), masks([0], n=2))
    return float(found.relevant), float(found.irrelevant)


class TestByHand:
    AFFINE = ([[1.0, 3.0], [-2.0, 1.0]], [4.0, -6.0])

    def test_affine(self):
        # lb = (2, -4), lg = (-3, -1), shares (0.4, 0.8)
        found = ContextualDecomposition(linear(*self.AFFINE)).parts(
            tensor([2.0, -1.0]), masks([0], n=2)
        )
        assert_close(found.relevant, tensor([[3.6, -8.8]]))
        assert_close(found.irrelevant, tensor([[-0.6, -2.2]]))
        assert not found.bias.any()

    def test_relu_after_it(self):
        net = nn.Sequential(linear(*self.AFFINE), nn.ReLU())
        found = ContextualDecomposition(net).parts(tensor([2.0, -1.0]), masks([0], n=2))
        assert_close(found.relevant, tensor([[3.6, 0.0]]))
        assert_close(found.irrelevant, tensor([[-0.6, 0.0]]))

    def test_other_places_for_the_bias(self):
        x, group = tensor([2.0, -1.0]), masks([0], n=2)
        found = ContextualDecomposition(linear(*self.AFFINE), bias="irrelevant").parts(x, group)
        assert_close(found.relevant, tensor([[2.0, -4.0]]))
        assert_close(found.irrelevant, tensor([[1.0, -7.0]]))
        found = ContextualDecomposition(linear(*self.AFFINE), bias="stream").parts(x, group)
        assert_close(found.relevant, tensor([[2.0, -4.0]]))
        assert_close(found.irrelevant, tensor([[-3.0, -1.0]]))
        assert_close(found.bias, tensor([[4.0, -6.0]]))

    @pytest.mark.parametrize(
        ("function", "policy", "given", "expected"),
        [
            (torch.relu, "acd", (-1, 3), (0, 2)),
            (torch.relu, "acd", (3, -5), (3, -3)),
            (torch.relu, "shapley", (3, -5), (1.5, -1.5)),
            (torch.tanh, "shapley", (1, -1), (0.7615941559557649, -0.7615941559557649)),
            (nn.GELU(), "acd", (1, -2), (0.84134475, -1.0)),
            (nn.GELU(), "complement", (1, -2), (-0.11315499, -0.04550026)),
            (nn.GELU(), "shapley", (1, -2), (0.36409488, -0.52275013)),
        ],
    )
    def test_functions(self, function, policy, given, expected):
        found = parts_of(function, *given, policy=policy)
        assert found == pytest.approx(expected, abs=1e-8)

    def test_an_empty_group_of_a_function_that_is_not_zero_at_zero(self):
        plain = {"anchored": False}
        assert parts_of(torch.sigmoid, 0, 1, **plain)[0] == 0.5
        assert parts_of(torch.sigmoid, 0, 1, policy="shapley", **plain)[0] == 0.25
        for policy in ("acd", "shapley", "complement"):
            assert parts_of(torch.sigmoid, 0, 1, policy=policy)[0] == 0
            whole = float(torch.sigmoid(tensor(1.0)))
            assert parts_of(torch.sigmoid, 1, 0, policy=policy)[0] == pytest.approx(whole)

    def test_three_ways_with_the_bias_first(self):
        # f(t) = t^2 at 1, 2 and a bias of 3
        net = nn.Sequential(linear([[1.0, 1.0]], [3.0]), Square())
        found = ContextualDecomposition(net, policy="shapley", bias="stream").parts(
            tensor([1.0, 2.0]), masks([0], n=2)
        )
        assert [float(part) for part in found] == pytest.approx([9, 18, 9])

    def test_max_pool_selects_by_the_total(self):
        class Pooled(nn.Module):
            def forward(self, x):
                return torch.max_pool2d(x[:, :1] + x[:, 1:], 2).flatten(1)

        beta, gamma = [[1.0, 0.0], [0.0, 5.0]], [[3.0, 0.0], [0.0, -4.0]]
        group = torch.tensor([True, False]).view(1, 1, 2, 1, 1)
        found = ContextualDecomposition(Pooled()).parts(tensor([beta, gamma]), group)
        assert (float(found.relevant), float(found.irrelevant)) == (1, 3)

    def batch_norm(self):
        norm = nn.BatchNorm1d(1, eps=0).double().eval()
        with torch.no_grad():
            norm.weight.fill_(2)
            norm.bias.fill_(1)
            norm.running_mean.fill_(3)
            norm.running_var.fill_(4)
        return nn.Sequential(linear([[1.0, 1.0]]), norm)  # BN(0) = -2

    def test_batch_norm(self):
        found = ContextualDecomposition(self.batch_norm()).parts(
            tensor([4.0, 1.0]), masks([0], n=2)
        )
        assert (float(found.relevant), float(found.irrelevant)) == pytest.approx((2.4, 0.6))

    def test_groups_interact_in_a_relu(self):
        net = nn.Sequential(linear([[1.0, 1.0]]), nn.ReLU())
        x, cd = tensor([3.0, -5.0]), ContextualDecomposition(net)
        found = cd.parts(x, masks([0], [1], [0, 1], n=2))
        assert_close(found.relevant, tensor([3.0, 0.0, 0.0]))
        assert float(found.irrelevant[0, 0]) == -3
        pairs = cd.interactions(x, masks([0], [1], n=2))
        assert_close(pairs, tensor([[0.0, -3.0], [-3.0, 0.0]]))

    def test_biases_make_scores_not_add_up(self):
        cd = ContextualDecomposition(linear([[1.0, 1.0, 1.0]], [1.0]))
        groups = masks([0], [1], [2], [0, 1], [0, 1, 2], [], n=3)
        found = cd.scores(tensor([1.0, 2.0, -1.0]), groups)
        assert_close(found, tensor([1.5, 3.0, -0.75, 3.75, 3.0, 0.0]))

    @pytest.mark.parametrize(
        ("ties", "expected"), [("official", 0.5), ("coverage", 0.75), ("irrelevant", 0.0)]
    )
    def test_a_bias_where_neither_part_is_other_than_zero(self, ties, expected):
        cd = ContextualDecomposition(linear([[1.0, 2.0, 3.0, 4.0]], [1.0]), ties=ties)
        found = cd.parts(torch.zeros(1, 4, dtype=F64), masks([0, 1, 2], n=4))
        assert (float(found.relevant), float(found.irrelevant)) == (expected, 1 - expected)

    def test_the_official_way_with_batch_norm_at_zero(self):
        cd = ContextualDecomposition(self.batch_norm(), ties="official")
        found = cd.parts(tensor([0.0, 0.0]), masks([0], n=2))
        assert (float(found.relevant), float(found.irrelevant)) == (0, -2)

    def test_without_biases_linear_models_are_additive(self):
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Conv2d(2, 3, 3, bias=False), nn.Flatten(), nn.LazyLinear(2, bias=False)
        )
        x = torch.randn(2, 2, 5, 5, dtype=F64)
        net.float()(x.float())
        net.double()
        groups = torch.rand(2, 4, 2, 5, 5) > 0.5
        cd = ContextualDecomposition(net)
        found = cd.scores(x, groups)
        expected = torch.stack([net(x * groups[:, g]) for g in range(4)], 1).detach()
        assert_close(found, expected)
        apart = (torch.arange(50).view(1, 1, 2, 5, 5) % 4) == torch.arange(4).view(1, 4, 1, 1, 1)
        assert cd.interactions(x, apart, 1).abs().max() < 1e-12

    def test_folded_batch_norm_is_the_same_without_a_bias_before_it(self):
        torch.manual_seed(1)
        conv = nn.Conv2d(1, 3, 3, bias=False)
        norm = nn.BatchNorm2d(3)
        with torch.no_grad():
            for value in (norm.weight, norm.bias, norm.running_mean):
                value.normal_()
            norm.running_var.uniform_(0.5, 2)
        net = nn.Sequential(conv, norm).double().eval()
        folded = torch.nn.utils.fusion.fuse_conv_bn_eval(*net)
        x, groups = torch.randn(2, 1, 5, 5, dtype=F64), torch.rand(1, 3, 1, 5, 5) > 0.5
        assert_close(
            ContextualDecomposition(net).scores(x, groups),
            ContextualDecomposition(folded).scores(x, groups),
        )


class Square(nn.Module):
    def forward(self, x):
        return x**2


def small_net():
    with torch.random.fork_rng():
        torch.manual_seed(2)
        layers = [nn.Linear(6, 8), nn.GELU(), nn.Linear(8, 8), nn.Sigmoid(), nn.Linear(8, 3)]
    return nn.Sequential(*layers).double()


X = torch.randn(4, 6, generator=torch.Generator().manual_seed(3), dtype=F64)


class TestForm:
    def test_attribute_scores_each_group_of_a_mask(self):
        net, mask = small_net(), torch.tensor([0, 0, 1, 2, 2, 1])
        found = pyxai.explain(
            net, X, method="contextual_decomposition", target=1, feature_mask=mask
        ).attributions
        groups = torch.stack([mask == group for group in range(3)])[None]
        expected = ContextualDecomposition(net).scores(X, groups, 1)
        assert_close(found, expected[:, mask])

    def test_all_outputs_without_a_target(self):
        groups = torch.rand(4, 5, 6) > 0.5
        cd = ContextualDecomposition(small_net())
        every = cd.scores(X, groups)
        assert every.shape == (4, 5, 3)
        assert_close(cd.scores(X, groups, [0, 2, 1, 1]), every[range(4), :, [0, 2, 1, 1]])
        assert cd.interactions(X, masks([0], [2], [3, 4], n=6)).shape == (4, 3, 3, 3)

    def test_groups_at_once_are_groups_one_at_a_time(self):
        groups = torch.rand(4, 7, 6) > 0.5
        cd = ContextualDecomposition(small_net())
        found = cd.scores(X, groups, 2)
        alone = [cd.scores(X, groups[:, [g]], 2) for g in range(7)]
        assert_close(found, torch.cat(alone, 1))
        rows = [cd.scores(X[[i]], groups[[i]], 2) for i in range(4)]
        assert_close(found, torch.cat(rows))
        for bound in (1, 3, 7, 9):
            assert_close(cd.scores(X, groups, 2, internal_batch_size=bound), found)
        order = torch.randperm(7)
        assert_close(cd.scores(X, groups[:, order], 2), found[:, order])

    def test_several_inputs_with_arguments_that_have_rows(self):
        class Two(nn.Module):
            def __init__(self):
                super().__init__()
                self.net = small_net()

            def forward(self, a, b, scale, shift):
                return self.net(torch.cat([a, b], 1)) * scale + shift

        model, scale, shift = Two(), torch.rand(4, 1, dtype=F64), torch.rand(3, dtype=F64)
        cd = ContextualDecomposition(model)
        pair = (X[:, :4], X[:, 4:])
        groups = torch.rand(4, 5, 6) > 0.5
        split = (groups[..., :4], groups[..., 4:])
        found = cd.scores(pair, split, 1, (scale, shift))
        for i in range(4):
            alone = tuple(each[[i]] for each in pair), tuple(each[[i]] for each in split)
            assert_close(cd.scores(*alone, 1, (scale[[i]], shift)), found[[i]])
        mask = (torch.tensor([0, 0, 1, 1]), torch.tensor([1, 0]))
        a, b = cd.attribute(pair, 1, (scale, shift), mask)
        assert torch.equal(a[:, 2], b[:, 0])

    def test_scores_can_be_differentiated(self):
        net = small_net()
        x = X[:2].clone().requires_grad_()
        groups = torch.tensor([[[1, 0, 1, 0, 0, 1], [0, 1, 0, 0, 1, 0]]], dtype=torch.bool)
        for options in ({}, {"policy": "shapley", "bias": "stream"}):
            cd = ContextualDecomposition(net, **options)
            weights = [net[0].weight, net[2].bias]

            def scores(x, *weights, cd=cd):
                return cd.scores(x, groups, create_graph=True)

            assert torch.autograd.gradcheck(scores, (x, *weights))
        assert not cd.scores(x, groups).requires_grad

    def test_the_gradient_of_a_share_by_its_formula(self):
        # beta' = r + b |r| / (|r| + |t - r|), by r, t and b
        layer = linear([[1.0, 1.0]], [0.7])
        x = tensor([2.0, -3.0]).requires_grad_()
        cd = ContextualDecomposition(layer)
        score = cd.scores(x, masks([0], n=2), create_graph=True).sum()
        by_x, by_bias = torch.autograd.grad(score, (x, layer.bias))
        r, q, b = 2.0, -3.0, 0.7
        whole = (abs(r) + abs(q)) ** 2
        by_r = 1 + b * (1 * abs(q) - 1 * abs(r)) / whole
        by_t = -b * -1 * abs(r) / whole
        assert_close(by_x, tensor([by_r + by_t, by_t]))
        assert_close(by_bias, torch.tensor([abs(r) / (abs(r) + abs(q))], dtype=F64))

    def test_a_softmax_at_the_end_is_left_out(self):
        net, groups = small_net(), torch.rand(1, 3, 6) > 0.5
        expected = ContextualDecomposition(net).scores(X, groups)
        for last in (nn.Softmax(1), nn.LogSoftmax(1)):
            model = nn.Sequential(net, last)
            assert_close(ContextualDecomposition(model).scores(X, groups), expected)

    def test_scores_of_another_seed_of_masks_are_not_the_same(self):
        cd = ContextualDecomposition(small_net())
        found = cd.scores(X, masks([0], [1], n=6), 0)
        assert (found[:, 0] - found[:, 1]).abs().max() > 1e-3


class TestRefusals:
    @pytest.mark.parametrize(
        ("option", "value"),
        [
            ("policy", "both"),
            ("bias", "half"),
            ("ties", "none"),
            ("product", "x"),
            ("softmax", 1),
            ("lstm_bias", "all"),
        ],
    )
    def test_choices(self, option, value):
        with pytest.raises(ValueError, match=f"^{option} must be one of .*got"):
            ContextualDecomposition(small_net(), **{option: value})

    @pytest.mark.parametrize(
        ("groups", "error", "message"),
        [
            (torch.ones(1, 2, 5), ValueError, r"groups must have shape \[4, groups, 6\] or \[1, "),
            (torch.ones(2, 2, 6), ValueError, r"groups must have shape .*got \[2, 2, 6\]"),
            (torch.ones(1, 6), ValueError, r"groups must have shape .*got \[1, 6\]"),
            (torch.ones(1, 0, 6), ValueError, r"groups must have shape .*got \[1, 0, 6\]"),
            (torch.full((1, 1, 6), 1.5), ValueError, "groups must be from 0 to 1, got 1.5"),
            (torch.full((1, 1, 6), -0.5), ValueError, "groups must be from 0 to 1, got -0.5"),
            (torch.full((1, 1, 6), float("nan")), ValueError, "groups must be finite"),
            ([torch.ones(1, 1, 6)] * 2, ValueError, "groups must have 1 entries"),
            ("all", TypeError, "groups must be a tensor, got 'all'"),
        ],
    )
    def test_groups(self, groups, error, message):
        with pytest.raises(error, match=f"^{message}"):
            ContextualDecomposition(small_net()).scores(X, groups, 0)

    def test_interactions_of_groups_that_overlap(self):
        with pytest.raises(ValueError, match=r"^groups must have no feature in common"):
            ContextualDecomposition(small_net()).interactions(X, masks([0, 1], [1], n=6), 0)

    def test_an_op_without_a_rule_is_named(self):
        class Frequent(nn.Module):
            def forward(self, x):
                return x.mode(1)[0]

        with pytest.raises(pyxai.UnsupportedOperationError, match=r"no rule for mode at .*x\.mode"):
            ContextualDecomposition(Frequent()).scores(X, masks([0], n=6), 0)

    def test_batch_norm_in_training_mode(self):
        net = nn.Sequential(small_net(), nn.BatchNorm1d(3).double()).train()
        refused = pytest.raises(
            pyxai.UnsupportedOperationError, match=r"batch_norm.*model.eval\(\)"
        )
        with refused, pytest.warns(pyxai.PyxaiWarning, match="training mode"):
            ContextualDecomposition(net).scores(X, masks([0], n=6), 0)

    def test_an_output_that_is_no_sum(self):
        class Sign(nn.Module):
            def forward(self, x):
                return (x > 0).double()

        with pytest.raises(pyxai.UnsupportedOperationError, match="no sum of parts"):
            ContextualDecomposition(Sign()).scores(X, masks([0], n=6), 0)

    def test_a_part_without_a_logarithm(self):
        class Log(nn.Module):
            def forward(self, x):
                return torch.log(x[:, :1] + x[:, 1:2])

        with pytest.raises(ValueError, match=r"^model must have operations that are finite"):
            ContextualDecomposition(Log()).scores(tensor([-1.0, 3.0]), masks([0], n=2))


@pytest.mark.parametrize("batch", [1, 6])
def test_a_model_that_makes_its_batch_size_a_number_is_split_all_the_same(batch):
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 2)).double().eval()
    x = torch.randn(batch, 5, dtype=torch.float64)
    target = torch.arange(batch) % 2
    expected = ContextualDecomposition(plain).attribute(x, target=target)
    counted = []
    plain.register_forward_pre_hook(lambda _, rows: counted.append(len(rows[0])))
    found = ContextualDecomposition(plain).attribute(x, target=target)
    torch.testing.assert_close(found, expected)


def test_patches_and_superpixels_are_groups():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)).double()
    x = torch.rand(2, 3, 8, 8, dtype=F64)
    halves = (torch.arange(8) // 4).view(1, 1, 1, 8).expand(1, 1, 8, 8)
    for mask in (pyxai.masks.patches(x, 4), halves):
        found = ContextualDecomposition(net).attribute(x, 1, feature_mask=mask)
        mask = mask.expand(found.shape)
        for group in mask.unique():
            masks = (mask == group)[:, None]
            expected = ContextualDecomposition(net).scores(x, masks, 1)
            for row in range(2):
                values = found[row][mask[row] == group]
                assert_close(values, expected[row].expand(len(values)))
