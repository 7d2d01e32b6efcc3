"""Frozen layers decomposed once: the same loss and the same gradients as without."""

import pytest
import torch
from contract_runs import assert_close
from torch import nn

from pyxai import UnsupportedOperationError
from pyxai.decomposition import ContextualDecomposition, FrozenPrefix, cdep_loss

F64 = torch.float64


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def drawn_weights(net):
    with torch.no_grad():
        for number, parameter in enumerate(net.parameters()):
            parameter.copy_(drawn(*parameter.shape, seed=number + 1) * 0.5)
    return net.double()


class Pictures(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2)
        )
        self.head = nn.Sequential(nn.Linear(12, 6), nn.ReLU(), nn.Dropout(), nn.Linear(6, 3))
        drawn_weights(self)
        self.features.requires_grad_(False).eval()

    def forward(self, x):
        return self.head(self.features(x).flatten(1))


class Skips(nn.Module):
    """Trained layers read two frozen values and the input; words are rows of a linear layer."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)
        self.mix, self.head = nn.Linear(3, 3), nn.Linear(12, 2)
        drawn_weights(self)
        self.first.requires_grad_(False)
        self.second.requires_grad_(False)

    def forward(self, x):  # [batch, 4, 3]
        first = self.first(x).relu()
        second = self.second(first.transpose(0, 1)).tanh()
        mixed = self.mix(second.relu()) + first.transpose(0, 1)
        return self.head((mixed + x.transpose(0, 1)).transpose(0, 1).flatten(1))


def pictures():
    images = drawn(5, 1, 6, 6).relu()
    images[:, :, :4] = 0  # a black background, where shares of biases are those of coverage
    groups = torch.rand(5, 3, 1, 6, 6, generator=torch.Generator().manual_seed(2)) > 0.5
    groups[:, 2, :, :, :] = False
    groups[:, 2, :, :3] = True
    return Pictures(), images, groups


def skips():
    return (
        Skips(),
        drawn(5, 4, 3),
        torch.rand(1, 2, 4, 3, generator=torch.Generator().manual_seed(2)) > 0.5,
    )


def gradients(model, loss):
    trained = [each for each in model.parameters() if each.requires_grad]
    return torch.autograd.grad(loss, trained)


ROWS = [[3, 0, 4], slice(1, 2), torch.tensor([True, False, False, True, True]), 2]


@pytest.mark.parametrize("ties", ["coverage", "official"])
@pytest.mark.parametrize("case", [pictures, skips])
def test_the_loss_and_its_gradients_are_those_of_the_whole_model(case, ties):
    model, inputs, groups = case()
    scorer = ContextualDecomposition(model, ties=ties)
    for bound in (None, 2):
        prefix = FrozenPrefix(model, inputs, groups, scorer=scorer, internal_batch_size=bound)
        assert len(prefix) == 5
        for rows in ROWS:
            some = [rows] if isinstance(rows, int) else rows
            masks = groups if len(groups) == 1 else groups[some]
            for target in (None, 1):
                call = {"target": target, "penalty": "square", "internal_batch_size": bound}
                found = cdep_loss(model, prefix[rows], **call)
                expected = cdep_loss(model, inputs[some], masks, scorer=scorer, **call)
                assert_close(found, expected)
                for one, other in zip(
                    gradients(model, found), gradients(model, expected), strict=True
                ):
                    assert_close(one, other)


def test_frozen_layers_do_not_run_again():
    model, inputs, groups = pictures()
    prefix = FrozenPrefix(model, inputs, groups)
    rows, head = prefix[:2], [model.head[0].weight.detach().clone()]
    with torch.no_grad():
        model.head[0].weight += 1  # what is trained may change
    changed = cdep_loss(model, rows)
    assert_close(changed, cdep_loss(model, inputs[:2], groups[:2]))
    with torch.no_grad():
        model.head[0].weight.copy_(head[0])
    # Of the frozen part only what was kept is read: other values there give another loss.
    before = cdep_loss(model, rows).detach()
    for node, known in prefix.known.items():
        prefix.known[node] = known._replace(part=known.part * 2)
    assert float((cdep_loss(model, prefix[:2]).detach() - before).abs()) > 1e-3


def test_what_has_changed_since_is_an_error():
    message = "model must have the frozen layers that it had when the prefix was made"
    model, inputs, groups = pictures()
    prefix = FrozenPrefix(model, inputs, groups)
    model.head[0].weight.requires_grad_(False)
    cdep_loss(model, prefix[:2])  # it reads no frozen value of its own
    model.features[0].weight.requires_grad_(True)
    with pytest.raises(ValueError, match=message):
        cdep_loss(model, prefix[:2])
    model.features[0].weight.requires_grad_(False)
    cdep_loss(model, prefix[:2])
    model.features[1].train()(drawn(2, 3, 4, 4))  # moves the statistics
    with pytest.raises(ValueError, match=message):
        cdep_loss(model, prefix[:2])
    model, inputs, groups = pictures()
    prefix = FrozenPrefix(model, inputs, groups)
    with torch.no_grad():
        model.features[0].bias.add_(1)
    with pytest.raises(ValueError, match=message):
        cdep_loss(model, prefix[:2])


def test_the_model_is_left_as_it_is():
    model, inputs, groups = pictures()
    flags = [module.training for module in model.modules()]
    random = torch.get_rng_state()
    prefix = FrozenPrefix(model, inputs, groups)
    loss = cdep_loss(model, prefix[:2])
    assert [module.training for module in model.modules()] == flags
    assert torch.equal(torch.get_rng_state(), random)
    assert loss.requires_grad
    assert all(parameter.grad is None for parameter in model.parameters())


class TestRefused:
    def test_arguments_that_rows_bring_along(self):
        model, inputs, groups = pictures()
        rows = FrozenPrefix(model, inputs, groups)[:2]
        for name, value in {
            "groups": groups[:2],
            "additional_forward_args": inputs,
            "scorer": "input_x_gradient",
        }.items():
            with pytest.raises(ValueError, match=f"{name} must be None with rows of a FrozenPref"):
                cdep_loss(model, rows, **{name: value})

    @pytest.mark.parametrize("frozen", [True, False])
    def test_nothing_or_all_of_it_frozen(self, frozen):
        model, inputs, groups = pictures()
        model.requires_grad_(not frozen)
        with pytest.raises(ValueError, match=r"model must have frozen layers .* before trained"):
            FrozenPrefix(model, inputs, groups)

    def test_recurrent_layers_and_a_stream_of_biases(self):
        model, inputs, groups = pictures()
        with pytest.raises(UnsupportedOperationError, match="recurrent layers, nor of biases"):
            FrozenPrefix(
                model, inputs, groups, scorer=ContextualDecomposition(model, bias="stream")
            )

    def test_what_is_no_scorer_or_no_rows(self):
        model, inputs, groups = pictures()
        with pytest.raises(ValueError, match="scorer must be a ContextualDecomposition made for"):
            FrozenPrefix(model, inputs, groups, scorer=ContextualDecomposition(Pictures()))
        with pytest.raises(ValueError, match="rows must be some of 5 examples, got"):
            FrozenPrefix(model, inputs, groups)[[7]]
