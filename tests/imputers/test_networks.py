"""Imputers that are networks, chains and blurs, against closed forms and enumeration."""

import itertools

import pytest
import torch
from imputer_cases import drawn
from torch import nn

from pyxai import datasets, imputers
from pyxai.imputers.vaeac.networks import ConvolutionalNetworks, DenseNetworks
from pyxai.imputers.vaeac.training import bound, random_masks
from pyxai.lex import LEX, Subset, tabular_networks

ONE = torch.tensor([3])


def found(imputer, x, mask, seed=0, ids=ONE):
    ready = imputer.check((x,))
    return ready.draw((x,), (mask,), seed=seed, example_ids=ids)[0]


def test_vaeac_learns_the_conditional_of_a_normal_distribution():
    state = torch.get_rng_state()
    root = torch.tensor([[1.0, 0.0, 0.0], [0.9, 0.4, 0.0], [-0.5, 0.5, 0.6]])
    rows = drawn(2000, 3) @ root.T + torch.tensor([1.0, -2.0, 30.0])
    imputer = imputers.VAEAC(2, 32, epochs=25, batch_size=100, lr=3e-3, n_draws=4000).fit(rows)
    assert torch.equal(torch.get_rng_state(), state)
    assert imputer.history[-1] > imputer.history[0]
    x, mask = torch.tensor([[2.0, 0.0, 0.0]]), torch.tensor([[[True, False, False]]])
    draws = found(imputer, x, mask)[0, 0, :, 1:]
    exact = torch.tensor([-2 + 0.9, 30 - 0.5])
    assert ((draws.mean(0) - exact).abs() < 0.2).all()
    deviations = torch.tensor([0.4, 0.61**0.5])
    assert ((draws.std(0) / deviations - 1).abs() < 0.3).all()
    nothing = found(imputer, x, torch.zeros_like(mask))[0, 0]
    assert ((nothing.mean(0) - rows.mean(0)).abs() < 0.25 * rows.std(0)).all()


def test_vaeac_training_depends_on_its_seed_alone():
    rows = drawn(40, 3)
    first, second = (imputers.VAEAC(2, 8, epochs=2, seed=1).fit(rows) for _ in range(2))
    assert first.history == second.history
    other = imputers.VAEAC(2, 8, epochs=2, seed=2).fit(rows)
    assert first.history != other.history


@pytest.mark.parametrize("shape", [(1, 8, 16), (3, 7, 5), (1, 2, 2), (1, 28, 56)])
def test_networks_take_images_of_any_size(shape):
    networks = ConvolutionalNetworks(shape, 3, 4, 3)
    values = drawn(2, *shape)
    generator = torch.Generator().manual_seed(0)
    present = random_masks((2, *shape), generator)
    assert bound(networks, values, present, generator).shape == (2,)
    prior, memories = networks.prior(values * present, present.float())
    assert networks.decoder(prior.mean, memories).mean.shape == (2, *shape)


def test_the_bound_is_of_absent_values_and_needs_no_present_ones():
    networks = DenseNetworks(4, 2, 8, 2)
    values = drawn(3, 4)
    nothing = torch.zeros(3, 4, dtype=torch.bool)

    def at(mask):
        return bound(networks, values, mask, torch.Generator().manual_seed(0))

    full = at(~nothing)  # minus a divergence, and the small pull of the priors
    assert (full < 0.01).all()
    assert not torch.equal(at(nothing), full)


def test_random_masks_keep_any_share_and_whole_pixels():
    generator = torch.Generator().manual_seed(0)
    vectors = random_masks((4000, 10), generator).float().mean(1)
    assert abs(vectors.mean() - 0.5) < 0.02
    assert vectors.std() > 0.25  # of one probability for all it would be 0.16
    images = random_masks((400, 3, 6, 8), generator)
    assert torch.equal(images[:, 0], images[:, 2])
    share = images.float().mean((1, 2, 3))
    assert share.min() < 0.1
    assert share.max() > 0.9


def test_networks_of_the_user_are_saved_without_their_form(tmp_path):
    rows = drawn(30, 4)
    own = imputers.VAEAC(networks=DenseNetworks(4, 3, 6, 1), epochs=1).fit(rows)
    path = own.save(tmp_path / "a")
    with pytest.raises(ValueError, match="networks must be given to load"):
        imputers.VAEAC.load(path)
    loaded = imputers.VAEAC.load(path, DenseNetworks(4, 3, 6, 1))
    mask = torch.tensor([[[True, False, True, False]]])
    assert torch.equal(found(loaded, rows[:1], mask), found(own, rows[:1], mask))


def test_a_bound_that_is_not_finite_stops_the_training():
    with pytest.raises(ValueError, match="data must lead to a finite bound, got"):
        imputers.VAEAC(2, 8, epochs=3, lr=1e30).fit(drawn(200, 3))


def test_a_chain_draws_by_the_exact_law_of_its_sequences():
    tokens = torch.randint(0, 3, (30, 5), generator=torch.Generator().manual_seed(2))
    count = 40_000
    chain = imputers.MarkovChain(n_draws=count).fit(tokens)
    x = torch.tensor([[0, 1, 2, 1, 0]])
    mask = torch.tensor([[[False, True, False, False, True]]])
    draws = found(chain, x, mask)[0, 0]
    assert torch.equal(draws[:, [1, 4]], torch.tensor([1, 0]).expand(count, 2))
    weights = {}
    for gaps in itertools.product(range(3), repeat=3):
        line = [gaps[0], 1, gaps[1], gaps[2], 0]
        weight = chain._first[line[0]]
        for a, b in itertools.pairwise(line):
            weight = weight * chain._next[a, b]
        weights[gaps] = float(weight)
    total = sum(weights.values())
    for gaps, weight in weights.items():
        share = (draws[:, [0, 2, 3]] == torch.tensor(gaps)).all(1).double().mean().item()
        expected = weight / total
        assert abs(share - expected) < 5 * (expected / count) ** 0.5


def test_counts_of_a_chain_are_those_of_its_data():
    chain = imputers.MarkovChain(4, smoothing=2.0, ignore=(3,)).fit(
        [torch.tensor([[0, 1, 1, 3]]), torch.tensor([[1, 0]])]
    )
    first = torch.tensor([2, 3, 0, 0]).double() / 5
    pairs = torch.tensor([[0, 1, 0, 0], [1, 1, 0, 0], [0] * 4, [0] * 4]).double()
    torch.testing.assert_close(chain._first, first)
    expected = (pairs + 2 * first) / (pairs.sum(1, keepdim=True) + 2)
    torch.testing.assert_close(chain._next, expected)


def test_a_token_that_never_occurred_tells_nothing_and_is_never_drawn():
    chain = imputers.MarkovChain(4, n_draws=200).fit(torch.tensor([[0, 1, 2, 0, 1, 2]]))
    x, mask = torch.tensor([[0, 0, 3, 0]]), torch.tensor([[[True, False, True, False]]])
    draws = found(chain, x, mask)[0, 0]
    assert set(draws[:, 1].tolist()) <= {0, 1, 2}
    assert draws[:, 1].bincount().argmax() == 1
    assert set(draws[:, 3].tolist()) <= {0, 1, 2}


def test_blur_is_the_weighted_mean_of_what_is_present():
    x = drawn(1, 1, 5, 4).double()
    mask = drawn(1, 1, 1, 5, 4, seed=1) > 0
    got = found(imputers.Blur(1.3), x, mask)[0, 0, 0, 0]
    places = torch.cartesian_prod(torch.arange(5), torch.arange(4)).double()
    distance = (places[:, None] - places).square().sum(2)
    weights = torch.exp(-distance / (2 * 1.3**2)) * mask.flatten()
    expected = (weights @ x.flatten()) / weights.sum(1)
    torch.testing.assert_close(got.flatten(), expected)


def test_blur_where_nothing_is_near():
    x, mask = torch.zeros(1, 2, 1, 40), torch.zeros(1, 1, 2, 1, 40, dtype=torch.bool)
    x[0, 0, 0, 0], mask[0, 0, 0, 0, 0] = 7.0, True
    got = found(imputers.Blur(1.0, fill=-1.0), x, mask)[0, 0, 0]
    torch.testing.assert_close(got[0], torch.full((1, 40), 7.0))
    torch.testing.assert_close(got[1], torch.full((1, 40), -1.0))


def test_codes_are_drawn_by_what_the_encoder_sees():
    rows = torch.cat([drawn(50, 2) / 10 - 3, drawn(50, 2, seed=1) / 10 + 3])
    imputer = imputers.LatentMixture(nn.Identity(), nn.Identity(), 2, n_draws=500).fit(rows)
    x = torch.tensor([[3.0, 9.0]])
    draws = found(imputer, x, torch.tensor([[[True, False]]]))[0, 0]
    assert ((draws.mean(0) - 3).abs() < 0.1).all()
    assert ((draws.std(0) - 0.1).abs() < 0.03).all()


def test_networks_are_left_as_found():
    encoder, decoder = nn.Sequential(nn.Linear(3, 2), nn.Dropout()), nn.Linear(2, 3)
    imputer = imputers.LatentMixture(encoder, decoder, 2).fit(drawn(30, 3))
    x, mask = drawn(2, 3), torch.tensor([[[True, False, True]]]).expand(2, -1, -1)
    state = torch.get_rng_state()
    first = found(imputer, x, mask, ids=torch.arange(2))
    assert torch.equal(first, found(imputer, x, mask, ids=torch.arange(2)))
    assert torch.equal(torch.get_rng_state(), state)
    assert encoder.training
    assert encoder[1].training
    assert all(parameter.requires_grad for parameter in encoder.parameters())


def test_learnt_constants_are_trained_through_hard_and_soft_masks():
    imputer = imputers.LearntConstant(0.0)
    x = drawn(8, 3)
    (value,) = imputer.parameters()
    hard = drawn(8, 2, 3, seed=1) > 0
    optimizer = torch.optim.SGD(imputer.parameters(), lr=0.3)
    for weights in [hard, hard.float()] * 20:
        optimizer.zero_grad()
        (rows,) = imputers.impute(imputer, (x,), weights, seed=0, example_ids=torch.arange(8))
        loss = (rows - torch.where(hard.unsqueeze(2), rows.detach(), 2.0)).square().mean()
        loss.backward()
        optimizer.step()
    assert value.item() == pytest.approx(2, abs=1e-3)
    ready = imputer.check((x,))
    assert ready.parameters()[0] is value


def test_lex_trains_a_learnt_constant():
    data = datasets.Syn2(300)
    imputer = imputers.LearntConstant(torch.zeros(11))
    model = LEX(*tabular_networks(11, 2, seed=0), imputer=imputer, law=Subset(4))
    model.fit((data.inputs, data.labels), epochs=1, batch_size=100)
    assert (imputer.parameters()[0] != 0).all()


def test_what_does_not_fit_is_said():
    with pytest.raises(
        ValueError, match=r"inputs must have shape \[batch, channels, height, width\]"
    ):
        imputers.Blur().check((drawn(2, 3),))
    with pytest.raises(ValueError, match="sigma must be positive, got 0"):
        imputers.Blur(0)
    with pytest.raises(ValueError, match="imputer must be fitted, got a MarkovChain"):
        imputers.MarkovChain().check((torch.ones(1, 2).long(),))
    with pytest.raises(ValueError, match="data must be below n_tokens = 2, got 2"):
        imputers.MarkovChain(2).fit(torch.tensor([[0, 2]]))
    chain = imputers.MarkovChain().fit(torch.tensor([[0, 1]]))
    with pytest.raises(ValueError, match="inputs must be below n_tokens = 2, got 5"):
        chain.check((torch.tensor([[5]]),))
    with pytest.raises(TypeError, match="inputs must hold integers, got"):
        chain.check((torch.ones(1, 2),))
    with pytest.raises(ValueError, match="data must hold tokens besides those of ignore, got none"):
        imputers.MarkovChain(ignore=(0,)).fit(torch.zeros(1, 2).long())
    with pytest.raises(TypeError, match="encoder must be callable, got None"):
        imputers.LatentMixture(None, nn.Identity())
    with pytest.raises(ValueError, match="encoder must return codes of shape"):
        imputers.LatentMixture(lambda x: x[:, 0], nn.Identity()).fit(drawn(9, 2))
    with pytest.raises(ValueError, match=r"decoder must return rows of shape \[2\], got \[1\]"):
        imputers.LatentMixture(lambda x: x[:, :1], nn.Identity(), 2).fit(drawn(9, 2))
    with pytest.raises(ValueError, match=r"value must be a number or have shape \[3\], got \[2\]"):
        imputers.LearntConstant(torch.ones(2)).check((drawn(2, 3),))
    with pytest.raises(TypeError, match="law must be callable, got 3"):
        imputers.VAEAC(law=3)
