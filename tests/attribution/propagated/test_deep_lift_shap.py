"""Deep SHAP in its two forms: closed forms, means over pairs, and each row run forward once."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from closed_forms import CASES
from deep_nets import NETS, Function, build
from torch import nn

from pyxai import PyxaiWarning, UnsupportedOperationError
from pyxai.attribution import DeepLift, DeepLiftShap
from pyxai.propagation.multipliers import blocks as blocks_module
from pyxai.propagation.multipliers import pairs as pairs_module
from pyxai.propagation.multipliers.engine import Engine
from pyxai.tracing import Graph

FORMS = {"rescale": "deep_shap_rescale", "neuron_shapley": "deep_shap_neuron_shapley"}


@pytest.mark.parametrize("name", CASES)
def test_closed_forms(name):
    case = CASES[name]
    model, x, background = case.net(), case.inputs(), case.background()
    for rule, form in FORMS.items():
        explainer = DeepLiftShap(model, rule=rule)
        found, delta = explainer.attribute(x, background, return_convergence_delta=True)
        torch.testing.assert_close(found, case.expected(form), rtol=1e-9, atol=1e-9)
        assert delta.shape == (2,)
        assert delta.abs().max() < 1e-12


@pytest.mark.parametrize("name", NETS)
def test_mean_over_pairs(name):
    model, given, baselines = build(name)
    x = given[:2]
    change = model(x).gather(1, torch.tensor([[1], [2]])) - model(baselines)[:, 1:3].t()
    for rule in ("rescale", "reveal_cancel"):
        found, delta = DeepLiftShap(model, rule=rule).attribute(
            x, baselines, target=[1, 2], return_convergence_delta=True
        )
        assert (delta.abs() / change.flatten().abs()).max() < 1e-9
        one = DeepLift(model, rule=rule)
        rows = [one.attribute(x, baselines[j : j + 1], target=[1, 2]) for j in range(3)]
        torch.testing.assert_close(found, torch.stack(rows).mean(0), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["transformer", "lstm"])
def test_neuron_shapley_on_deep_nets(name):
    model, given, baselines = build(name)
    x, b = given[:2], baselines[:2]
    explainer = DeepLiftShap(model, rule="neuron_shapley", n_permutations=2)
    found, delta = explainer.attribute(x, b, target=1, return_convergence_delta=True)
    change = model(x)[:, 1, None] - model(b)[:, 1]
    assert (delta.abs() / change.flatten().abs()).max() < 1e-9
    alone = explainer.attribute(x[1:], b, target=1)
    torch.testing.assert_close(alone, found[1:], rtol=1e-9, atol=1e-12)


def shapley(game, n):
    """Return Shapley values by their definition."""
    values = []
    for i in range(n):
        rest = [j for j in range(n) if j != i]
        total = 0.0
        for size in range(n):
            for chosen in itertools.combinations(rest, size):
                weight = 1 / (n * math.comb(n - 1, size))
                total += weight * (game({*chosen, i}) - game(set(chosen)))
        values.append(total)
    return values


@pytest.mark.parametrize("activation", [nn.ReLU, nn.GELU, nn.Tanh])
def test_neuron_shapley_of_one_neuron_is_the_shapley_value(activation):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 1), activation()).double()
    x, b = torch.randn(2, 1, 5, dtype=torch.float64)
    x[0, 2] = b[0, 2]

    def game(chosen):
        kept = torch.tensor([[i in chosen for i in range(5)]])
        return model(torch.where(kept, x, b)).item()

    found = DeepLiftShap(model, rule="neuron_shapley").attribute(x, b)
    expected = torch.tensor([shapley(game, 5)], dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_neuron_shapley_of_convolution_norm_and_residual_sum():
    torch.manual_seed(0)
    conv, norm = nn.Conv2d(1, 2, 2), nn.BatchNorm2d(2)
    norm.weight.data = torch.tensor([-1.5, 0.7])
    model = Function(
        lambda parts, x: torch.relu(parts[1](parts[0](x)) + x[:, :, 1:, 1:]).flatten(1), conv, norm
    )
    model = model.double().eval()
    x, b = torch.randn(2, 1, 1, 3, 3, dtype=torch.float64)
    found = DeepLiftShap(model, rule="neuron_shapley").attribute(x, b, target=3)
    # Neuron 3 is channel 0 at the lower right place: it reads a patch of 4 and, by the sum, one
    # pixel of it again, which counts as an input of its own.
    weight = conv.weight[0, 0].flatten() * norm.weight[0] / (norm.running_var[0] + 1e-5).sqrt()
    step = (x - b)[0, 0, 1:, 1:].flatten()
    u = [*(weight * step).tolist(), step[3].item()]
    start = (parts_before_relu(model, b))[0, 0, 1, 1].item()

    def game(chosen):
        return max(start + sum(u[i] for i in chosen), 0.0)

    values = shapley(game, 5)
    expected = torch.zeros(3, 3, dtype=torch.float64)
    expected[1:, 1:] = torch.tensor(values[:4], dtype=torch.float64).reshape(2, 2)
    expected[2, 2] += values[4]
    torch.testing.assert_close(found[0, 0], expected, rtol=1e-8, atol=1e-9)


def parts_before_relu(model, x):
    conv, norm = model.parts
    return norm(conv(x)) + x[:, :, 1:, 1:]


def test_many_inputs_are_sampled_the_same_way_for_every_row():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(20, 3), nn.ReLU(), nn.Linear(3, 1)).double()
    x, b = torch.randn(2, 3, 20, dtype=torch.float64)
    make = lambda n_permutations=16, **options: DeepLiftShap(  # noqa: E731
        model, rule="neuron_shapley", n_permutations=n_permutations, **options
    )
    found, delta = make().attribute(x, b, return_convergence_delta=True)
    assert delta.abs().max() < 1e-12
    torch.testing.assert_close(make().attribute(x[1:2], b), found[1:2])
    assert not torch.allclose(make(seed=1).attribute(x, b), found)
    many = make(n_permutations=100).attribute(x, b)
    other = make(n_permutations=100, seed=1).attribute(x, b)
    few = make(n_permutations=2).attribute(x, b)
    assert (other - many).abs().mean() < (few - many).abs().mean() / 3


def test_neuron_shapley_refuses_what_it_cannot_take_apart():
    model = Function(lambda parts, x: torch.relu(parts[0](x).sum(1, keepdim=True)), nn.Linear(4, 3))
    with pytest.raises(UnsupportedOperationError, match=r"no rule for sum.*rule='rescale' has"):
        DeepLiftShap(model, rule="neuron_shapley").attribute(torch.randn(1, 4), torch.zeros(1, 4))


@pytest.mark.parametrize("rule", ["rescale", "reveal_cancel", "neuron_shapley"])
def test_op_without_rule_is_named_and_told_once(rule, monkeypatch):
    model = Function(lambda parts, x: parts[0](x).mode(1)[0].unsqueeze(1), nn.Linear(4, 3))
    x, b = torch.randn(4, 4), torch.randn(5, 4)
    with pytest.raises(UnsupportedOperationError, match=r"no rule for mode at .*shap.py:.*mode\(1"):
        DeepLiftShap(model, rule=rule).attribute(x, b, target=0)
    if rule == "neuron_shapley":
        return  # has no gradient to fall back on
    monkeypatch.setattr(pairs_module, "rows_for", lambda *parts: 2)  # several blocks
    with pytest.warns(PyxaiWarning, match="has no rule for mode") as warned:
        DeepLiftShap(model, rule=rule, strict=False).attribute(x, b, target=0)
    assert len(warned) == 1


def test_one_baseline_and_callables():
    model, x, b = build("mixture")
    explainer = DeepLiftShap(model)
    one = explainer.attribute(x, b[:1], target=0)
    torch.testing.assert_close(one, DeepLift(model).attribute(x, b[:1], target=0))
    several = explainer.attribute(x, b, target=0)
    torch.testing.assert_close(explainer.attribute(x, lambda: b, target=0), several)
    torch.testing.assert_close(
        explainer.attribute(x, lambda given: b + 0 * given, target=0), several
    )


def test_rows_run_forward_once_and_blocks_stay_small(monkeypatch):
    model, x, b = build("vgg")
    explainer = DeepLiftShap(model)
    rows = []
    original = Engine.run

    def counted(self, inputs, arguments):
        rows.append(inputs[0].shape[0])
        return original(self, inputs, arguments)

    monkeypatch.setattr(Engine, "run", counted)
    whole = explainer.attribute(x, b.repeat(3, 1, 1, 1), target=0)
    assert rows == [3, 9]
    blocks = []
    block = pairs_module.Pairs.block

    def recorded(self, examples, repeats):
        blocks.append((examples.stop - examples.start) * (repeats.stop - repeats.start))
        return block(self, examples, repeats)

    monkeypatch.setattr(pairs_module, "rows_for", lambda *parts: 5)
    monkeypatch.setattr(pairs_module.Pairs, "block", recorded)
    small = explainer.attribute(x, b.repeat(3, 1, 1, 1), target=0)
    assert max(blocks) <= 5
    assert sum(blocks) == 27
    torch.testing.assert_close(small, whole, rtol=1e-10, atol=1e-13)


def test_out_of_memory_halves_the_blocks(monkeypatch):
    model, x, b = build("mixture")
    explainer = DeepLiftShap(model)
    expected = explainer.attribute(x, b, target=0)
    block = pairs_module.Pairs.block

    def limited(self, examples, repeats):
        if (examples.stop - examples.start) * (repeats.stop - repeats.start) > 2:
            raise RuntimeError("CUDA out of memory (simulated)")
        return block(self, examples, repeats)

    monkeypatch.setattr(pairs_module.Pairs, "block", limited)
    torch.testing.assert_close(explainer.attribute(x, b, target=0), expected)


def test_arguments_per_example_and_batch_made_a_number():
    model = Function(lambda parts, x, s: torch.tanh(parts[0](x)) * s, nn.Linear(4, 3)).double()
    x, b = torch.randn(3, 4, dtype=torch.float64), torch.randn(5, 4, dtype=torch.float64)
    scale = torch.tensor([[1.0], [2.0], [-1.0]], dtype=torch.float64)
    found, delta = DeepLiftShap(model).attribute(
        x, b, target=1, additional_forward_args=scale, return_convergence_delta=True
    )
    plain = Function(lambda parts, x: torch.tanh(parts[0](x)), *model.parts)
    torch.testing.assert_close(found, DeepLiftShap(plain).attribute(x, b, target=1) * scale)
    assert delta.abs().max() < 1e-14
    fixed = Function(lambda parts, x: torch.tanh(parts[0](x)).reshape(len(x), -1), *model.parts)
    torch.testing.assert_close(
        DeepLiftShap(fixed).attribute(x, b, target=1),
        DeepLiftShap(plain).attribute(x, b, target=1),
    )


def test_delta_is_per_pair_in_the_order_of_captum():
    model, x, b = build("mixture")
    explainer = DeepLiftShap(model)
    _, delta = explainer.attribute(
        x, b, target=0, return_convergence_delta=True, custom_attribution_func=lambda m: (0 * m[0],)
    )
    gaps = model(b)[:, 0][None] - model(x)[:, 0][:, None]
    torch.testing.assert_close(delta, gaps.detach().flatten())


def test_equals_captum_where_captum_is_right():
    from captum.attr import DeepLiftShap as Peer
    from captum_peer import mlp, peer

    model = mlp()
    x, b = torch.randn(4, 6), torch.randn(7, 6)
    expected = peer(Peer(model), x, b, target=2)
    found = DeepLiftShap(model).attribute(x, b, target=2)
    torch.testing.assert_close(found, expected.detach(), rtol=1e-5, atol=1e-6)


def test_errors_of_arguments():
    model, x, b = build("mixture")
    with pytest.raises(ValueError, match="rule must be one of 'rescale', 'reveal_cancel', 'neuron"):
        DeepLiftShap(model, rule="shapley")
    with pytest.raises(ValueError, match=r"baselines must have shape \[\*, 8\], got \[3, 3\]"):
        DeepLiftShap(model).attribute(x, b[:, :3], target=0)
    with pytest.raises(TypeError, match="baselines must be a tensor"):
        DeepLiftShap(model).attribute(x, 0.0, target=0)


@pytest.mark.parametrize("most", [1, 4, 20])
def test_forward_passes_that_run_out_of_memory_are_cut(monkeypatch, most):
    generator = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3)).double().eval()
    x, b, shift = (torch.randn(n, 5, generator=generator, dtype=torch.float64) for n in (24, 9, 24))
    explainer = DeepLiftShap(model)
    target = torch.arange(24) % 3
    wanted = explainer.attribute(x, b, target=target, return_convergence_delta=True)
    run = Graph.run

    def limited(self, inputs, *further, **options):
        if inputs[0].shape[0] > most:
            raise torch.OutOfMemoryError("out of memory")
        return run(self, inputs, *further, **options)

    class Shifted(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, x, shift):
            return self.model(x + shift)

    per_example = DeepLiftShap(Shifted().eval())
    also = per_example.attribute(x, b, target, shift)
    monkeypatch.setattr(Graph, "run", limited)
    found = explainer.attribute(x, b, target=target, return_convergence_delta=True)
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(per_example.attribute(x, b, target, shift), also, rtol=1e-12, atol=0)


def test_forward_passes_follow_a_memory_budget(monkeypatch):
    model = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3)).eval()
    x, b = torch.randn(24, 5), torch.randn(9, 5)
    explainer = DeepLiftShap(model)
    wanted = explainer.attribute(x, b, target=1)
    rows = []
    run = Engine.run
    monkeypatch.setattr(
        Engine, "run", lambda *given: rows.append(given[1][0].shape[0]) or run(*given)
    )
    explainer.attribute(x, b, target=1)
    assert rows == [24, 9]
    elements = 4 * explainer._make_engine((x,), ()).graph.program.row_elements
    for budget in (16, 6):
        rows.clear()
        monkeypatch.setattr(blocks_module, "memory_of_host", lambda b=budget: 4.0 * b * elements)
        torch.testing.assert_close(explainer.attribute(x, b, target=1), wanted)
        assert all(
            first + second <= budget for first, second in zip(rows[::2], rows[1::2], strict=True)
        )
