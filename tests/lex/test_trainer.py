"""Training: one seed one run, resuming, stopping, regimes."""

import json

import pytest
import torch
from lex_problems import small_data, small_lex, small_networks, standard_normal
from safetensors import safe_open
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from pyxai._files import read_tensors, write_tensors
from pyxai.lex import (
    LEX,
    REBAR,
    Bernoulli,
    Regime,
    Subset,
    Trainer,
    Training,
    invase,
    invase_minus,
    l2x,
    lex,
    rationale,
    realx,
)

DATA = small_data(20)


def weights(model):
    return {name: each.clone() for name, each in model.state_dict().items()}


def same(first, second):
    assert first.keys() == second.keys()
    for name, each in first.items():
        torch.testing.assert_close(each, second[name], msg=name)


def trained(model=None, data=DATA, **options):
    model = model or small_lex(imputer=standard_normal(), n_masks=2)
    options = {"epochs": 3, "batch_size": 8, "lr": 0.01, **options}
    return model, model.fit(data, **options)


def test_one_seed_is_one_run_and_leaves_torch_alone():
    state = torch.random.get_rng_state()
    first, result = trained()
    assert torch.equal(state, torch.random.get_rng_state())
    assert result.steps == 9
    assert [entry["epoch"] for entry in result.history] == [0, 1, 2]
    assert result.history[0].keys() >= {"bound", "penalty", "phase", "steps"}
    same(weights(first), weights(trained(max_rows=2)[0]))
    other = weights(trained(seed=1)[0])
    assert any(not torch.equal(each, other[name]) for name, each in weights(first).items())


def test_training_lowers_the_loss():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(400, 5, generator=generator, dtype=torch.float64)
    data = x, (x[:, 1] > 0).long()
    model = small_lex(5, 2, law=Subset(1), imputer=standard_normal())
    before = model.score(*data).mean()
    model, result = trained(model, data, epochs=25, batch_size=50, lr=0.02)
    assert float(model.score(*data).mean()) < 0.5 * float(before)
    assert result.history[-1]["bound"] < result.history[0]["bound"]
    assert float(model.select(x)[:, 1].double().mean()) > 0.95


class Interrupt(Exception):
    pass


@pytest.mark.parametrize("stop", [1, 20, 28, 60])
@pytest.mark.parametrize("pretrain", [0, 1])
def test_a_resumed_run_is_the_run_that_was_not_interrupted(tmp_path, stop, pretrain):
    def model():
        regime = Regime(pretrain_epochs=pretrain)
        return small_lex(imputer=standard_normal(), regime=regime, n_masks=2)

    whole, expected = trained(model(), validation=DATA)

    def interrupt(done, total):
        if done >= stop:
            raise Interrupt

    options = {"folder": tmp_path, "every": 1, "validation": DATA}
    with pytest.raises(Interrupt):
        trained(model(), progress=interrupt, **options)
    other, result = trained(model(), resume=True, **options)
    same(weights(whole), weights(other))
    assert result.steps == expected.steps
    assert len(result.history) == len(expected.history)
    for ours, theirs in zip(result.history, expected.history, strict=True):
        assert ours == pytest.approx(theirs)


def test_checkpoints_are_tensors_and_json(tmp_path):
    model, _ = trained(folder=tmp_path, validation=DATA)
    assert {path.name for path in tmp_path.iterdir()} == {"last.safetensors", "best.safetensors"}
    with safe_open(tmp_path / "last.safetensors", framework="pt") as file:
        header = json.loads(file.metadata()["pyxai.training"])
        saved = file.get_tensor("model.predictor.0.weight")
    assert header["format"] == 1
    torch.testing.assert_close(saved, model.predictor[0].weight.detach())


def test_resuming_needs_the_same_seed_and_a_folder(tmp_path):
    model, _ = trained(folder=tmp_path)
    with pytest.raises(ValueError, match="seed must be 0, that of the checkpoint, got 1"):
        Trainer(model, folder=tmp_path, seed=1).fit(DATA, resume=True)
    with pytest.raises(ValueError, match="folder must be given to resume, got None"):
        Trainer(model).fit(DATA, resume=True)
    with pytest.raises(FileNotFoundError, match="path must be the file of a training"):
        Trainer(model, folder=tmp_path / "other").fit(DATA, resume=True)


@pytest.mark.parametrize("field", ["model", "optimiser", "result", "place", "seed"])
def test_malformed_checkpoints_are_refused(field, tmp_path):
    model, _ = trained(folder=tmp_path)
    path = tmp_path / "last.safetensors"
    tensors, header = read_tensors(path, kind="training")
    pairs = [[n, {"dict": [["x", 1]]} if n == field else v] for n, v in header["fields"]["dict"]]
    write_tensors(path, tensors, kind="training", header={"format": 1, "fields": {"dict": pairs}})
    with pytest.raises(ValueError, match="path must hold a whole file, got") as caught:
        Trainer(model, folder=tmp_path).fit(DATA, resume=True)
    assert str(path) in str(caught.value)


def test_training_stops_early_with_the_best_weights(tmp_path):
    # Labels of noise: the validation loss gets worse soon.
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(20, 5, generator=generator, dtype=torch.float64)
    validation = x, torch.randint(0, 3, (20,), generator=generator)
    model, result = trained(epochs=60, lr=0.1, validation=validation, patience=2, folder=tmp_path)
    assert len(result.history) < 60
    losses = [entry["validation"] for entry in result.history]
    assert min(losses) == result.best["selection"] == losses[-3]
    assert float(model.score(*validation).mean()) == pytest.approx(min(losses))


def test_patience_needs_validation_data():
    with pytest.raises(ValueError, match="validation must be given where patience is, got None"):
        trained(patience=2)


def test_a_nan_stops_with_step_term_and_checkpoint(tmp_path):
    model = small_lex(imputer=standard_normal())
    trained(model, epochs=1, folder=tmp_path, every=1)
    kept = weights(model)
    steps = []

    class Breaks(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, rows):
            steps.append(1)
            return self.inner(rows) * (torch.nan if len(steps) > 4 else 1)

    model.predictor = Breaks(model.predictor)
    trainer = Trainer(model, folder=tmp_path, every=1, epochs=3, batch_size=8)
    with pytest.raises(FloatingPointError) as caught:
        trainer.fit(DATA)
    text = str(caught.value)
    assert "got nan in the term 'bound' of the loss at step 4" in text
    assert str(tmp_path / "last.safetensors") in text
    now = weights(model)
    assert all(bool(each.isfinite().all()) for each in now.values())
    assert len(now) == len(kept)


def test_a_gradient_that_is_not_finite_stops_too():
    class Root(nn.Module):
        def forward(self, rows):
            return (rows * 0).abs().sqrt().sum(1, keepdim=True) + torch.zeros(3).double()

    predictor, selector = small_networks(5, 3)
    model = LEX(nn.Sequential(predictor[0], Root()), selector)
    with pytest.raises(
        FloatingPointError, match=r"gradient of predictor\.0\.weight at step 0; .* none"
    ):
        model.fit(DATA, epochs=1)


class Rows(Dataset):
    def __len__(self):
        return 20

    def __getitem__(self, index):
        return DATA[0][index], DATA[1][index]


def test_data_come_as_tensors_data_sets_or_loaders():
    first = weights(trained()[0])
    same(first, weights(trained(data=Rows())[0]))
    same(first, weights(trained(data=TensorDataset(*DATA))[0]))
    loader = DataLoader(TensorDataset(*DATA), batch_size=8)
    _, result = trained(data=loader)
    assert result.steps == 9
    with pytest.raises(TypeError, match="data must be tensors, a data set or a loader of them"):
        trained(data=3)


class Stream(IterableDataset):
    def __iter__(self):
        return zip(*DATA, strict=True)


def test_streams_have_no_length():
    done = []
    loader = DataLoader(Stream(), batch_size=8)
    first, result = trained(data=loader, progress=lambda *counts: done.append(counts))
    assert result.steps == 9
    assert done[-1][0] == 60
    same(weights(first), weights(trained(data=Stream())[0]))


def test_targets_must_be_as_many_as_inputs():
    with pytest.raises(ValueError, match=r"data must have as many targets as inputs, got 19 .* 20"):
        trained(data=(DATA[0], DATA[1][:-1]))


def test_validation_data_come_as_training_data_do():
    wanted = trained(validation=DATA)[1].best
    assert wanted == trained(validation=TensorDataset(*DATA))[1].best
    found = trained(validation=DataLoader(TensorDataset(*DATA), batch_size=8))[1].best
    assert found["selection"] == pytest.approx(wanted["selection"])
    with pytest.raises(TypeError, match="validation must be tensors, a data set or a loader"):
        trained(validation=3)


def test_a_validation_loss_that_is_nan_stops(tmp_path):
    class Breaks(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, rows):
            return self.inner(rows) * (1 if self.training else torch.nan)

    predictor, selector = small_networks(5, 3)
    model = LEX(Breaks(predictor), selector)
    with pytest.raises(FloatingPointError, match="got nan in the validation loss after step 3"):
        trained(model, validation=DATA, folder=tmp_path)


def with_dropout():
    predictor, selector = small_networks(5, 3)
    return LEX(nn.Sequential(*predictor[:2], nn.Dropout(), predictor[2]), selector)


def test_one_seed_is_one_run_of_networks_with_dropout(tmp_path):
    first = weights(trained(with_dropout())[0])
    torch.rand(1)
    state = torch.random.get_rng_state()
    same(first, weights(trained(with_dropout())[0]))
    assert torch.equal(state, torch.random.get_rng_state())
    trained(with_dropout(), epochs=1, folder=tmp_path)
    model = with_dropout()
    model.fit(DATA, epochs=3, batch_size=8, lr=0.01, folder=tmp_path, resume=True)
    same(first, weights(model))


def test_a_users_optimiser_is_used():
    model = small_lex()
    optimiser = torch.optim.SGD(model.selector.parameters(), lr=0.1)
    before = weights(model)
    model.fit(DATA, optimiser=optimiser, epochs=1)
    moved = {name for name, each in weights(model).items() if not torch.equal(each, before[name])}
    assert moved == {f"selector.{name}" for name, _ in model.selector.named_parameters()}


@pytest.mark.parametrize(
    ("regime", "moves"),
    [
        (Regime(), {"predictor", "selector"}),
        (Regime(predictor="frozen"), {"selector"}),
        (Regime(predictor="frozen", pretrain_epochs=1), {"predictor", "selector"}),
        (Regime(predictor="random_masks"), {"predictor", "selector"}),
        (Regime(target="self", predictor="frozen"), {"selector"}),
        (Regime(order="alternating"), {"predictor", "selector"}),
        (Regime(order="cycle"), {"predictor", "selector"}),
        (Regime(predictor="frozen", full_every=2), {"predictor", "selector"}),
    ],
)
def test_regimes_train_what_they_say(regime, moves):
    model = small_lex(regime=regime, imputer=standard_normal())
    before = weights(model)
    model.fit(DATA, epochs=1, batch_size=5)
    moved = {name for name, each in weights(model).items() if not torch.equal(each, before[name])}
    assert {name.split(".")[0] for name in moved} == moves


def test_steps_of_each_order():
    both = ("predictor", "selector")
    assert Regime().parts(0) == (both,)
    assert Regime(order="alternating").parts(7) == (("predictor",), ("selector",))
    cycle = [Regime(order="cycle").parts(step) for step in range(4)]
    assert cycle == [(("predictor",),), (("selector",),), (both,), (("predictor",),)]
    assert Regime(full_every=2).parts(1) == (("full",), both)
    assert Regime(full_every=2).parts(2) == (both,)


def test_a_frozen_predictor_keeps_its_statistics():
    predictor = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Linear(4, 3)).double()
    model = LEX(predictor, nn.Linear(5, 5).double(), regime=Regime(predictor="frozen"))
    before = weights(model)
    model.fit(DATA, epochs=1)
    for name, each in weights(model).items():
        assert torch.equal(each, before[name]) == name.startswith(("predictor", "estimator"))


def test_statistics_of_a_batch_are_learnt_in_pretraining_and_then_kept():
    predictor = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Linear(4, 3)).double()
    regime = Regime(predictor="frozen", pretrain_epochs=2)
    model = LEX(predictor, nn.Linear(5, 5).double(), regime=regime)
    model.fit(DATA, epochs=3, batch_size=10)
    assert int(predictor[1].num_batches_tracked) == 4


def test_training_leaves_modes_as_found():
    model = with_dropout()
    model.predictor.eval()
    trained(model)
    assert model.training
    assert not any(each.training for each in model.predictor.modules())


BLACK_BOX = nn.Linear(5, 3).double()
SHORT = Regime(predictor="frozen", pretraining="random_masks", pretrain_epochs=1)
PRESETS = {
    "l2x": lambda networks: l2x(*networks, BLACK_BOX, k=2),
    "invase": lambda networks: invase(*networks, small_networks(5, 3, seed=1)[0]),
    "invase_minus": lambda networks: invase_minus(*networks),
    "realx": lambda networks: realx(
        *networks, regime=Regime("label", False, "frozen", "random_masks", 1)
    ),
    "rationale": lambda networks: rationale(*networks),
    "lex": lambda networks: lex(*networks, standard_normal(), k=2),
    "lex_bits": lambda networks: lex(*networks, standard_normal(), weight=0.5),
}


@pytest.mark.parametrize("name", PRESETS)
def test_presets_train_and_select(name):
    model = PRESETS[name](small_networks(5, 3))
    before = weights(model)
    data = DATA[0] if name == "l2x" else DATA
    result = model.fit(data, epochs=2, batch_size=10)
    assert all(torch.isfinite(torch.tensor(entry["bound"])) for entry in result.history[-2:])
    after = weights(model)
    assert any(not torch.equal(after[key], before[key]) for key in after if "selector" in key)
    assert model.attribute(DATA[0]).shape == DATA[0].shape
    if name in ("l2x", "lex"):
        assert bool((model.select(DATA[0]).sum(1) == 2).all())


def test_constants_of_the_presets():
    networks = small_networks(5, 3)
    model = realx(*networks)
    assert isinstance(model.estimator, REBAR)
    assert model.estimator.temperature == 0.1
    assert model.regularisers[0].weight == 5.0
    assert model.regime.pretrain_epochs == model.training_options.epochs == 500
    assert invase_minus(*networks).regularisers[0].weight == 0.1
    assert invase_minus(*networks).regime.order == "alternating"
    assert l2x(*networks, BLACK_BOX, k=3).law.temperature == 0.1
    assert [each.weight for each in rationale(*networks).regularisers] == [0.01, 0.01]
    ours = lex(*networks, standard_normal())
    assert (ours.n_masks, ours.n_imputations) == (10, 10)
    assert isinstance(ours.law, Bernoulli)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: Training(epochs=-1), ValueError, "epochs must be at least 0, got -1"),
        (lambda: Training(lr=-1.0), ValueError, r"lr must be at least 0, got -1\.0"),
        (lambda: Training(patience=0), ValueError, "patience must be at least 1, got 0"),
        (lambda: Trainer(nn.Linear(2, 2)), TypeError, "lex must be of class LEX, got a Linear"),
        (lambda: Trainer(small_lex(), every=0), ValueError, "every must be at least 1, got 0"),
        (lambda: Trainer(small_lex(), max_rows=0), ValueError, "max_rows must be at least 1"),
        (lambda: small_lex().fit(DATA, steps=3), TypeError, "options must be among epochs, batch"),
        (lambda: Trainer(small_lex(), progress=3), TypeError, "progress must be True, False or"),
    ],
)
def test_wrong_options_are_named(build, error, message):
    with pytest.raises(error, match=message):
        build()
