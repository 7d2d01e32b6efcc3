"""Ablation of what a data set adds up to; captum is the reference, and a metric by hand."""

import captum.attr
import pytest
import torch
from captum.attr._core.dataloader_attr import DataLoaderAttribution as Theirs
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from pyxai.attribution import DataLoaderAttribution, FeatureAblation, Occlusion

GENERATOR = torch.Generator().manual_seed(0)
DATA = TensorDataset(
    torch.randn(5, 2, generator=GENERATOR),
    torch.randn(5, 2, 2, generator=GENERATOR),
    torch.tensor([[0.0], [1.0], [0.0], [0.0], [1.0]]),
)
MASKS = (torch.tensor([[0, 0]]), torch.tensor([[[1, 2], [3, 2]]]), torch.tensor([[5]]))


class Model(nn.Module):
    """Of any number of inputs, three scores."""

    def __init__(self, size):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.layer = nn.Linear(size, 3)

    def forward(self, *inputs):
        return self.layer(torch.cat([part.flatten(1) for part in inputs], 1).tanh())


def total(*inputs):
    return sum(part.flatten(1).square().sum(1) for part in inputs)


def loader(batch_size=2):
    return DataLoader(DATA, batch_size=batch_size)


def both(model, **options):
    """Ours and captum's attributions of one call."""
    ours = DataLoaderAttribution(FeatureAblation(model)).attribute(loader(), **options)
    theirs = Theirs(captum.attr.FeatureAblation(model)).attribute(loader(), **options)
    return ours, theirs


def mean_and_sum(so_far, outputs, inputs):
    assert len(inputs) == 3
    so_far = so_far or {"sum": 0.0, "count": 0}
    return {"sum": so_far["sum"] + outputs.sum(), "count": so_far["count"] + len(outputs)}


def numbers(so_far):
    return torch.stack([so_far["sum"] / so_far["count"], so_far["sum"]])


@pytest.mark.parametrize("per_pass", [1, 3, 100])
@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"feature_mask": MASKS},
        {"baselines": (torch.tensor([[0.0, -1.0]]), 1, 0.1)},
        {"reduce": mean_and_sum, "to_metric": numbers},
        {"input_roles": (0, 1, 0)},
    ],
)
@pytest.mark.parametrize("model", [total, Model(7)])
def test_results_are_those_of_captum(model, options, whole, per_pass):
    given = {**options, "return_input_shape": whole, "perturbations_per_pass": per_pass}
    ours, theirs = both(model, **given)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_precision_of_a_classifier():
    """A metric of all rows at once, by hand: it is not the mean of those of the batches."""

    def collect(so_far, outputs, inputs):
        hits = torch.stack([outputs[:, 0] > 0, inputs[2][:, 0] > 0], 1)
        return hits if so_far is None else torch.cat([so_far, hits])

    def precision(hits):
        return (hits.all(1).sum() / hits[:, 0].sum().clamp(min=1)).double()

    def by_hand(model, x, y):
        hits = torch.stack([model(x, y)[:, 0] > 0, DATA.tensors[2][:, 0] > 0], 1)
        return precision(hits)

    model = Model(6)
    explainer = DataLoaderAttribution(FeatureAblation(model))
    found = explainer.attribute(
        loader(), input_roles=[0, 0, 2], reduce=collect, to_metric=precision
    )
    x, y, _ = DATA.tensors
    assert found[0].dtype == torch.float64
    for feature in range(2):
        changed = x.clone()
        changed[:, feature] = 0
        expected = by_hand(model, x, y) - by_hand(model, changed, y)
        assert found[0][0, feature].item() == pytest.approx(expected.item(), abs=1e-12)


def test_passes_through_the_data():
    passes = []

    class Counted(DataLoader):
        def __iter__(self):
            passes.append(1)
            return super().__iter__()

    explainer = DataLoaderAttribution(FeatureAblation(total))
    explainer.attribute(Counted(DATA, batch_size=2), perturbations_per_pass=3)
    assert len(passes) == 2 + 3  # a look, all features, and 7 of them by threes


def test_rows_that_are_shuffled_come_in_one_order_or_are_refused():
    plain = DataLoaderAttribution(FeatureAblation(total)).attribute(loader(5))
    explainer = DataLoaderAttribution(FeatureAblation(total))
    state = torch.get_rng_state()
    torch.manual_seed(3)
    order = torch.get_rng_state()
    mixed = explainer.attribute(DataLoader(DATA, batch_size=2, shuffle=True))
    assert torch.equal(torch.get_rng_state(), order)
    torch.set_rng_state(state)
    for ours, other in zip(plain, mixed, strict=True):
        rows = {tuple(row.flatten().tolist()) for row in ours}
        assert rows == {tuple(row.flatten().tolist()) for row in other}
    own = DataLoader(DATA, batch_size=2, shuffle=True, generator=torch.Generator())
    with pytest.raises(ValueError, match="dataloader must give its rows in one order"):
        explainer.attribute(own)
    ours = explainer.attribute(own, reduce=mean_and_sum, to_metric=numbers)
    expected = explainer.attribute(loader(), reduce=mean_and_sum, to_metric=numbers)
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)  # in another order


def test_the_model_is_left_as_found():
    model = Model(7)
    model.layer.register_buffer("calls", torch.zeros(()))

    def count(layer, *_):
        layer.calls += 1

    model.layer.register_forward_hook(count)
    DataLoaderAttribution(FeatureAblation(model)).attribute(loader())
    assert model.layer.calls == 0
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"input_roles": (0, 0)}, ValueError, r"0, 1 and 2 for each of 3 part\(s\) of a batch"),
        ({"input_roles": (1, 2, 1)}, ValueError, "with a 0 among them, got"),
        ({"input_roles": (0, 3, 0)}, ValueError, "input_roles must be one of"),
        ({"baselines": (torch.zeros(2, 2), 0, 0)}, ValueError, r"baselines\[0\] must be a number"),
        ({"feature_mask": MASKS[:2]}, ValueError, "feature_mask must have 3 entries"),
        ({"perturbations_per_pass": 0}, ValueError, "perturbations_per_pass must be at least 1"),
        ({"to_metric": lambda _: 3.0}, TypeError, "to_metric must return a tensor of numbers"),
        ({"reduce": lambda *_: None}, TypeError, "reduce must return a tensor of numbers"),
        ({"to_metric": lambda all_: all_ / 0}, ValueError, "metric must be finite"),
    ],
)
def test_refused(options, error, message):
    with pytest.raises(error, match=message):
        DataLoaderAttribution(FeatureAblation(total)).attribute(loader(), **options)


def test_refused_data_and_methods():
    with pytest.raises(TypeError, match="attr_method must be a FeatureAblation, got a Occlusion"):
        DataLoaderAttribution(Occlusion(total))
    explainer = DataLoaderAttribution(FeatureAblation(total))
    with pytest.raises(ValueError, match="at least one batch, got none"):
        explainer.attribute([])
    x = torch.ones(2, 3)
    with pytest.raises(ValueError, match=r"1 part\(s\) in each batch, got 2"):
        explainer.attribute([x, (x, x)])
    with pytest.raises(
        ValueError, match=r"rows of shape \[3\] in part 0 of each batch, got a torc"
    ):
        explainer.attribute([x, x[:, :2]])
    with pytest.raises(NotImplementedError):
        explainer.attribute_future()
    assert explainer.attribute([x, 2 * x]).shape == (4, 3)


def test_an_error_of_the_model_says_what_it_was_given():
    with pytest.raises(RuntimeError) as caught:
        DataLoaderAttribution(FeatureAblation(Model(9))).attribute(loader())
    assert "pyxai called the model with rows of inputs[0]" in caught.value.__notes__[0]
