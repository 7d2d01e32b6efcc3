import numpy as np
import pytest
import torch

from pyxai._inputs import (
    format_background,
    format_baselines,
    format_feature_mask,
    format_inputs,
    restore_form,
)
from pyxai.runner import Runner, Target

X = torch.arange(6.0).view(2, 3)
Y = torch.arange(8.0).view(2, 2, 2)


def test_inputs_keep_their_form():
    tensors, is_tuple = format_inputs(X)
    assert restore_form(tensors, is_tuple) is tensors[0]
    for given in ((X,), [X], (X, Y)):
        tensors, is_tuple = format_inputs(given)
        assert is_tuple
        assert restore_form(tensors, is_tuple) == tensors
        assert len(tensors) == len(given)


def test_inputs_are_detached_and_not_copied():
    given = X.clone().requires_grad_()
    tensors, _ = format_inputs(given)
    assert not tensors[0].requires_grad
    assert tensors[0].data_ptr() == given.data_ptr()


BAD_INPUTS = {
    "none": (None, TypeError, "inputs must be a tensor, got None"),
    "mapping": (
        {"left": X, "right": Y},
        TypeError,
        "must be .*, got a mapping .* left, right; give",
    ),
    "in tuple": ((X, "a"), TypeError, r"inputs\[1\] must be a tensor, got 'a'"),
    "empty": ((), ValueError, "inputs must hold at least one tensor"),
    "scalar": (
        torch.tensor(1.0),
        ValueError,
        r"inputs must have a batch dimension, got shape \[\]",
    ),
    "no rows": (X[:0], ValueError, r"inputs must have at least one example, got shape \[0, 3\]"),
    "no features": (
        X[:, :0],
        ValueError,
        r"inputs must have at least one feature, got shape \[2, 0",
    ),
    "batches": (
        (X, Y[:1]),
        ValueError,
        r"inputs\[1\] must have 2 examples .* got shape \[1, 2, 2\]",
    ),
    "nan": ((X, Y / 0), ValueError, r"inputs\[1\] must be finite, got 8 NaN or infinite"),
    "complex": (X + 1j, TypeError, "inputs must be real, got torch.complex64"),
    "sparse": (
        X.to_sparse(),
        TypeError,
        "inputs must be a dense tensor, got layout torch.sparse_coo",
    ),
    "device": (
        (X, torch.empty(2, 3, device="meta")),
        ValueError,
        r"inputs\[1\] must be on cpu, got meta",
    ),
}


@pytest.mark.parametrize("case", BAD_INPUTS)
def test_bad_inputs_are_named(case):
    given, error, message = BAD_INPUTS[case]
    with pytest.raises(error, match=message):
        format_inputs(given)


def test_gradients_need_floating_point():
    with pytest.raises(TypeError, match=r"inputs must be floating point .* got torch.int64"):
        format_inputs(X.long(), gradients=True)
    assert format_inputs(X.long())[0][0].dtype == torch.int64


def test_baseline_forms():
    inputs = (X, Y)
    assert format_baselines(None, inputs) == (0.0, 0.0)
    assert format_baselines(2, inputs) == (2.0, 2.0)
    number, tensor = format_baselines((torch.tensor(3.0), Y[:1]), inputs)
    assert number == 3.0
    assert torch.equal(tensor, Y[:1])
    assert format_baselines((None, 1), inputs) == (0.0, 1.0)
    (each,) = format_baselines(X + 1, (X,))
    assert torch.equal(each, X + 1)
    (shared,) = format_baselines(torch.ones(3), (X,))
    assert shared.shape == (1, 3)
    (cast,) = format_baselines(torch.ones(1, 3, dtype=torch.float64), (X,))
    assert cast.dtype == torch.float32
    (cast,) = format_baselines(torch.zeros(1, 3), (X.long(),))
    assert cast.dtype == torch.int64


BAD_BASELINES = {
    "count": (
        (1.0,),
        ValueError,
        "baselines must have 2 entries, one per input tensor, got a tuple",
    ),
    "one tensor": (X, ValueError, "baselines must have 2 entries, .* got a torch.float32 tensor"),
    "string": (("a", 0), TypeError, r"baselines\[0\] must be a number or a tensor, got 'a'"),
    "shape": (
        (X[:, :2], 0),
        ValueError,
        r"baselines\[0\] must be a number or have shape \[2, 3\] or \[1, 3\], got \[2, 2\]",
    ),
    "batch": ((torch.ones(3, 3), 0), ValueError, r"baselines\[0\] must .* got \[3, 3\]"),
    "infinite": ((float("inf"), 0), ValueError, r"baselines\[0\] must be finite, got inf"),
    "nan": ((X * float("nan"), 0), ValueError, r"baselines\[0\] must be finite, got 6 NaN"),
    "device": ((X.to("meta"), 0), ValueError, r"baselines\[0\] must be on cpu, got meta"),
}


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64, np.bool_])
def test_numbers_of_numpy_are_baselines(kind):
    assert format_baselines(kind(1), (X, Y)) == (1.0, 1.0)
    assert format_baselines((kind(1), 0), (X, Y)) == (1.0, 0.0)


@pytest.mark.parametrize("case", BAD_BASELINES)
def test_bad_baselines_are_named(case):
    given, error, message = BAD_BASELINES[case]
    with pytest.raises(error, match=message):
        format_baselines(given, (X, Y))


def test_fractions_as_baselines_of_integers():
    with pytest.raises(
        TypeError, match=r"baselines must hold whole numbers for inputs of torch.int64"
    ):
        format_baselines(torch.full((1, 3), 0.5), (X.long(),))
    with pytest.raises(
        TypeError, match=r"baselines must be a whole number for inputs of torch.int64"
    ):
        format_baselines(0.5, (X.long(),))


def test_background():
    rows = format_background(torch.ones(7, 3, dtype=torch.float64), (X,))
    assert rows[0].dtype == torch.float32
    with pytest.raises(ValueError, match=r"background must have shape \[\*, 3\], got \[7, 2\]"):
        format_background(torch.ones(7, 2), (X,))
    with pytest.raises(
        ValueError, match=r"background must hold 2 tensor\(s\), one per input, got 1"
    ):
        format_background(torch.ones(7, 3), (X, Y))
    with pytest.raises(
        ValueError, match=r"background\[1\] must have 2 rows .* got shape \[1, 2, 2\]"
    ):
        format_background((X, Y[:1]))
    with pytest.raises(ValueError, match=r"distribution must have at least one row"):
        format_background(torch.ones(0, 3), name="distribution")


def test_default_players():
    players = format_feature_mask(None, (X,))
    assert players.maps == (None,)
    assert players.n_players == 3
    players = format_feature_mask(None, (X, Y))
    assert players.n_players == 7
    assert [m.flatten().tolist() for m in players.maps] == [[0, 1, 2], [3, 4, 5, 6]]
    assert players.ids.tolist() == list(range(7))


def test_feature_masks():
    mask = (torch.tensor([[4, 4, 9]]), torch.tensor([[[9], [1]]]))
    players = format_feature_mask(mask, (X, Y))
    assert players.ids.tolist() == [1, 4, 9]
    assert players.maps[0].tolist() == [[1, 1, 2]]
    assert players.maps[1].tolist() == [[[2, 2], [0, 0]]]
    assert players.maps[1].dtype == torch.int32
    without_batch = format_feature_mask(torch.tensor([0, 1, 1]), (X,))
    assert without_batch.maps[0].tolist() == [[0, 1, 1]]
    each = format_feature_mask(torch.tensor([[0, 1, 1], [2, 2, 2]]), (X,))
    assert each.n_players == 3


BAD_MASKS = {
    "negative": (
        (torch.tensor([[0, -2, 1]]), torch.tensor(0).view(1, 1, 1)),
        ValueError,
        r"feature_mask\[0\] must hold ids of at least 0, got -2",
    ),
    "fractions": ((X / 2, Y), TypeError, r"feature_mask\[0\] must hold integers, .* fractions"),
    "count": (torch.tensor([[0, 1, 2]]), ValueError, "feature_mask must have 2 entries"),
    "shape": (
        (torch.tensor([[0, 1]]), torch.tensor(0).view(1, 1, 1)),
        ValueError,
        r"feature_mask\[0\] must broadcast to shape \[2, 3\], got \[1, 2\]",
    ),
    "number": ((0, 1), TypeError, r"feature_mask\[0\] must be a tensor, got 0"),
}


@pytest.mark.parametrize("case", BAD_MASKS)
def test_bad_feature_masks_are_named(case):
    given, error, message = BAD_MASKS[case]
    with pytest.raises(error, match=message):
        format_feature_mask(given, (X, Y))


OUTPUTS = torch.randn(2, 4, generator=torch.Generator().manual_seed(0))
DEEP = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0))
ONE = OUTPUTS[:, 2]
TWO = OUTPUTS[[0, 1], [1, 3]]
TARGETS = {
    "int": (2, OUTPUTS, ONE),
    "numpy int": (np.int64(2), OUTPUTS, ONE),
    "0-d tensor": (torch.tensor(2), OUTPUTS, ONE),
    "1-element tensor": (torch.tensor([2]), OUTPUTS, ONE),
    "tuple of one": ((2,), OUTPUTS, ONE),
    "list": ([1, 3], OUTPUTS, TWO),
    "1-d tensor": (torch.tensor([1, 3], dtype=torch.int32), OUTPUTS, TWO),
    "numpy": (np.array([1, 3]), OUTPUTS, TWO),
    "same in a list": ([2, 2], OUTPUTS, ONE),
    "list of tuples": ([(1,), (3,)], OUTPUTS, TWO),
    "list of tensors": ([torch.tensor(1), torch.tensor(3)], OUTPUTS, TWO),
    "tuple": ((2, 1), DEEP, DEEP[:, 2, 1]),
    "deep list": ([(1, 0), (3, 2)], DEEP, DEEP[[0, 1], [1, 3], [0, 2]]),
    "none": (None, ONE, ONE),
    "none for a column": (None, ONE[:, None], ONE),
}


@pytest.mark.parametrize("case", TARGETS)
@pytest.mark.parametrize("max_rows", [None, 1, 3])
def test_target_forms(case, max_rows):
    target, outputs, expected = TARGETS[case]
    index = torch.arange(2).view(2, 1)
    runner = Runner(lambda rows: outputs[rows[:, 0]], target=target, max_rows=max_rows)
    values = runner.values(
        lambda examples, repeats: (
            index[examples].repeat_interleave(repeats.stop - repeats.start, 0),
        ),
        2,
        5,
    )
    torch.testing.assert_close(values, expected[:, None].expand(2, 5))


BAD_TARGETS = {
    "range": (
        4,
        OUTPUTS,
        ValueError,
        r"target must be in 0 .. 3 for a model with 4 classes, got 4",
    ),
    "row range": ([0, 7], OUTPUTS, ValueError, "target must be in 0 .. 3 .* 4 classes, got 7"),
    "deep range": ((1, 3), DEEP, ValueError, r"target\[1\] must be in 0 .. 2 .* 3 classes, got 3"),
    "negative": (-1, OUTPUTS, ValueError, "target must be at least 0, got -1"),
    "float": (1.0, OUTPUTS, TypeError, "target must be an integer, .* got 1.0"),
    "float tensor": (
        torch.tensor([1.0, 0.0]),
        OUTPUTS,
        TypeError,
        "target must hold integers, got torch.float32",
    ),
    "bool": (True, OUTPUTS, TypeError, "target must hold integers, got True"),
    "string": ("cat", OUTPUTS, TypeError, "target must be an integer, .* got 'cat'"),
    "length": ([0, 1, 2], OUTPUTS, ValueError, "target must have one entry per example, 2, got 3"),
    "2-d": (
        torch.zeros(2, 2).long(),
        OUTPUTS,
        ValueError,
        r"target must be one integer or one per example \(1-d\), got a tensor of shape \[2, 2\]",
    ),
    "empty list": ([], OUTPUTS, ValueError, "target must have one entry per example, got an empty"),
    "empty tuple": ((), OUTPUTS, ValueError, "target must have at least one index"),
    "ragged": (
        [(0,), (0, 1)],
        OUTPUTS,
        ValueError,
        r"target must have the same number .* \[1, 2\]",
    ),
    "too few": (
        1,
        DEEP,
        ValueError,
        r"target must have 2 index\(es\) for a model output of shape \[rows, 4, 3\], got 1",
    ),
    "too many": ((1, 1), OUTPUTS, ValueError, r"target must have 1 index\(es\) .* got 2"),
    "1-d output": (0, ONE, ValueError, r"target must have 0 index\(es\) .* \[rows\], got 1"),
    "none": (
        None,
        OUTPUTS,
        ValueError,
        r"target must be given for a model with several outputs per row, got None .* \[rows, 4\]",
    ),
}


@pytest.mark.parametrize("case", BAD_TARGETS)
def test_bad_targets_are_named(case):
    target, outputs, error, message = BAD_TARGETS[case]
    with pytest.raises(error, match=message):
        Runner(lambda rows: outputs, target=target).outputs((torch.zeros(2, 1),))


def test_target_is_read_once():
    assert Target(torch.tensor([1, 3])).rows.device.type == "cpu"
    assert repr(Target(3)) == "(3,)"


def test_owners_stand_side_by_side_for_all_inputs():
    one, two = torch.zeros(2, 3), torch.zeros(2, 2, 2)
    assert format_feature_mask(None, (one,)).owners.tolist() == [[0, 1, 2]]
    assert format_feature_mask(None, (one, two)).owners.tolist() == [[0, 1, 2, 3, 4, 5, 6]]
    masks = (torch.tensor([7, 7, 2]), torch.tensor([[[0], [2]], [[7], [2]]]))
    owners = format_feature_mask(masks, (one, two)).owners
    assert owners.tolist() == [[2, 2, 1, 0, 0, 1, 1], [2, 2, 1, 2, 2, 1, 1]]
