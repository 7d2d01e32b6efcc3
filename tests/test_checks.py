"""The wording of the checks of single arguments."""

import re
from fractions import Fraction

import numpy as np
import pytest
import torch

from pyxai._checks import check_bool, check_number


@pytest.mark.parametrize("value", [2, 0.5, np.float32(0.5), np.int64(2), Fraction(1, 2)])
def test_numbers(value):
    assert check_number("share", value) == float(value)
    assert type(check_number("share", value)) is float


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ("0.5", TypeError, "share must be a number, got '0.5'"),
        (True, TypeError, "share must be a number, got True"),
        (None, TypeError, "share must be a number, got None"),
        (1j, TypeError, "share must be a number, got a complex"),
        (float("nan"), ValueError, "share must be finite, got nan"),
        (-float("inf"), ValueError, "share must be finite, got -inf"),
        (np.float32("inf"), ValueError, "share must be finite, got"),
    ],
)
def test_not_numbers(value, error, message):
    with pytest.raises(error, match=re.escape(message)):
        check_number("share", value)


@pytest.mark.parametrize("value", [True, False, np.True_, np.False_])
def test_bools(value):
    assert check_bool("sqrt", value) is bool(value)


@pytest.mark.parametrize("value", ["no", 0, 1.0, None, [], torch.tensor(True)])
def test_not_bools(value):
    with pytest.raises(TypeError, match="sqrt must be True or False, got "):
        check_bool("sqrt", value)
