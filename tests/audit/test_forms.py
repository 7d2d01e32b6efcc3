"""What is kept of attributions of both signs, in range of the dtype and beyond."""

import pytest
import torch

from pyxai.audit.maps import DTYPES, REDUCTIONS, Form, dense


@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_of_either_sign_are_kept_with_their_sign(sign):
    values = sign * torch.tensor([[-5.0, 1.0, 3.0, -2.0], [0.5, -0.25, -4.0, 2.0]])
    kept, shape = Form(top_k=2).kept(values)
    assert kept[".index"].tolist() == [[0, 2], [2, 3]]
    assert kept[".index"].dtype == torch.int32
    expected = sign * torch.tensor([[-5.0, 0.0, 3.0, 0.0], [0.0, 0.0, -4.0, 2.0]])
    assert torch.equal(dense(kept, shape), expected)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("dtype", [name for name in DTYPES if name != "float64"])
def test_what_a_dtype_cannot_hold_is_refused_at_both_ends(dtype, sign):
    most = sign * torch.finfo(DTYPES[dtype]).max
    values = torch.tensor([[most, 0.0]], dtype=torch.float64)
    kept, _ = Form(dtype=dtype).kept(values)
    assert kept[""].double().tolist() == values.tolist()
    with pytest.raises(ValueError, match=f"attributions must lie within .* for dtype {dtype}"):
        Form(dtype=dtype).kept(values * 1.01)


@pytest.mark.parametrize(
    ("count", "expected"), [(0.001, 1), (0.5, 2), (0.6, 3), (1.0, 5), (1, 1), (3, 3), (99, 5)]
)
def test_as_many_are_counted_as_are_kept(count, expected):
    values = torch.arange(5.0)[None] - 2
    form = Form(top_k=count)
    assert form.kept(values)[0][".value"].shape == (1, expected)
    assert form.numbers([5]) == expected
    assert Form(reduce="sum", top_k=count).numbers([3, 5]) == expected
    assert Form().numbers([3, 5]) == 15
    assert Form(reduce="sum").numbers([3, 5]) == 5


@pytest.mark.parametrize("reduce", REDUCTIONS)
def test_one_dimension_has_no_channels_to_reduce(reduce):
    with pytest.raises(ValueError, match="reduce must be None for attributions without channels"):
        Form(reduce=reduce).kept(torch.ones(2, 3))
    assert Form(reduce=reduce).kept(torch.ones(2, 3, 4))[1] == [4]


def test_examples_without_places_are_not_numbers():
    kept = {".value": torch.tensor([[1.0], [0.0]]), ".index": torch.tensor([[2], [-1]])}
    found = dense(kept, [3])
    assert found[0].tolist() == [0.0, 0.0, 1.0]
    assert found[1].isnan().all()
