"""Rows and their labels by a net."""

import pytest
from linear_table import D, N, draws, net


@pytest.fixture(scope="module")
def table():
    x = draws(N, D, seed=1)
    return x, net()(x).argmax(1)
