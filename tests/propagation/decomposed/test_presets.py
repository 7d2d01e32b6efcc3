"""Presets for transformers, by the formulas of their papers' code on a small encoder."""

import pytest
import torch
from contract_runs import assert_close
from torch import nn
from torch.nn import functional

from pyxai.decomposition import ContextualDecomposition

F64 = torch.float64
HEADS = 2


class Block(nn.Module):
    """One layer of a transformer encoder as BERT has it, or with norms first."""

    def __init__(self, size, norm_first):
        super().__init__()
        self.q, self.k, self.v, self.out = (nn.Linear(size, size) for _ in range(4))
        self.up, self.down = nn.Linear(size, 2 * size), nn.Linear(2 * size, size)
        self.norms = nn.ModuleList(nn.LayerNorm(size) for _ in range(2))
        self.norm_first = norm_first

    def probabilities(self, x):
        q, k = (heads(layer(x)) for layer in (self.q, self.k))
        return (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1)

    def attend(self, x):
        return self.out(joined(self.probabilities(x) @ heads(self.v(x))))

    def forward(self, x):
        if self.norm_first:
            x = x + self.attend(self.norms[0](x))
            return x + self.down(functional.gelu(self.up(self.norms[1](x))))
        x = self.norms[0](x + self.attend(x))
        return self.norms[1](x + self.down(functional.gelu(self.up(x))))


class Reader(nn.Module):
    """Two layers, a pooler with tanh on the first token, and a head."""

    def __init__(self, size=6, norm_first=False):
        super().__init__()
        self.blocks = nn.ModuleList(Block(size, norm_first) for _ in range(2))
        self.pooler, self.head = nn.Linear(size, size), nn.Linear(size, 2)

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return self.head(torch.tanh(self.pooler(x[:, 0])))


def heads(x):
    return x.unflatten(-1, (HEADS, -1)).transpose(1, 2)


def joined(x):
    return x.transpose(1, 2).flatten(2)


def made(norm_first=False):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Reader(norm_first=norm_first)
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=0.6)
        return model.double().eval(), torch.randn(2, 4, 6, dtype=F64)


class Formulas:
    """What differs between the two codes: biases, functions, norms, signs."""

    def __init__(self, preset):
        self.cdt = preset == "cdt"

    def share(self, beta, gamma, by=None):
        if not self.cdt:
            return torch.zeros_like(beta)
        b, g = (each.abs() for each in (by or (beta, gamma)))
        return b / (b + g + 1e-30)

    def affine(self, layer, beta, gamma):
        beta, gamma = beta @ layer.weight.T, gamma @ layer.weight.T
        share = self.share(beta, gamma)
        return beta + share * layer.bias, gamma + (1 - share) * layer.bias

    def norm(self, layer, beta, gamma):
        scale = layer.weight / ((beta + gamma).var(-1, keepdim=True, correction=0) + 1e-5).sqrt()
        share = self.share(None, None, by=(beta, gamma)) if self.cdt else 0
        beta, gamma = ((p - p.mean(-1, keepdim=True)) * scale for p in (beta, gamma))
        return beta + share * layer.bias, gamma + (1 - share) * layer.bias

    def function(self, f, beta, gamma):
        if self.cdt:
            return f(beta + gamma) - f(gamma), f(gamma)
        mine = (f(beta + gamma) - f(gamma) + f(beta)) / 2
        return mine, f(beta + gamma) - mine

    def signs(self, beta, gamma):
        clash, larger, total = beta * gamma < 0, beta.abs() >= gamma.abs(), beta + gamma
        mine = torch.where(clash, torch.where(larger, total, 0.0), beta)
        return mine, total - mine

    def block(self, block, beta, gamma):
        total = beta + gamma
        attention = block.probabilities(block.norms[0](total) if block.norm_first else total)
        read = self.norm(block.norms[0], beta, gamma) if block.norm_first else (beta, gamma)
        values = self.affine(block.v, *read)
        seen = self.affine(block.out, *(joined(attention @ heads(part)) for part in values))
        beta, gamma = beta + seen[0], gamma + seen[1]
        if not block.norm_first:
            beta, gamma = self.norm(block.norms[0], beta, gamma)
        read = self.norm(block.norms[1], beta, gamma) if block.norm_first else (beta, gamma)
        wide = self.function(functional.gelu, *self.affine(block.up, *read))
        down = self.affine(block.down, *wide)
        beta, gamma = beta + down[0], gamma + down[1]
        if not block.norm_first:
            beta, gamma = self.norm(block.norms[1], beta, gamma)
        return self.signs(beta, gamma) if self.cdt else (beta, gamma)

    def __call__(self, model, beta, gamma):
        for block in model.blocks:
            beta, gamma = self.block(block, beta, gamma)
        first = self.affine(model.pooler, beta[:, 0], gamma[:, 0])
        return self.affine(model.head, *self.function(torch.tanh, *first))


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("preset", ["cdt", "scd"])
def test_by_the_formulas(preset, norm_first):
    model, x = made(norm_first)
    tokens = torch.tensor([[1, 0, 0, 0], [0, 1, 1, 0], [1, 0, 1, 1]]).bool()
    cd = ContextualDecomposition(model, preset=preset)
    found = cd.parts(x, tokens[None, :, :, None])
    for place, group in enumerate(tokens):
        mask = group[None, :, None].double()
        with torch.no_grad():
            beta, gamma = Formulas(preset)(model, x * mask, x * (1 - mask))
        assert_close(found.relevant[:, place], beta)
        assert_close(found.irrelevant[:, place], gamma)
    errors = cd.completeness_errors(x, tokens[None, :, :, None])
    assert max(error.error for error in errors) < 1e-10


@pytest.mark.parametrize("norm_first", [False, True])
def test_each_choice_of_the_preset_matters(norm_first):
    model, x = made(norm_first)
    group = torch.tensor([1, 0, 1, 0]).bool().view(1, 1, 4, 1)
    found = ContextualDecomposition(model, preset="cdt").scores(x, group)
    others = {"policy": "acd", "norm_bias": "after", "clean_up": "never"}
    for name, choice in [*others.items(), ("clean_up", "sublayer")]:
        other = ContextualDecomposition(model, preset="cdt", **{name: choice}).scores(x, group)
        assert (other - found).abs().max() > 1e-6, name
    # All choices given by name are the preset.
    same = ContextualDecomposition(
        model, policy="complement", norm_bias="before", ties="irrelevant", clean_up="layer"
    )
    assert torch.equal(same.scores(x, group), found)


def test_full_and_empty_groups():
    model, x = made()
    groups = torch.tensor([[0, 0, 0, 0], [1, 1, 1, 1]]).bool()[None, :, :, None]
    for preset in ("default", "acd", "cdt", "scd"):
        found = ContextualDecomposition(model, preset=preset).scores(x, groups)
        assert not found[:, 0].any()
        if preset != "scd":  # biases are nobody's there
            assert_close(found[:, 1], model(x).detach())


def test_an_unknown_preset():
    with pytest.raises(ValueError, match=r"^preset must be one of .*got 'gcd'"):
        ContextualDecomposition(made()[0], preset="gcd")
