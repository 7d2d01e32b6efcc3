"""A small model and its inputs, also as files."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from cli_models import NETS
from torch import nn

from pyxai.cli import main


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


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder with a module of models, in which the commands run."""
    (tmp_path / "nets.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each])
    sys.modules.pop("nets", None)
    yield tmp_path
    sys.modules.pop("nets", None)


@pytest.fixture
def said(capsys):
    """Run a command and return what it prints, or the one line in which it fails."""

    def run(*words, status=0):
        capsys.readouterr()
        found = main(["explain", *map(str, words)])
        printed = capsys.readouterr()
        assert found == status, printed.err
        if status:
            assert printed.err.count("\n") == 1
            assert not printed.out
        return printed.err if status else printed.out

    return run
