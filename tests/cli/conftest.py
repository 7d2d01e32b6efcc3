"""A small model and its inputs, also as files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).eval()


@pytest.fixture
def inputs() -> torch.Tensor:
    return torch.randn(5, 4, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def exported(model, inputs, tmp_path) -> Path:
    path = tmp_path / "model.pt2"
    batch = torch.export.Dim("batch")
    program = torch.export.export(model, (inputs,), dynamic_shapes=({0: batch},))
    torch.export.save(program, path)
    return path


@pytest.fixture
def rows(inputs, tmp_path) -> Path:
    path = tmp_path / "inputs.npy"
    np.save(path, inputs.numpy())
    return path
