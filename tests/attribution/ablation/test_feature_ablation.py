import captum.attr
import pytest
import torch
from captum_peer import TwoInputs, assert_equals_captum, conv, mlp, peer, rows
from closed_forms import CASES, SHIFTED_POLYNOMIAL

from pyxai.attribution import FeatureAblation


@pytest.mark.parametrize("case", CASES.values(), ids=lambda case: case.name)
def test_closed_forms(case):
    method, x = FeatureAblation(case.net()), case.inputs()
    exact = {"rtol": 1e-14, "atol": 1e-14}
    torch.testing.assert_close(method.attribute(x), case.expected("occlusion_1"), **exact)
    patches = method.attribute(x, feature_mask=case.feature_mask())
    torch.testing.assert_close(patches, case.expected("occlusion_patch"), **exact)


def test_baseline_that_is_not_zero():
    def polynomial(x):
        terms = SHIFTED_POLYNOMIAL["polynomial"].items()
        return sum(value * (x ** torch.tensor(powers)).prod(1) for powers, value in terms)

    x = torch.tensor([SHIFTED_POLYNOMIAL["x"]], dtype=torch.float64)
    start = torch.tensor([SHIFTED_POLYNOMIAL["baseline"]], dtype=torch.float64)
    values = FeatureAblation(polynomial).attribute(x, start)
    assert values.tolist() == [list(map(float, SHIFTED_POLYNOMIAL["methods"]["occlusion_1"]))]


@pytest.mark.parametrize("per_eval", [1, 3, 100])
@pytest.mark.parametrize("baselines", [None, 0.5, "one", "each"])
def test_equals_captum(per_eval, baselines):
    model, x = mlp(), rows(5, 6)
    starts = {"one": rows(1, 6, seed=1), "each": rows(5, 6, seed=1)}
    call = {
        "baselines": starts.get(baselines, baselines),
        "target": torch.tensor([0, 1, 2, 0, 1]),
        "perturbations_per_eval": per_eval,
    }
    ours = FeatureAblation(model).attribute(x, **call)
    assert_equals_captum(ours, peer(captum.attr.FeatureAblation(model), x, **call))


MASKS = {
    "groups": torch.tensor([[0, 0, 1, 1, 2, 0]]),
    "no batch dimension": torch.tensor([0, 0, 1, 1, 2, 0]),
    "gaps": torch.tensor([[7, 0, 7, 3, 3, 12]]),
    "one group": torch.zeros(1, 1, dtype=torch.int64),
    "each row its own": torch.tensor(
        [[0, 0, 1, 1, 2, 0], [1, 1, 1, 0, 0, 0], [2, 2, 2, 2, 2, 2], [0, 1, 2, 3, 4, 5]]
    ),
    "int32": torch.tensor([[0, 0, 1, 1, 2, 0]], dtype=torch.int32),
}


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS.keys())
@pytest.mark.parametrize("per_eval", [1, 2])
def test_masks_equal_captum(mask, per_eval):
    model, x = mlp(), rows(4, 6)
    call = {"target": 1, "feature_mask": mask, "perturbations_per_eval": per_eval}
    ours = FeatureAblation(model).attribute(x, rows(4, 6, seed=1), **call)
    if mask.dim() == 1:  # captum 0.9.0 fails on it with perturbations_per_eval=2
        call["feature_mask"] = mask[None]
    theirs = peer(captum.attr.FeatureAblation(model), x, rows(4, 6, seed=1), **call)
    assert_equals_captum(ours, theirs)


def test_images_with_masks_that_broadcast_equal_captum():
    model, x = conv(), rows(3, 2, 7, 8)
    quarters = torch.arange(7)[:, None] // 4 * 2 + torch.arange(8)[None] // 4
    call = {"target": [2, 0, 1], "feature_mask": quarters.view(1, 1, 7, 8)}
    ours = FeatureAblation(model).attribute(x, **call)
    assert_equals_captum(ours, peer(captum.attr.FeatureAblation(model), x, **call))


@pytest.mark.parametrize("shared", [False, True])
def test_several_inputs_equal_captum(shared):
    inputs = rows(4, 4), rows(4, 2, 3, seed=1)
    left = torch.tensor([[0, 1, 1, 2]])
    right = torch.tensor([[[0, 0, 3], [2, 2, 3]]])  # 0 and 2 are in both tensors
    call = {
        "baselines": (rows(1, 4, seed=3), 0.25),
        "target": [(0,), (2,), (2,), (1,)],
        "additional_forward_args": (torch.arange(4.0),),
        "feature_mask": (left, right) if shared else None,
        "perturbations_per_eval": 2,
    }
    ours = FeatureAblation(TwoInputs()).attribute(inputs, **call)
    theirs = peer(captum.attr.FeatureAblation(TwoInputs()), inputs, **call)
    assert_equals_captum(ours, theirs, 1e-5)  # outputs are of size 10


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.int16, torch.uint8, torch.bool])
def test_tokens_and_flags_can_be_ablated(dtype):
    table = rows(8, 5)
    ids = torch.tensor([[3, 7, 0, 1], [5, 2, 2, 6]]) % (2 if dtype == torch.bool else 8)

    def model(tokens):
        return table[tokens.long()].sum(1).tanh()

    tokens = ids.to(dtype)
    values = FeatureAblation(model).attribute(tokens, 1, target=2)
    expected = torch.empty(2, 4)
    for position in range(4):
        changed = tokens.clone()
        changed[:, position] = 1
        expected[:, position] = (model(tokens) - model(changed))[:, 2]
    torch.testing.assert_close(values, expected)
    torch.testing.assert_close(
        FeatureAblation(model).attribute(tokens, torch.ones_like(tokens[:1]), target=2), expected
    )


def test_whole_numbers_are_needed_for_whole_numbers():
    tokens = torch.ones(1, 3, dtype=torch.int64)
    with pytest.raises(TypeError, match=r"baselines must be a whole number .* got 0\.5"):
        FeatureAblation(lambda x: x.sum(1)).attribute(tokens, 0.5)


def test_models_that_count_give_floats():
    values = FeatureAblation(lambda x: (x > 0).sum(1)).attribute(torch.tensor([[1.0, -1.0]]))
    assert values.tolist() == [[1.0, 0.0]]
    assert values.dtype == torch.float32


def test_one_output_for_the_whole_batch_equals_captum():
    x, start = rows(4, 6, dtype=torch.float64), rows(1, 6, dtype=torch.float64, seed=1)

    def whole(x):
        return x.sin().prod(1).sum()

    for model in (whole, lambda x: whole(x).item(), lambda x: whole(x)[None]):
        ours = FeatureAblation(model).attribute(x, start)
        theirs = peer(captum.attr.FeatureAblation(model), x, start)
        assert ours.shape == (1, 6)
        exact = 1e-12 if ours.dtype == torch.float64 else 1e-6  # of a Python float: float32
        torch.testing.assert_close(ours.double(), theirs.double(), rtol=exact, atol=exact)
    mask = torch.tensor([[0, 0, 1]]).repeat(4, 2)
    with pytest.raises(ValueError, match="feature_mask must be the same for all examples"):
        FeatureAblation(whole).attribute(x, start, feature_mask=mask)


@pytest.mark.parametrize("per_eval", [1, 3])
def test_all_outputs_equal_captum(per_eval):
    def squares(x):  # [rows, 6] -> [rows, 3, 2]
        return x.view(-1, 3, 2).pow(2) * x.sum(1).view(-1, 1, 1)

    x, start = rows(4, 6), rows(4, 6, seed=1)
    for model, n_outputs in ((mlp(), 3), (squares, 6)):
        method = FeatureAblation(model)
        ours = method.attribute(x, start, perturbations_per_eval=per_eval)
        assert ours.shape == (4 * n_outputs, 6)
        theirs = peer(captum.attr.FeatureAblation(model), x, start, perturbations_per_eval=per_eval)
        assert_equals_captum(ours, theirs)
    mask = torch.tensor([[0, 0, 1, 1, 2, 2], [0, 1, 2, 0, 1, 2], [0] * 6, [0, 1, 2, 3, 4, 5]])
    ours = FeatureAblation(mlp()).attribute(x, start, feature_mask=mask)
    one = FeatureAblation(mlp()).attribute(x, start, target=2, feature_mask=mask)
    torch.testing.assert_close(ours.view(4, 3, 6)[:, 2], one)


class Recording(torch.nn.Module):
    """Remember how many rows each call had and whether they were channels-last."""

    def __init__(self, model):
        super().__init__()
        self.model, self.rows, self.channels_last = model, [], []

    def forward(self, x):
        self.rows.append(len(x))
        if x.dim() == 4:
            self.channels_last.append(x.is_contiguous(memory_format=torch.channels_last))
        return self.model(x)


def test_perturbations_per_eval_bounds_the_rows():
    model, x = Recording(mlp()), rows(4, 6)
    FeatureAblation(model).attribute(x, target=0, perturbations_per_eval=2)
    assert max(model.rows) <= 8


def test_features_at_their_baseline_cost_nothing():
    model, x = Recording(mlp()), rows(4, 6)
    FeatureAblation(model).attribute(x, target=0)  # the memory of a row is measured once
    model.rows.clear()
    x[:, 1:] = 0.0
    x[2, 3] = 1.0
    values = FeatureAblation(model).attribute(x, target=0)
    assert sum(model.rows) == 4 * (1 + 2)
    assert values.count_nonzero() == 4 + 1
    model.rows.clear()
    assert (FeatureAblation(model).attribute(x, x, target=0) == 0).all()
    assert sum(model.rows) == 4


def test_memory_order_is_kept():
    x = rows(3, 2, 7, 8)
    model = Recording(conv())
    plain = FeatureAblation(model).attribute(x, target=0)
    model.channels_last.clear()
    values = FeatureAblation(model).attribute(
        x.contiguous(memory_format=torch.channels_last), target=0
    )
    assert all(model.channels_last)
    torch.testing.assert_close(values, plain)


def test_progress_can_be_shown(monkeypatch, capsys):
    from pyxai.runner import progress

    monkeypatch.setattr(progress, "_DELAY_SECONDS", 0.0)
    call = {"target": 0, "perturbations_per_eval": 2}
    FeatureAblation(mlp()).attribute(rows(4, 6), **call)
    assert capsys.readouterr().err == ""
    FeatureAblation(mlp()).attribute(rows(4, 6), show_progress=True, **call)
    assert "/28.0" in capsys.readouterr().err


def test_bad_arguments_are_named():
    method, x = FeatureAblation(mlp()), rows(2, 6)
    with pytest.raises(ValueError, match="perturbations_per_eval must be at least 1, got 0"):
        method.attribute(x, target=0, perturbations_per_eval=0)
    with pytest.raises(TypeError, match=r"perturbations_per_eval must be an integer, got 1\.5"):
        method.attribute(x, target=0, perturbations_per_eval=1.5)
