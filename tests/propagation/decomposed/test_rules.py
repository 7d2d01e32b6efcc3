"""Rules of contextual decomposition: parts add up at every node, and to the output."""

from types import SimpleNamespace

import pytest
import torch
from contract_runs import assert_close
from torch import nn
from torch.nn import functional

from pyxai.decomposition import ContextualDecomposition
from pyxai.propagation.decomposed.split import Split

F64 = torch.float64


def randn(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def groups_for(x, seed=1):
    """Return no feature, all of them, and half of them at random, [1, 3, *features]."""
    half = torch.rand(x.shape[1:], generator=torch.Generator().manual_seed(seed)) > 0.5
    return torch.stack([torch.zeros_like(half), torch.ones_like(half), half])[None]


def check(model, x, **options):
    """Check the invariants on a model in float64, and return the score of half the features."""
    model = model.double().eval()
    cd, groups = ContextualDecomposition(model, **options), groups_for(x)
    errors = cd.completeness_errors(x, groups)
    assert errors
    assert max(error.error for error in errors) < 1e-10, errors
    scores = cd.scores(x, groups)
    outputs = model(x).detach()
    assert scores[:, 0].abs().max() < 1e-12
    assert_close(scores[:, 1], outputs.reshape(scores[:, 1].shape), 1e-9)
    return scores[:, 2]


class Functional(nn.Module):
    """A functional ReLU, and one activation that is used twice."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.third = nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(6, 2)
        self.act = nn.Tanh()

    def forward(self, x):
        h = functional.relu(self.first(x))
        return self.third(self.act(self.act(self.second(h)) + h))


class Sequence(nn.Module):
    """The same with a module for each step."""

    def __init__(self, other):
        super().__init__()
        self.first, self.second, self.third = other.first, other.second, other.third
        self.relu, self.one, self.two = nn.ReLU(), nn.Tanh(), nn.Tanh()

    def forward(self, x):
        h = self.relu(self.first(x))
        return self.third(self.two(self.one(self.second(h)) + h))


class Encoder(nn.Module):
    """A transformer layer with positions, between an embedding of numbers and a head."""

    def __init__(self, norm_first=False):
        super().__init__()
        self.position = nn.Parameter(torch.randn(5, 8))
        self.layer = nn.TransformerEncoderLayer(
            8, 2, 16, batch_first=True, activation="gelu", norm_first=norm_first
        )
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.layer(x + self.position).mean(1))


class Causal(nn.Module):
    """Attention in which later tokens are masked out, by minus infinity."""

    def forward(self, x):
        found = functional.scaled_dot_product_attention(x, x, x, is_causal=True)
        return found.flatten(1)


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.block = nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), nn.BatchNorm2d(2), nn.ReLU())

    def forward(self, x):
        h = self.block(x)
        h += x
        return functional.relu(h).mean((2, 3))


class Shapes(nn.Module):
    """Ops that move elements around, some of them beside constants."""

    def forward(self, x):
        a, b = x.reshape(-1, 3, 4).permute(0, 2, 1).split(2, 1)
        h = torch.cat([a, torch.full_like(b, 0.3), b.flip(-1)], 1)
        h = functional.pad(h, (1, 0), value=0.7)
        h = torch.where(h > 0.5, h, torch.full_like(h, -0.2)).masked_fill(h < -1, 2.0)
        h = torch.stack([h[:, 1:], h[:, :-1]], -1)
        return h.sum(-1).flatten(1).cumsum(1).unsqueeze(1).expand(-1, 2, -1).roll(1, -1).flatten(1)


class Chosen(nn.Module):
    """Ops that select elements."""

    def forward(self, x):
        top = x.topk(3, dim=-1).values
        low = x.sort(dim=-1).values[:, :2]
        most = torch.maximum(x[:, :3], x[:, 3:6])
        return torch.cat([top, low, most, x.amax(1, keepdim=True), x.min(1, keepdim=True)[0]], 1)


class Products(nn.Module):
    def forward(self, x):
        a, b = x[:, :4], x[:, 4:]
        c = a.unsqueeze(1) @ b.unsqueeze(2)
        return torch.cat([a * b, c.flatten(1), a / (1 + b.abs()), x.square(), 2 * x], 1)


class Functions(nn.Module):
    def forward(self, x):
        h = [torch.exp(x), torch.cos(x), x.abs() ** 1.5, functional.softplus(x), x.sigmoid()]
        h += [functional.silu(x), functional.elu(x), functional.selu(x), functional.hardtanh(x)]
        h += [
            functional.logsigmoid(x),
            functional.leaky_relu(x),
            x.clamp(0.2, 1),
            x.var(1, keepdim=True),
        ]
        return torch.cat([*h, x.logsumexp(1, keepdim=True), x.norm(dim=1, keepdim=True)], 1)


def classifier(*layers, features, outputs=3):
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(features, outputs))


def scaled(norm):
    """Give a norm statistics and weights that are not those it starts with."""
    with torch.no_grad():
        for value in (*norm.parameters(), *norm.buffers()):
            if value.is_floating_point():
                value.uniform_(0.5, 1.5)
    return norm


MODELS = {
    "functional": lambda: (Functional(), randn(3, 4)),
    "conv1d": lambda: (
        classifier(
            nn.Conv1d(2, 4, 3, padding=1),
            scaled(nn.BatchNorm1d(4)),
            nn.ReLU(),
            nn.MaxPool1d(3, 2),
            nn.ConvTranspose1d(4, 2, 3),
            nn.AdaptiveMaxPool1d(3),
            features=6,
        ),
        randn(3, 2, 9),
    ),
    "conv2d": lambda: (
        classifier(
            nn.Conv2d(2, 4, 3, groups=2, stride=2, padding=1),
            scaled(nn.BatchNorm2d(4)),
            nn.PReLU(),
            nn.MaxPool2d(2),
            nn.GroupNorm(2, 4),
            nn.AvgPool2d(2),
            features=4,
        ),
        randn(3, 2, 9, 9),
    ),
    "conv3d": lambda: (
        classifier(
            nn.Conv3d(1, 3, 2),
            scaled(nn.BatchNorm3d(3)),
            nn.SiLU(),
            nn.MaxPool3d(2),
            nn.InstanceNorm3d(3, affine=True),
            features=24,
        ),
        randn(2, 1, 5, 5, 5),
    ),
    "norms": lambda: (
        classifier(scaled(nn.LayerNorm(6)), nn.GELU(), nn.RMSNorm(6), nn.Linear(6, 4), features=4),
        randn(3, 6),
    ),
    "residual": lambda: (Residual(), randn(3, 2, 5, 5)),
    "encoder": lambda: (Encoder(), randn(3, 5, 8)),
    "encoder, norm first": lambda: (Encoder(norm_first=True), randn(3, 5, 8)),
    "causal attention": lambda: (Causal(), randn(2, 4, 3)),
    "shapes": lambda: (Shapes(), randn(3, 12)),
    "selections": lambda: (Chosen(), randn(3, 8)),
    "products": lambda: (Products(), randn(3, 8)),
    "functions": lambda: (Functions(), randn(3, 5)),
}


def made(name):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return MODELS[name]()


@pytest.mark.parametrize("name", MODELS)
def test_parts_add_up_at_every_node(name):
    check(*made(name))


@pytest.mark.parametrize("policy", ["shapley", "complement"])
@pytest.mark.parametrize("name", ["conv2d", "encoder", "causal attention", "products", "functions"])
def test_parts_add_up_by_every_policy(name, policy):
    model, x = made(name)
    found = check(model, x, policy=policy, product=policy, softmax=policy)
    apart = (found - check(model, x)).abs().max()
    assert apart > 1e-3  # the policies are not one


@pytest.mark.parametrize("name", ["functional", "conv1d", "norms", "encoder", "shapes"])
def test_biases_apart_are_those_of_no_group_at_all(name):
    model, x = made(name)
    cd = ContextualDecomposition(model.double().eval(), bias="stream")
    groups = groups_for(x)
    assert max(error.error for error in cd.completeness_errors(x, groups)) < 1e-10
    found = cd.parts(x, groups)
    assert found.relevant[:, 0].abs().max() < 1e-12
    assert found.irrelevant[:, 1].abs().max() < 1e-9
    assert found.bias.abs().max() > 1e-3
    assert torch.equal(found.bias[:, 0], found.bias[:, 2])


def test_biases_apart_of_an_elementwise_net_are_its_output_at_zero():
    model, x = made("functional")
    model.double()
    found = ContextualDecomposition(model, bias="stream").parts(x, groups_for(x))
    assert_close(found.bias[:, 1], model(torch.zeros_like(x)).detach())


def test_functions_and_reused_modules_are_as_modules():
    model, x = made("functional")
    groups = groups_for(x)
    found = ContextualDecomposition(model.double()).scores(x, groups)
    assert_close(found, ContextualDecomposition(Sequence(model)).scores(x, groups))


def test_a_net_by_its_formulas():
    torch.manual_seed(3)
    net = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 2)
    )
    net, x = net.double(), randn(2, 1, 6, 6)
    group = torch.rand(6, 6) > 0.5
    beta, gamma = x * group, x * ~group

    def affine(layer, beta, gamma):
        bias = layer.bias.view(1, -1, *[1] * (beta.dim() - 2))
        with torch.no_grad():
            r, q = (layer(part) - layer(torch.zeros_like(part)) for part in (beta, gamma))
            share = r.abs() / (r.abs() + q.abs())
            return r + share * bias, q + (1 - share) * bias

    beta, gamma = affine(net[0], beta, gamma)
    beta, gamma = beta.relu(), (beta + gamma).relu() - beta.relu()
    _, places = functional.max_pool2d(beta + gamma, 2, return_indices=True)
    beta, gamma = (
        part.flatten(2).gather(2, places.flatten(2)).flatten(1) for part in (beta, gamma)
    )
    beta, gamma = affine(net[4], beta, gamma)
    found = ContextualDecomposition(net).parts(x, group[None, None, None])
    assert_close(found.relevant[:, 0], beta.detach(), 1e-9)
    assert_close(found.irrelevant[:, 0], gamma.detach(), 1e-9)


class SpelledOut(nn.Module):
    """A root mean square norm, and a layer norm, by their formulas."""

    def __init__(self, weight):
        super().__init__()
        self.weight = weight

    def forward(self, x):
        root = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-5)
        h = root * self.weight
        centred = h - h.mean(-1, keepdim=True)
        return centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()


def test_norms_that_are_spelled_out():
    x, groups = randn(3, 6), groups_for(randn(3, 6))
    norm = scaled(nn.RMSNorm(6, eps=1e-5)).double()
    whole = nn.Sequential(norm, nn.LayerNorm(6, elementwise_affine=False))
    found = ContextualDecomposition(SpelledOut(norm.weight)).scores(x, groups)
    assert_close(found, ContextualDecomposition(whole).scores(x, groups))


def test_whole_numbers_made_of_values_are_constants():
    class Levels(nn.Module):
        def forward(self, x):
            return x * (10 * x).long()

    x = randn(2, 4)
    groups = groups_for(x)
    found = ContextualDecomposition(Levels()).scores(x, groups)
    assert_close(found, (x * (10 * x).long())[:, None] * groups)


class Deep(nn.Module):
    """Blocks whose norms make small values of large ones, and add larger biases to them."""

    def __init__(self, weights, blocks=24, size=48):
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(size, size), nn.LayerNorm(size), nn.GELU())
            for _ in range(blocks)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(size) for _ in range(blocks))
        self.head = nn.Linear(size, 3)
        with torch.no_grad():
            for layer in self.modules():
                if isinstance(layer, nn.LayerNorm):
                    layer.weight.uniform_(weights, 2 * weights)
                if isinstance(layer, (nn.LayerNorm, nn.Linear)):
                    layer.bias.normal_()

    def forward(self, x):
        for block, norm in zip(self.blocks, self.norms, strict=True):
            x = norm(x + block(x))
        return self.head(x)


@pytest.mark.parametrize("weights", [1.0, 2.0])
def test_in_float32_rounding_does_not_become_a_part_of_the_rest(weights):
    torch.manual_seed(7)
    net, x = Deep(weights), randn(4, 48).float()
    found = ContextualDecomposition(net).parts(x, groups_for(x))
    assert not found.relevant[:, 0].any()
    torch.testing.assert_close(found.relevant[:, 1], net(x).detach(), rtol=1e-5, atol=1e-5)


class TestBlackBackground:
    def net(self):
        torch.manual_seed(4)
        return nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1),
            scaled(nn.BatchNorm2d(4)),
            nn.ReLU(),
            nn.ZeroPad2d(1),
            nn.MaxPool2d(2),
            nn.Conv2d(4, 5, 3),
            nn.ReLU(),
            nn.AvgPool2d(2),
            nn.Flatten(),
            nn.Linear(20, 3),
        ).double().eval()  # fmt: skip

    def image(self):
        x = torch.zeros(2, 1, 10, 10, dtype=F64)
        x[:, :, 4:7, 3:6] = randn(2, 1, 3, 3)
        return x

    def test_an_empty_group_gets_nothing_and_a_full_one_the_output(self):
        check(self.net(), self.image())

    def test_also_in_float32(self):
        net, x = self.net().float(), self.image().float()
        found = ContextualDecomposition(net).scores(x, groups_for(x))
        assert not found[:, 0].any()
        torch.testing.assert_close(found[:, 1], net(x).detach(), rtol=1e-5, atol=1e-5)

    def test_the_official_ties_do_neither(self):
        net, x = self.net(), self.image()
        found = ContextualDecomposition(net, ties="official").scores(x, groups_for(x))
        assert found[:, 0].abs().max() > 1e-3
        assert (found[:, 1] - net(x).detach()).abs().max() > 1e-3

    def test_the_share_is_that_of_the_window(self):
        conv = nn.Conv1d(1, 1, 3, padding=1).double()
        with torch.no_grad():
            conv.bias.fill_(6.0)
        x = torch.zeros(1, 1, 5, dtype=F64)
        group = torch.tensor([1, 1, 0, 0, 0], dtype=torch.bool).view(1, 1, 1, 5)
        found = ContextualDecomposition(conv).scores(x, group).flatten()
        assert_close(found, torch.tensor([6.0, 4.0, 2.0, 0.0, 0.0], dtype=F64))
        with torch.no_grad():
            conv.weight[..., 2] = 0  # two are read, the first place reads one
        found = ContextualDecomposition(conv).scores(x, group).flatten()
        assert_close(found, torch.tensor([6.0, 6.0, 3.0, 0.0, 0.0], dtype=F64))

    def test_a_constant_belongs_to_all_features_together(self):
        layer = nn.Linear(3, 1).double()
        with torch.no_grad():
            layer.weight.zero_()
        x = randn(1, 3)
        groups = torch.tensor([[[0, 0, 0], [1, 1, 0], [1, 1, 1]]]).bool()
        found = ContextualDecomposition(layer).scores(x, groups).flatten()
        assert_close(found, torch.cat([torch.zeros(2, dtype=F64), layer.bias.detach()]))


class Words(nn.Module):
    """Word numbers, of which 0 is padding that attention does not see."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(9, 8)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.head = nn.Linear(8, 2)

    def forward(self, words):
        h = self.layer(self.embedding(words), src_key_padding_mask=words == 0)
        return self.head(h[:, 0])


@pytest.mark.parametrize("softmax", ["freeze", "acd", "shapley"])
def test_words_belong_to_groups_as_their_vectors_do(softmax):
    torch.manual_seed(5)
    model = Words().double().eval()
    words = torch.tensor([[3, 1, 4, 1, 0], [2, 7, 1, 8, 2]])
    groups = torch.tensor([[1, 0, 0, 1, 0], [0, 1, 1, 0, 1], [0] * 5, [1] * 5]).bool()[None]
    cd = ContextualDecomposition(model, softmax=softmax)
    found = cd.scores(words, groups)
    assert not found[:, 2].any()
    assert_close(found[:, 3], model(words).detach(), 1e-9)
    assert max(error.error for error in cd.completeness_errors(words, groups)) < 1e-10

    class Rest(nn.Module):
        def forward(self, vectors, padding):
            return model.head(model.layer(vectors, src_key_padding_mask=padding)[:, 0])

    vectors = model.embedding(words).detach()
    expected = ContextualDecomposition(Rest().eval(), softmax=softmax).scores(
        vectors, groups[..., None], None, (words == 0,)
    )
    assert_close(found, expected, 1e-9)


def test_one_output_of_all_rows():
    class Mean(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = Functional()

        def forward(self, x):
            return self.net(x)[:, 0].mean(0, keepdim=True)

    torch.manual_seed(6)
    model, x = Mean().double(), randn(3, 4)
    groups = groups_for(x)
    found = ContextualDecomposition(model).scores(x, groups)
    apart = ContextualDecomposition(model.net).scores(x, groups, 0)
    assert_close(found, apart.mean(0, keepdim=True))


def test_parts_that_lack_something_are_as_wrong_as_those_with_too_much():
    call = SimpleNamespace(node="sum")
    for found in ([1.0, 2.0], [1.0, 3.0]):
        split = SimpleNamespace(errors={}, of_biases=False)
        Split.note(split, call, torch.tensor(found), torch.tensor([1.0, 2.5]))
        assert split.errors == {"sum": 0.5}
