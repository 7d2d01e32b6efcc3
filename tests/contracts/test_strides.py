"""How the numbers of an input lie in memory is no part of what they are."""

import pytest
import torch
from contract_cases import make_background, make_inputs, make_net, table_of
from contract_runs import NAMES, parts, run
from torch import nn

from pyxai import registry

OPTIONS = {"occlusion": {"sliding_window_shapes": (1, 2)}}
GRIDS = [name for name in NAMES if not table_of(name)[0].image]


def transposed(x):
    return x.transpose(1, 2).contiguous().transpose(1, 2)


def every_second(x):
    wide = x.new_zeros(*x.shape[:-1], 2 * x.shape[-1])
    wide[..., ::2] = x
    return wide[..., ::2]


@pytest.mark.parametrize("order", [transposed, every_second])
@pytest.mark.parametrize("name", GRIDS)
def test_attributions_do_not_depend_on_strides(name, order):
    example, more = table_of(name)
    model = nn.Sequential(nn.Flatten(), make_net(example)).eval()
    x, background = (make(example).view(-1, 2, 3) for make in (make_inputs, make_background))
    given = {**more, **OPTIONS.get(name, {})}
    kind = registry.get(name).baselines
    if kind in ("required", "distribution"):
        given["baselines"] = background if kind == "distribution" else background[:1]
    strided = order(x)
    assert torch.equal(strided, x)
    assert not strided.is_contiguous()
    expected = parts(run(name, model, x, **given).attributions)  # traced as it lies here
    found = parts(run(name, model, strided, **given).attributions)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)
