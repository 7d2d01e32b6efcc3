"""Penalties of gradients: closed forms, finite differences, and how they treat a model."""

import pytest
import torch
from contract_runs import assert_close
from torch import nn

from pyxai.decomposition import expected_gradients_loss, rrr_loss

F64 = torch.float64


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def made(*layers):
    net = nn.Sequential(*layers).double()
    with torch.no_grad():
        for number, parameter in enumerate(net.parameters()):
            parameter.copy_(drawn(*parameter.shape, seed=number + 1) * 0.6)
    return net


X = drawn(3, 4)
GROUPS = torch.tensor([[[1, 0, 1, 0], [0, 0.5, 0, 0]]])
LABELS = torch.tensor([0, 2, 1])
BACKGROUND = drawn(6, 4, seed=9)


class TestRightForTheRightReasons:
    def test_a_linear_model(self):
        # d/dx sum_k log p_k = sum_k w_k - K sum_k p_k w_k
        net = made(nn.Linear(4, 3))
        weight, p = net[0].weight, net(X).softmax(1)
        gradient = weight.sum(0) - 3 * p @ weight
        expected = (gradient.unsqueeze(1) * GROUPS).square().sum(2)
        assert_close(rrr_loss(net, X, GROUPS, reduction="none"), expected)
        assert_close(rrr_loss(net, X, GROUPS), expected.mean(0).sum())

    def test_two_classes_with_one_logit(self):
        # sum_k log p_k = log s(z) + log s(-z), whose derivative is 1 - 2 s(z)
        net = made(nn.Linear(4, 1))
        gradient = (1 - 2 * net(X).sigmoid()) * net[0].weight
        assert_close(
            rrr_loss(net, X, GROUPS, reduction="none"),
            (gradient.unsqueeze(1) * GROUPS).square().sum(2),
        )

    def test_the_true_class_of_images_over_channels(self):
        net = made(nn.Flatten(), nn.Linear(8, 3))
        images, groups = (
            X.new_tensor(drawn(3, 2, 2, 2).tolist()),
            torch.tensor([[[[[1, 0], [0, 1]]]]]),
        )
        p = net(images).softmax(1)
        weight = net[1].weight
        gradient = (weight[LABELS] - p @ weight).view(3, 2, 2, 2).sum(1)
        expected = (gradient * groups[0, 0]).square().sum((1, 2))
        found = rrr_loss(net, images, groups, LABELS, form="likelihood", reduction="none")
        assert_close(found[:, 0], expected)

    def test_gradients_of_parameters_are_finite_differences(self):
        net = made(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
        for options in ({}, {"target": LABELS, "form": "likelihood"}):
            assert torch.autograd.gradcheck(
                lambda *_, options=options: rrr_loss(net, X, GROUPS, **options),
                tuple(net.parameters()),
            )

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"target": 1}, "target must be None for form='log_probabilities', got 1"),
            ({"form": "likelihood"}, "target must be the true classes for form='likelihood'"),
            ({"form": "official"}, "form must be one of"),
            ({"reduction": "sum"}, "reduction must be one of"),
        ],
    )
    def test_arguments_that_do_not_fit(self, change, message):
        with pytest.raises(ValueError, match=message):
            rrr_loss(made(nn.Linear(4, 3)), X, GROUPS, **change)

    def test_groups_that_divide_pixels(self):
        net, images = made(nn.Flatten(), nn.Linear(8, 3)), drawn(3, 2, 2, 2)
        groups = torch.zeros(1, 1, 2, 2, 2)
        groups[:, :, 0] = 1
        with pytest.raises(ValueError, match="groups must hold all channels of a pixel or none"):
            rrr_loss(net, images, groups, LABELS, form="likelihood")


class TestExpectedGradients:
    def test_a_linear_model(self):
        # The gradient is the weight wherever it is taken: many draws give |w_d (x - mean b)_d|.
        net = made(nn.Linear(4, 3))
        draw = {"n_samples": 20000, "reduction": "none"}
        found = expected_gradients_loss(net, X, GROUPS, BACKGROUND, 1, **draw).detach()
        terms = (net[0].weight[1] * (X - BACKGROUND.mean(0))).abs().detach()
        expected = (terms.unsqueeze(1) * GROUPS).sum(2)
        error = 4 * BACKGROUND.std(0).max() * net[0].weight.detach().abs().max() * 2 / 20000**0.5
        assert float((found - expected).abs().max()) < float(error)

    def test_draws_of_a_single_row_of_background(self):
        # f = x^3: (x - b) 3 (b + a (x - b))^2 integrates to x^3 - b^3 in [0, 1]
        class Cube(nn.Module):
            def __init__(self):
                super().__init__()
                self.scale = nn.Parameter(torch.ones((), dtype=F64))

            def forward(self, x):
                return self.scale * x[:, 0] ** 3

        x, b = torch.tensor([[2.0]], dtype=F64), torch.tensor([[-1.0]], dtype=F64)
        found = expected_gradients_loss(Cube(), x, torch.ones(1, 1, 1), b, n_samples=40000, seed=3)
        assert float(found.detach()) == pytest.approx(9, abs=0.2)

    def test_one_seed_one_answer_alone_and_in_a_batch(self):
        net = made(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
        call = {"n_samples": 3, "reduction": "none"}
        random = torch.get_rng_state()
        every = expected_gradients_loss(net, X, GROUPS, BACKGROUND, LABELS, **call)
        for row, label in enumerate(LABELS.tolist()):
            alone = expected_gradients_loss(net, X[[row]], GROUPS, BACKGROUND, label, **call)
            assert_close(alone, every[[row]])
        assert torch.equal(torch.get_rng_state(), random)
        other = expected_gradients_loss(net, X, GROUPS, BACKGROUND, LABELS, **call, seed=1)
        assert not torch.equal(other, every)

    def test_gradients_of_parameters_are_finite_differences(self):
        net = made(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
        call = {"n_samples": 2, "output": "log_probability"}
        assert torch.autograd.gradcheck(
            lambda *_: expected_gradients_loss(net, X, GROUPS, BACKGROUND, LABELS, **call),
            tuple(net.parameters()),
        )

    def test_arguments_with_rows_follow_the_examples(self):
        class Scaled(nn.Module):
            def __init__(self):
                super().__init__()
                self.net = made(nn.Linear(4, 3))

            def forward(self, x, scale):
                return self.net(x) * scale

        scale = torch.tensor([[1.0], [0.0], [2.0]], dtype=F64)
        call = {"n_samples": 4, "reduction": "none"}
        found = expected_gradients_loss(Scaled(), X, GROUPS, BACKGROUND, 0, scale, **call)
        plain = expected_gradients_loss(Scaled().net, X, GROUPS, BACKGROUND, 0, **call)
        assert_close(found, plain * scale)

    def test_what_does_not_depend_on_the_inputs(self):
        with pytest.raises(ValueError, match="model output must depend on the inputs"):
            expected_gradients_loss(lambda x: x.detach()[:, 0], X, GROUPS, BACKGROUND)


@pytest.mark.filterwarnings("error")
def test_the_model_is_explained_as_it_will_be_used_and_left_as_it_is():
    net = made(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Dropout(), nn.Linear(5, 3))
    state = {name: value.clone() for name, value in net.state_dict().items()}
    random = torch.get_rng_state()
    for loss in (
        lambda: rrr_loss(net, X, GROUPS),
        lambda: expected_gradients_loss(net, X, GROUPS, BACKGROUND, 0),
    ):
        found = loss()
        assert all(module.training for module in net.modules())
        assert torch.equal(torch.get_rng_state(), random)
        assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
        found.backward()
        assert net[0].weight.grad.any()
        net.zero_grad()
        net.eval()
        assert_close(loss(), found)
        net.train()
