import pytest
import torch
from captum_peer import rows

from pyxai._random import example_ids
from pyxai._random import names as module

DTYPES = (
    torch.float32,
    torch.float64,
    torch.bfloat16,
    torch.float16,
    torch.int64,
    torch.int32,
    torch.int16,
    torch.int8,
    torch.uint8,
    torch.bool,
)


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_that_differ_have_different_names(dtype):
    # Whole numbers have many low bits 0 in common, which a weak hash loses.
    values = torch.randint(0, 3, (4000, 8), generator=torch.Generator().manual_seed(0)).to(dtype)
    names = example_ids(None, (values,))
    assert names.dtype == torch.int64
    assert len(names.unique()) == len(values.float().unique(dim=0))
    again = example_ids(None, (values.clone(),))
    assert torch.equal(again, names)


def test_one_bit_changes_half_of_the_name():
    x = torch.zeros(64, 3, dtype=torch.int64)
    x[:, 1] = torch.ones(64, dtype=torch.int64) << torch.arange(64)
    names = example_ids(None, (x,))
    zero = example_ids(None, (torch.zeros(1, 3, dtype=torch.int64),))
    bits = torch.stack([((names ^ zero) >> at) & 1 for at in range(64)]).double()
    # 64 * 64 fair coins: mean 0.5 with standard deviation 1/128.
    assert abs(float(bits.mean()) - 0.5) < 4 / 128


def test_a_name_depends_on_its_row_only():
    x = rows(9, 2, 3)
    names = example_ids(None, (x,))
    assert torch.equal(example_ids(None, (x[4:5],)), names[4:5])
    assert torch.equal(example_ids(None, (x.flip(0),)), names.flip(0))
    strided = x.transpose(0, 2).contiguous().transpose(0, 2)
    assert torch.equal(example_ids(None, (strided,)), names)


def test_long_batches_are_hashed_in_blocks(monkeypatch):
    x = rows(50, 7)
    names = example_ids(None, (x,))
    monkeypatch.setattr(module, "_BLOCK", 20)
    assert torch.equal(example_ids(None, (x,)), names)


def test_places_and_tensors_matter():
    x = torch.tensor([[1.0, 2.0], [2.0, 1.0]])
    names = example_ids(None, (x,))
    assert names[0] != names[1]
    left, right = example_ids(None, (x[:, :1], x[:, 1:])), example_ids(None, (x[:, 1:], x[:, :1]))
    assert left[0] == right[1]
    assert left[0] != right[0]
    assert not torch.equal(left, names)


def test_zero_has_one_name_whatever_its_sign():
    x = torch.tensor([[0.0, -0.0, 1.0]])
    assert torch.equal(example_ids(None, (x,)), example_ids(None, (x.abs(),)))


def test_numbers_without_features():
    names = example_ids(None, (torch.tensor([1.0, 2.0, 1.0]),))
    assert names[0] == names[2] != names[1]


def test_names_of_the_caller():
    x = rows(3, 2)
    for given in ([3, -1, 2**62], (3, -1, 2**62), torch.tensor([3, -1, 2**62])):
        assert example_ids(given, (x,)).tolist() == [3, -1, 2**62]
    assert example_ids(torch.tensor([1, 2, 3], dtype=torch.int32), (x,)).dtype == torch.int64
    with pytest.raises(ValueError, match=r"example_ids must have shape \[3\], got \[2\]"):
        example_ids([1, 2], (x,))
    with pytest.raises(TypeError, match=r"example_ids must have dtype torch\.int64 or"):
        example_ids([0.5, 1.0, 2.0], (x,))
