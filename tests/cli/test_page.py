"""The page of an explanation."""

import pytest
import torch

from pyxai import Explanation
from pyxai.cli.page import page


@pytest.mark.parametrize(("n_units", "said"), [(2, True), (3, False)])
def test_values_stand_beside_what_was_attributed_to_alone(n_units, said, tmp_path):
    inputs = torch.ones(1, 2)
    told = Explanation(
        torch.ones(1, n_units), inputs, method="layer_lrp", display_values=[["red", "blue"]]
    )
    text = page(told).write(tmp_path / "page.html").read_text()
    assert ("blue" in text.partition("</style>")[2]) is said
