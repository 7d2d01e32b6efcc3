"""Ops that a trace spells out give what torch's own give, for every argument."""

import math

import pytest
import torch

from pyxai.tracing.decompose import decompositions

ATEN, D = torch.ops.aten, torch.float64
TABLE = decompositions()


def numbers(*shape, seed=0, dtype=D):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


X, Y, Z = numbers(2, 3, 4), numbers(2, 3, 4, seed=1), numbers(2, 3, 4, seed=2)
INDEX = torch.tensor([[[0, 0, 2, 1]] * 3] * 2)
QUERY, KEY, VALUE = (numbers(2, 4, n, 5, seed=seed) for seed, n in enumerate([3, 6, 6]))
SQUARE = numbers(2, 4, 3, 5, seed=7)
FLAGS = numbers(2, 1, 3, 6, seed=5) > 0
FLAGS[0, 0, 1] = False  # a query that sees no key
SHIFTS = numbers(3, 6, seed=6)
CASES = {
    "largest size": (ATEN.linalg_vector_norm.default, (X, math.inf, [1]), {}),
    "largest size of negatives": (ATEN.linalg_vector_norm.default, (-X.abs(), math.inf, [1]), {}),
    "smallest size": (ATEN.linalg_vector_norm.default, (X, -math.inf, [-1], True), {}),
    "of all": (ATEN.linalg_vector_norm.default, (X, math.inf), {}),
    "of all, kept": (ATEN.linalg_vector_norm.default, (-X.abs(), -math.inf, None, True), {}),
    "count": (ATEN.linalg_vector_norm.default, (X.relu(), 0, [2]), {}),
    "count, kept": (ATEN.linalg_vector_norm.default, (-X.relu(), 0, [1], True), {}),
    "count of all": (ATEN.linalg_vector_norm.default, (X.relu(), 0), {}),
    "in another dtype": (
        ATEN.linalg_vector_norm.default, (X.float(), math.inf, [1]), {"dtype": D}
    ),
    "counted in another dtype": (ATEN.linalg_vector_norm.default, (X.float(), 0), {"dtype": D}),
    "angle": (ATEN.angle.default, (torch.complex(X, Y),), {}),
    "polar": (ATEN.polar.default, (X.abs(), Y), {}),
    "distances": (ATEN._cdist_forward.default, (X, numbers(2, 5, 4, seed=4), 2.0, None), {}),
    "distances of order 1": (ATEN._cdist_forward.default, (X, Y, 1.0, None), {}),
    "clamp below": (ATEN.clamp.Tensor, (X, Y), {}),
    "clamp above": (ATEN.clamp.Tensor, (X, None, Y), {}),
    "clamp": (ATEN.clamp.Tensor, (X, Y, Z), {}),  # the upper end wins where they cross
    "variance": (ATEN.var_mean.correction, (X,), {}),
    "variance of one axis": (ATEN.var_mean.correction, (X, [1]), {"correction": 0}),
    "variance, kept": (ATEN.var_mean.correction, (X, [1, 2]), {"correction": 2, "keepdim": True}),
    **{
        f"scattered {reduce}{'' if kept else ' alone'}": (
            ATEN.scatter_reduce.two, (X, 2, INDEX, Y, reduce), {"include_self": kept},
        )
        for reduce in ("sum", "mean")
        for kept in (True, False)
    },
    "scattered by default": (ATEN.scatter_reduce.two, (X, 2, INDEX, Y, "mean"), {}),
    "attention": (ATEN.scaled_dot_product_attention.default, (QUERY, KEY, VALUE), {}),
    "causal": (ATEN.scaled_dot_product_attention.default, (SQUARE,) * 3, {"is_causal": True}),
    "causal, wide": (
        ATEN.scaled_dot_product_attention.default, (QUERY, KEY, VALUE), {"is_causal": True}
    ),
    "scale": (ATEN.scaled_dot_product_attention.default, (QUERY, KEY, VALUE), {"scale": 2.5}),
    "flags": (ATEN.scaled_dot_product_attention.default, (QUERY, KEY, VALUE, FLAGS), {}),
    "shifts": (ATEN.scaled_dot_product_attention.default, (QUERY, KEY, VALUE, SHIFTS), {}),
    "groups": (
        ATEN.scaled_dot_product_attention.default,
        (QUERY, KEY[:, :2], VALUE[:, 2:]),
        {"enable_gqa": True},
    ),
    "leaky": (ATEN.rrelu_with_noise_functional.default, (X, Y), {}),
    "leaky, given": (ATEN.rrelu_with_noise_functional.default, (X, Y, 0.2, 0.7), {}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_values_are_those_of_torch(name):
    op, given, keywords = CASES[name]
    found, expected = TABLE[op](*given, **keywords), op(*given, **keywords)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-13)


LEFT = {
    "norm of order 2": (ATEN.linalg_vector_norm.default, (X,), {}),
    "norm of order 1": (ATEN.linalg_vector_norm.default, (X, 1), {}),
    "angle of real numbers": (ATEN.angle.default, (X,), {}),
    "scattered products": (ATEN.scatter_reduce.two, (X, 2, INDEX, Y, "prod"), {}),
    "leaky at random": (ATEN.rrelu_with_noise_functional.default, (X, Y, 0.1, 0.3, True), {}),
}


@pytest.mark.parametrize("name", LEFT)
def test_what_has_no_such_form_stays(name):
    op, given, keywords = LEFT[name]
    assert TABLE[op](*given, **keywords) is NotImplemented


def test_attention_drops_as_many_as_asked():
    torch.manual_seed(0)
    ones = torch.ones(1, 4, 50, 1, dtype=D)
    attend = TABLE[ATEN.scaled_dot_product_attention.default]
    found = attend(ones, ones, ones, None, 0.5)
    assert found.mean() == pytest.approx(1, abs=0.1)  # 100 draws of a half each, doubled
    assert found.std() == pytest.approx(50**-0.5, rel=0.3)


def test_the_table_may_be_changed():
    made = decompositions()
    made.clear()
    assert decompositions() == TABLE
