"""What every imputer keeps, as `pyxai.imputers.base` says it."""

import importlib

import numpy as np
import pytest
import torch
from imputer_cases import CASES, IDS, LEARNS_NOTHING, LEARNT, Case, drawn
from torch.utils.data import DataLoader, TensorDataset

import pyxai
from pyxai import imputers, metrics
from pyxai.attribution import KernelShap, PredictionDifference, ShapleyValues

N_MASKS = 3


def masks_of(case, seed=0):
    """Return a mask [batch, N_MASKS, *feat] for each input; the first of each row keeps all."""
    generator = torch.Generator().manual_seed(seed)
    masks = []
    for value in case.inputs:
        shape = (len(value), N_MASKS, *value.shape[1:])
        masks.append(torch.rand(shape, generator=generator) < 0.5)
        masks[-1][:, 0] = True
        masks[-1][:, 1, ..., 0] = False
    return tuple(masks)


def draw(imputer, inputs, masks, ids, seed=3):
    """Return draws [batch, n_masks, n_draws, *feat] for each input, whatever form they have."""
    shown = masks if imputer.conditional else None
    drawn = imputer.draw(inputs, shown, seed=seed, example_ids=ids)
    full = []
    for value, draws, mask in zip(inputs, drawn, masks, strict=True):
        wanted = (*mask.shape[:2], imputer.n_draws, *value.shape[1:])
        if isinstance(draws, torch.Tensor):
            assert draws.dtype == value.dtype
            if draws.dim() == value.dim() + 1:
                draws = draws.unsqueeze(1)
        full.append(torch.as_tensor(draws, dtype=value.dtype).expand(wanted))
    return full


def absent(draws, masks):
    """Return draws with those of present features, which nobody uses, set to 0."""
    return [each.masked_fill(mask.unsqueeze(2), 0) for each, mask in zip(draws, masks, strict=True)]


def assert_close(left, right):
    for a, b in zip(left, right, strict=True):
        torch.testing.assert_close(a, b)


@pytest.fixture(params=CASES, ids=[case.name for case in CASES])
def case(request) -> Case:
    return request.param


@pytest.mark.parametrize("per_mask", [False, True])
def test_draws_depend_on_seed_and_id_alone(case, per_mask):
    imputer = case.make().check(case.inputs)
    masks = masks_of(case)
    ids = imputers.mask_ids(IDS, N_MASKS) if per_mask else IDS
    whole = absent(draw(imputer, case.inputs, masks, ids), masks)
    order = torch.tensor([2, 0])
    some = tuple(value[order] for value in case.inputs)
    cut = tuple(mask[order][:, 1:] for mask in masks)
    some_ids = ids[order][:, 1:] if per_mask else ids[order]
    part = absent(draw(imputer, some, cut, some_ids), cut)
    assert_close(part, [each[order][:, 1:] for each in whole])
    other = absent(draw(imputer, case.inputs, masks, ids, seed=4), masks)
    same = all(torch.equal(a, b) for a, b in zip(whole, other, strict=True))
    assert same == imputer.exact


def test_masks_share_numbers_unless_they_have_ids_of_their_own(case):
    imputer = case.make().check(case.inputs)
    mask = tuple(m[:, 1:2].expand(-1, N_MASKS, *m.shape[2:]) for m in masks_of(case))
    shared = absent(draw(imputer, case.inputs, mask, IDS), mask)
    assert_close([each[:, 0] for each in shared], [each[:, 1] for each in shared])
    own = absent(draw(imputer, case.inputs, mask, imputers.mask_ids(IDS, N_MASKS)), mask)
    same = all(torch.allclose(each[:, 0], each[:, 1]) for each in own)
    assert same == imputer.exact


def test_more_draws_start_with_the_same(case):
    few = case.make().check(case.inputs).with_draws(2)
    many = few.with_draws(5)
    masks = masks_of(case)
    first = absent(draw(few, case.inputs, masks, IDS), masks)
    more = absent(draw(many, case.inputs, masks, IDS), masks)
    assert_close(first, [each[:, :, : few.n_draws] for each in more])
    assert many.n_draws == (1 if few.exact else 5)


def test_removed_values_do_not_leak(case):
    imputer = case.make().check(case.inputs)
    masks = masks_of(case)
    for number in range(N_MASKS):
        one = tuple(mask[:, number : number + 1] for mask in masks)
        drawn = absent(draw(imputer, case.inputs, one, IDS), one)
        for wild in case.others():
            moved = tuple(
                torch.where(mask.squeeze(1), value, new)
                for value, mask, new in zip(case.inputs, one, wild, strict=True)
            )
            again = absent(draw(imputer, moved, one, IDS), one)
            assert all(torch.equal(a, b) for a, b in zip(again, drawn, strict=True))


@pytest.mark.parametrize("soft", [False, True])
def test_kept_values_are_exact_and_a_full_mask_changes_nothing(case, soft):
    imputer = case.make().check(case.inputs)
    floats = all(value.is_floating_point() for value in case.inputs)
    weights = torch.cat([mask.flatten(2) for mask in masks_of(case)], 2)
    kept = weights
    if soft:
        weights = weights.to(case.inputs[0].dtype if floats else torch.float32)
    rows = imputers.impute(imputer, case.inputs, weights, seed=0, example_ids=IDS)
    sizes = [value[0].numel() for value in case.inputs]
    for value, row, mask in zip(case.inputs, rows, kept.split(sizes, 2), strict=True):
        assert row.shape == (*mask.shape[:2], imputer.n_draws, *value.shape[1:])
        assert row.isfinite().all()
        shown = mask.view(*mask.shape[:2], 1, *value.shape[1:]).expand_as(row)
        given = value[:, None, None].expand_as(row)
        bits = {8: torch.int64, 4: torch.int32, 2: torch.int16}[value.element_size()]
        assert torch.equal(row.contiguous().view(bits)[shown], given.contiguous().view(bits)[shown])
        assert torch.equal(row[:, 0], given[:, 0])


CHUNKS = {
    "conditions": "_ELEMENTS",
    "markov_chain": "_ELEMENTS",
    "mixtures.latent_mixture": "_ROWS",
    "mixtures.mixture": "_ELEMENTS",
    "mixtures.scores": "_CACHED",
    "vaeac.imputer": "_ELEMENTS",
}


def test_chunks_of_one_change_nothing(case, monkeypatch):
    imputer = case.make().check(case.inputs)
    masks = masks_of(case)
    ids = imputers.mask_ids(IDS, N_MASKS)
    whole = absent(draw(imputer, case.inputs, masks, ids), masks)
    for module, name in CHUNKS.items():
        monkeypatch.setattr(importlib.import_module(f"pyxai.imputers.{module}"), name, 1)
    assert_close(absent(draw(imputer, case.inputs, masks, ids), masks), whole)


def test_gradients_reach_the_weights_and_nothing_else(case):
    if not all(value.is_floating_point() for value in case.inputs):
        weights = torch.ones(4, 1, case.features, requires_grad=True)
        with pytest.raises(TypeError, match="inputs must be floating point for gradients"):
            imputers.impute(case.make(), case.inputs, weights, seed=0, example_ids=IDS)
        return
    imputer = case.make().check(case.inputs)
    dtype = case.inputs[0].dtype
    generator = torch.Generator().manual_seed(1)
    weights = torch.rand(4, N_MASKS, case.features, generator=generator).to(dtype)
    weights.requires_grad_()
    rows = imputers.impute(imputer, case.inputs, weights, seed=0, example_ids=IDS)
    sum(row.sum() for row in rows).backward()
    shown = tuple(
        part.view(4, N_MASKS, *value.shape[1:]) > 0.5
        for part, value in zip(
            weights.detach().split([v[0].numel() for v in case.inputs], 2), case.inputs, strict=True
        )
    )
    drawn = draw(imputer, case.inputs, shown, IDS, seed=0)
    pairs = zip(case.inputs, drawn, strict=True)
    slopes = [(value[:, None, None] - each).sum(2).flatten(2) for value, each in pairs]
    torch.testing.assert_close(weights.grad, torch.cat(slopes, 2))


def test_methods_take_the_imputer(case):
    def model(*inputs):
        return sum(value.double().flatten(1).sin().sum(1, keepdim=True) for value in inputs)

    options = {"target": 0, "seed": 1, "example_ids": IDS}
    options["feature_mask"] = case.groups()
    both = pyxai.Game(model, case.inputs, imputer=case.make(), **options)
    masks = torch.tensor([[True, True], [True, False], [False, False]])
    values, errors = both.values_and_errors(masks)
    assert values.isfinite().all()
    torch.testing.assert_close(values[:, 0], model(*case.inputs)[:, 0])
    chunked = pyxai.Game(model, case.inputs, imputer=case.make(), max_rows=2, **options)
    torch.testing.assert_close(chunked.values(masks), values)
    assert errors[:, 0].eq(0).all() or errors.isinf().all()
    inputs = case.inputs if len(case.inputs) > 1 else case.inputs[0]
    arguments = {"target": 0, "feature_mask": case.groups(), "imputer": case.make()}
    for method in (ShapleyValues, PredictionDifference, KernelShap):
        found = method(model).attribute(inputs, **arguments)
        for part, value in zip(
            found if len(case.inputs) > 1 else [found], case.inputs, strict=True
        ):
            assert part.shape == value.shape
            assert part.isfinite().all()


def test_metrics_take_the_imputer(case):
    def model(*inputs):
        total = sum(value.double().flatten(1).sin().sum(1, keepdim=True) for value in inputs)
        return torch.cat([total, -total], 1)

    inputs = case.inputs if len(case.inputs) > 1 else case.inputs[0]
    ranks = tuple(value.double().flatten(1).cumsum(1).view_as(value) for value in case.inputs)
    for metric in (metrics.insertion, metrics.deletion):
        found = metric(
            model,
            inputs,
            ranks if len(ranks) > 1 else ranks[0],
            target=0,
            imputer=case.make(),
            feature_mask=case.groups(),
        )
        assert found.auc.isfinite().all()


def test_conditional_draws_need_masks(case):
    imputer = case.make()
    if not imputer.conditional:
        return
    ids = torch.arange(len(case.inputs[0]))
    with pytest.raises(TypeError, match="masks must be"):
        imputer.draw(case.inputs, None, seed=0, example_ids=ids)


def test_it_does_not_fit_other_shapes(case):
    if case.anything:
        return
    wrong = tuple(torch.cat([value, value], -1) for value in case.inputs)
    with pytest.raises(ValueError, match=r"must.* have"):
        case.make().check(wrong)


FORMS = {
    "array": lambda rows: rows.numpy(),
    "tuple": lambda rows: (rows,),
    "tuple_of_array": lambda rows: (rows.numpy(),),
    "loader": lambda rows: DataLoader(TensorDataset(rows), batch_size=7),
    "loader_with_labels": lambda rows: DataLoader(
        TensorDataset(rows, torch.arange(len(rows))), batch_size=7
    ),
    "loader_of_tensors": lambda rows: DataLoader(rows, batch_size=7),
    "batches_of_arrays": lambda rows: (part.numpy() for part in rows.split(7)),
}


def test_every_imputer_learns_from_data_or_has_no_data():
    made = {
        name
        for name, value in vars(imputers).items()
        if isinstance(value, type) and issubclass(value, imputers.Imputer)
    }
    assert made - {"Imputer"} == {*LEARNT, *LEARNS_NOTHING}


@pytest.mark.parametrize("name", LEARNT)
def test_arrays_and_loaders_serve_like_tensors(name):
    make, rows = LEARNT[name]
    inputs = (rows[:4].clone(),)
    shown = (torch.rand(4, 2, *rows.shape[1:], generator=torch.Generator().manual_seed(0)) < 0.5,)
    wanted = make(rows).check(inputs)
    drawn = wanted.draw(inputs, shown, seed=0, example_ids=IDS)[0]
    for form in FORMS.values():
        found = make(form(rows)).check(inputs).draw(inputs, shown, seed=0, example_ids=IDS)[0]
        assert torch.equal(found, drawn)


@pytest.mark.parametrize("name", LEARNT)
def test_data_without_rows_or_numbers_are_refused(name):
    make, _ = LEARNT[name]
    argument = "background" if name in ("Mean", "Marginal", "Gaussian") else "data"
    with pytest.raises(ValueError, match=f"{argument} must give at least one batch, got none"):
        make(iter(()))
    for wrong in ("rows", 3, {"x": torch.ones(3, 2)}, iter(["rows"])):
        with pytest.raises(TypeError, match=f"{argument} must"):
            make(wrong)
    with pytest.raises(TypeError, match=f"{argument} must hold real numbers, got an array of <U1"):
        make(np.array([["a", "b"]]))


def test_a_list_of_a_background_has_one_entry_for_each_input():
    left, right = drawn(9, 3), drawn(9, 2, seed=1).double()
    inputs = (left[:4], right[:4])
    of_tuple = imputers.Marginal((left, right)).check(inputs)
    for given in ([left, right], [left.numpy(), right.numpy()]):
        found = imputers.Marginal(given).check(inputs)
        assert all(map(torch.equal, found.background, of_tuple.background))
    pairs = DataLoader(TensorDataset(left, right, torch.arange(9)), batch_size=4)
    found = imputers.Marginal(pairs).check(inputs)
    assert all(map(torch.equal, found.background, of_tuple.background))
