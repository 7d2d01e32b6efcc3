"""What the numbers of an explanation are, by its method and the options that it was made with."""

import pytest
import torch

from pyxai import Explanation
from pyxai.explanation.groups import adds_up, is_unsigned, quantity

X = torch.ones(1, 3)


@pytest.mark.parametrize(
    ("method", "options", "rank", "unsigned", "sums"),
    [
        ("greedy_pig", {}, True, True, False),
        ("greedy_pig", {"scores": "rank"}, True, True, False),
        ("greedy_pig", {"scores": "raw"}, False, False, True),
        ("greedy_pig", {"scores": "telescoped"}, False, False, True),
        ("integrated_gradients", {"scores": "rank"}, False, False, True),
        ("saliency", {}, False, True, True),
        ("saliency", {"abs": True}, False, True, True),
        ("saliency", {"abs": False}, False, False, True),
        ("input_x_gradient", {"abs": True}, False, False, True),
        ("noise_tunnel", {}, False, False, True),
        ("noise_tunnel", {"nt_type": "smoothgrad"}, False, False, True),
        ("noise_tunnel", {"nt_type": "smoothgrad_sq"}, False, True, True),
        ("noise_tunnel", {"nt_type": "vargrad"}, False, True, True),
        ("integrated_gradients", {"nt_type": "vargrad"}, False, False, True),
        ("xrai", {}, False, False, False),
        ("integrated_gradients", {"segments": 3}, False, False, False),
    ],
)
def test_what_the_numbers_are(method, options, rank, unsigned, sums):
    made = Explanation(X, X, method=method, options=options)
    assert quantity(made) == ("rank" if rank else "attribution")
    assert is_unsigned(made) == unsigned
    assert adds_up(made) == sums
