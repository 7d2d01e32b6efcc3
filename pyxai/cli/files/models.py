"""Models out of files, and out of Python code.

Without ``trust`` nothing that is pickled is run. What is left is not for files of strangers either:
exported programs and TorchScript are programs, and torch's readers evaluate what they say of sizes.
"""

from __future__ import annotations

import importlib
import math
import os
import re
import sys
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
import torch
from torch import nn

from pyxai._extras import optional
from pyxai._files import imported
from pyxai.adapters import from_onnx, from_sklearn

__all__ = [
    "MODELS",
    "SAFETY",
    "Layer",
    "first_layer",
    "is_place",
    "load_model",
    "sizes_taken",
    "unpickled",
]

MODELS = (
    "an exported program (.pt2, from torch.export.save), a TorchScript file, an ONNX file (.onnx), "
    "module:function of Python code that makes a model, or with --trust a module pickled by "
    "torch.save or an estimator of scikit-learn (.joblib, .pkl)"
)
SAFETY = """\
what is run when a model is read:
  module:function   your Python code
  .pt2, TorchScript a program of torch's operations; only read those of people you trust
  .onnx             a program of ONNX's operations; the same
  pickled modules   any code that is in the file: refused without --trust
  .joblib, .pkl     the same
  .safetensors      nothing; so are weights and tensors in .pt, .npy and .npz without --trust
"""
_ESTIMATORS = (".joblib", ".pkl", ".pickle")
_WEIGHTS = (".safetensors", ".npy", ".npz", ".bin", ".ckpt")
# What torch says of objects that it would have to run code for, rather than of a damaged file.
_UNTRUSTED = re.compile(
    r"Unsupported (global|class)|unsafe class|can only build|not (an )?allowed", re.I
)
_EXPORTED = ("/archive_format", "serialized_exported_program.json")
_FORCE, _NEVER = "TORCH_FORCE_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"


def is_place(text: str) -> bool:
    """Tell whether a model is given as module:function, which may lie in the folder one is in."""
    found = ":" in text and not Path(text).exists()
    if found:
        _look_here()
    return found


def load_model(place: str | Path, weights: Path | None = None, trust: bool = False) -> Any:
    """Read a model from a file, or import what makes one; modules come in eval mode.

    Parameters
    ----------
    place : str or Path
        A file, or ``"module:function"``.
    weights : Path, optional
        File of the parameters of a module that Python code makes.
    trust : bool
        Whether to unpickle what may run code.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is something else, or the weights do not fit.
    """
    if is_place(str(place)):
        return _of_code(str(place), weights, trust)
    path = Path(place)
    if weights is not None:
        raise ValueError(
            "--weights must come with module:function, which makes the module they are for, "
            f"got {str(path)!r}"
        )
    if not path.is_file():
        why = "it is a folder" if path.is_dir() else "no such file"
        raise FileNotFoundError(
            f"model must be a file that is there, or module:function, got {str(place)!r}: {why}"
        )
    if path.suffix.lower() in _WEIGHTS:
        raise ValueError(_weights_alone(path))
    try:
        return _of_file(path, trust)
    except (MemoryError, _NotTrustedError):
        raise
    except Exception as error:  # whatever a file that is something else leads to
        said = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(f"model must be {MODELS}, got {str(path)!r}: {said}") from error


def unpickled(path: Path, trust: bool) -> Any:
    """Return what torch.save wrote: tensors and plain values, with ``trust`` any objects.

    Raises
    ------
    ValueError
        If there are other objects, and no trust.
    """
    with _forced(not trust):
        try:
            return torch.load(path, map_location="cpu", weights_only=not trust)
        except Exception as error:
            _check_trusted(error, path, "a pickled module or other Python objects")
            raise


def sizes_taken(model: Any) -> tuple[int | None, ...] | None:
    """Return the sizes of the one input of an exported program, with None where any will do."""
    if not isinstance(model, torch.fx.GraphModule):
        return None
    inputs = [node.meta.get("val") for node in model.graph.nodes if node.op == "placeholder"]
    if len(inputs) != 1 or not isinstance(inputs[0], torch.Tensor):
        return None
    return tuple(size if isinstance(size, int) else None for size in inputs[0].shape)


class Layer(NamedTuple):
    """The first layer of a model with weights, which is most often the first that runs."""

    kind: str
    size: int
    """Features or channels that it takes."""

    def takes(self, shape: Sequence[int]) -> bool:
        """Tell whether rows of this shape may fit, as they are or flattened."""
        if self.kind == "Linear":
            return self.size in (shape[-1], math.prod(shape[1:]))
        return len(shape) < 3 or self.size == shape[1]


def first_layer(model: Any) -> Layer | None:
    """Return the first layer of a module, where that is linear or a convolution."""
    for module in model.modules() if isinstance(model, nn.Module) else ():
        weight = getattr(module, "weight", None)
        if not isinstance(weight, torch.Tensor):
            continue
        kind = getattr(module, "original_name", type(module).__name__)  # that of TorchScript
        if kind not in ("Linear", "Conv1d", "Conv2d", "Conv3d"):
            return None
        return Layer(kind, weight.shape[1] * getattr(module, "groups", 1))
    return None


class _NotTrustedError(ValueError):
    """A file of which more is to be run than was allowed."""


def _of_code(place: str, weights: Path | None, trust: bool) -> Any:
    try:
        model = imported(place)
    except (ImportError, AttributeError) as error:
        raise ValueError(
            f"model must be made by a function that can be imported, got {place!r}: {error}"
        ) from error
    if not isinstance(model, nn.Module):
        if weights is not None:
            raise TypeError(f"--weights must come with an nn.Module, which {place!r} does not make")
        return model
    if weights is not None:
        _load_weights(model, weights, trust)
    return model.eval()


def _load_weights(model: nn.Module, path: Path, trust: bool) -> None:
    if not path.is_file():
        raise FileNotFoundError(f"--weights must be a file, got {str(path)!r}: no such file")
    try:
        if path.suffix.lower() == ".safetensors":
            found: Any = safetensors.torch.load_file(path)
        else:
            found = unpickled(path, trust)
        found = found.state_dict() if isinstance(found, nn.Module) else found
        found = found.get("state_dict", found)  # as Lightning's checkpoints have them
        model.load_state_dict(found)
    except (MemoryError, _NotTrustedError):
        raise
    except Exception as error:  # whatever a file that is something else leads to
        said = " ".join(str(error).split())
        raise ValueError(
            f"--weights must hold the parameters of the model, got {str(path)!r}: {said}"
        ) from error


def _of_file(path: Path, trust: bool) -> Any:
    """Read a file by what is in it, whatever it is called, where that is torch's."""
    if path.suffix.lower() == ".onnx":
        return from_onnx(path)
    if path.suffix.lower() in _ESTIMATORS:
        return from_sklearn(_estimator(path, trust))
    names = zipfile.ZipFile(path).namelist() if zipfile.is_zipfile(path) else []
    if any(name.endswith(_EXPORTED) for name in names):
        return _exported(path, names, trust)
    if any("code/" in name for name in names):
        return torch.jit.load(str(path), map_location="cpu").eval()  # type: ignore[no-untyped-call]
    if not names and path.suffix.lower() == ".pt2":
        raise ValueError("it is no archive")
    _look_here()  # where the code of a pickled module may lie
    found = unpickled(path, trust)
    if isinstance(found, nn.Module):
        return found.eval()
    raise _NotTrustedError(_weights_alone(path))


def _estimator(path: Path, trust: bool) -> Any:
    if not trust:
        raise _NotTrustedError(
            f"{str(path)!r} is a pickle, and reading one runs whatever code is in the file: give "
            "--trust if you know who wrote it; an .onnx needs no trust"
        )
    _look_here()
    with optional("pickled estimators need", "scikit-learn>=1.6", "sklearn"):
        joblib = importlib.import_module("joblib")
    return joblib.load(path)


def _exported(path: Path, names: list[str], trust: bool) -> Any:
    if not trust and any("/aotinductor/" in name for name in names):
        raise _NotTrustedError(
            f"model must hold no machine code without --trust, got {str(path)!r}, which has some"
        )
    # Without this torch unpickles example inputs and constants that it cannot read otherwise.
    with _forced(not trust):
        try:
            return torch.export.load(str(path)).module()
        except Exception as error:
            _check_trusted(error, path, "pickled Python objects")
            raise


@contextmanager
def _forced(forced: bool) -> Iterator[None]:
    """Keep torch.load from unpickling code, also where torch itself calls it with leave to."""
    before = {name: os.environ.pop(name, None) for name in (_FORCE, _NEVER)}
    if forced:
        os.environ[_FORCE] = "1"
    try:
        yield
    finally:
        os.environ.pop(_FORCE, None)
        os.environ.update({name: value for name, value in before.items() if value is not None})


def _check_trusted(error: Exception, path: Path, what: str) -> None:
    """Say of an error that there is more in a file than may be run, if that is what it says."""
    if "Weights only load failed" in str(error) and _UNTRUSTED.search(str(error)):
        raise _NotTrustedError(
            f"{str(path)!r} holds {what}, and reading these runs whatever code is in the file: "
            "give --trust if you know who wrote it; torch.export.save writes a .pt2, and "
            "save_file of safetensors weights, that need no trust"
        ) from error


def _weights_alone(path: Path) -> str:
    return (
        f"model must be {MODELS}, got {str(path)!r}, which holds weights and no program: give the "
        f"code that makes the module, and the file as --weights {path}"
    )


def _look_here() -> None:
    if "" not in sys.path:
        sys.path.insert(0, "")  # as for python -m
