"""Models of ONNX files as functions of tensors, run by onnxruntime."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyxai._checks import check_choice, describe
from pyxai._extras import optional
from pyxai.runner import BlackBox

__all__ = ["OnnxModel", "from_onnx"]

_DTYPES = {
    "tensor(float)": torch.float32,
    "tensor(double)": torch.float64,
    "tensor(float16)": torch.float16,
    "tensor(int64)": torch.int64,
    "tensor(int32)": torch.int32,
    "tensor(int16)": torch.int16,
    "tensor(int8)": torch.int8,
    "tensor(uint8)": torch.uint8,
    "tensor(bool)": torch.bool,
}
_FLOATS = ("tensor(float)", "tensor(double)", "tensor(float16)")


def from_onnx(path: str | Path, *, output: str | None = None) -> OnnxModel:
    """Make an ONNX file a model that can be explained, for methods that ask for outputs.

    Parameters
    ----------
    path : str or Path
        The file. It is a program: only read those of people you trust.
    output : str, optional
        Name of the output that is explained. Default: the only one that holds numbers with a
        fraction, as the probabilities of a classifier beside its labels.

    Returns
    -------
    OnnxModel
        A function of as many tensors as the file has inputs, in their order. It can be pickled,
        with the path, and is loaded again where that is read.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no model that onnxruntime can run, or there is no such output or more than one.
    TypeError
        If an input takes no numbers.

    Notes
    -----
    Numbers of arrays and tables become the dtype that the model takes. Tensors are converted only
    where that changes no value, and refused elsewhere. A model of a fixed number of rows is run so
    many at a time, the last time with copies of the last row. Methods that need gradients or look
    inside a model are refused. It runs on the CPU, with as many threads as torch had at loading.

    Examples
    --------
    >>> import pyxai
    >>> model = pyxai.adapters.from_onnx("net.onnx")  # doctest: +SKIP
    >>> pyxai.explain(model, inputs, method="occlusion", target=3)  # doctest: +SKIP
    """
    return OnnxModel(Path(path), output)


class OnnxModel(BlackBox):
    """A session of onnxruntime as a function of tensors; `from_onnx` makes it.

    Attributes
    ----------
    path : Path
        The file.
    input_names : list of str
        What the model calls its inputs, in their order.
    input_shapes : list of tuple
        Their shapes, with dimension 0 for rows; ``None`` where any size will do.
    input_dtypes : list of torch.dtype
        What they take.
    output : str
        Name of the output that is explained.
    """

    def __init__(self, path: Path, output: str | None) -> None:
        self.path = path.resolve()
        self._load()
        self.output = _output_of(self._session.get_outputs(), output)

    def _load(self) -> None:
        if not self.path.is_file():
            raise FileNotFoundError(f"path must be an ONNX file, got {str(self.path)!r}: none")
        self._digest = hashlib.blake2b(self.path.read_bytes(), digest_size=16).hexdigest()
        self._session = _session(self.path)
        given = self._session.get_inputs()
        self.input_names = [each.name for each in given]
        for each in given:
            if each.type not in _DTYPES:
                raise TypeError(f"model must take numbers, got {each.name!r} ({each.type})")
        self.input_dtypes = [_DTYPES[each.type] for each in given]
        self.input_shapes = [
            tuple(size if isinstance(size, int) else None for size in each.shape) for each in given
        ]
        floats = [dtype for dtype in self.input_dtypes if dtype.is_floating_point]
        self.dtype = floats[0] if len(set(floats)) == 1 else None
        # One input for each column of a table, as converters of pipelines write them.
        columns = all(shape[1:] in ((), (1,)) for shape in self.input_shapes)
        self.feature_names = self.input_names if columns else None

    def __repr__(self) -> str:
        """Say what it is."""
        return f"{self.path.name}: {self.output}"

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process loads the file with."""
        return {name: value for name, value in vars(self).items() if name != "_session"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Load the file again, which must be the same."""
        vars(self).update(state)
        digest = self._digest
        self._load()
        if self._digest != digest:
            raise ValueError(
                f"{str(self.path)!r} must be the file that the model was made of, got another"
            )

    def outputs(self, rows: tuple[Tensor, ...]) -> Tensor:
        """Return the outputs of rows on the CPU; see `pyxai.runner.BlackBox`."""
        if len(rows) != len(self.input_names):
            raise TypeError(
                f"{self.path.name} must be given {len(self.input_names)} tensor(s), "
                f"{', '.join(self.input_names)}, got {len(rows)}"
            )
        given = dict(
            zip(self.input_names, map(self._as_taken, range(len(rows)), rows), strict=True)
        )
        n_rows = len(rows[0])
        fixed = next((shape[0] for shape in self.input_shapes if shape and shape[0]), None)
        if fixed is None or fixed == n_rows:
            return self._run(given)
        chosen = np.arange(n_rows + -n_rows % fixed).clip(max=n_rows - 1)
        parts = [
            self._run({name: value[each] for name, value in given.items()})
            for each in chosen.reshape(-1, fixed)
        ]
        if any(len(part) != fixed for part in parts):
            raise ValueError(
                f"{self.path.name} must return one row for each of its {fixed} rows, got shape "
                f"{list(parts[0].shape)}"
            )
        return torch.cat(parts)[:n_rows]

    def facts(self) -> Iterator[str]:
        """Yield what is in the file, and what is explained; see `pyxai.runner.BlackBox`."""
        yield self._digest
        yield self.output

    def _run(self, given: dict[str, Any]) -> Tensor:
        (found,) = self._session.run([self.output], given)
        if not isinstance(found, np.ndarray):
            raise TypeError(f"output {self.output} must be an array, got {describe(found)}")
        return torch.from_numpy(found)

    def _as_taken(self, at: int, value: Tensor) -> Any:
        """Return the rows of an input as the array that the model takes."""
        name = "inputs" if len(self.input_names) == 1 else f"inputs[{at}]"
        shape, dtype = self.input_shapes[at], self.input_dtypes[at]
        fits = len(shape) == value.dim() and all(
            want is None or want == have
            for want, have in zip(shape[1:], value.shape[1:], strict=True)
        )
        if not fits:
            wanted = ", ".join("*" if size is None else str(size) for size in (None, *shape[1:]))
            raise ValueError(
                f"{name} must have shape [{wanted}], as {self.input_names[at]!r} of "
                f"{self.path.name} has, got {list(value.shape)}"
            )
        taken = value.to(dtype)
        if not torch.equal(taken.to(value.dtype), value):
            raise TypeError(
                f"{name} must hold numbers of {dtype}, as {self.input_names[at]!r} of "
                f"{self.path.name} takes, got {value.dtype} with others; give {name}.to({dtype})"
            )
        return taken.numpy()


def _session(path: Path) -> Any:
    with optional("from_onnx needs", "onnxruntime>=1.17", "onnx"):
        runtime = importlib.import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors come as exceptions
    try:
        return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # whatever a file that is something else leads to
        said = " ".join(str(error).split())[:200]
        raise ValueError(
            f"path must be a model that onnxruntime can run, got {str(path)!r}: {said}"
        ) from error


def _output_of(outputs: Sequence[Any], name: str | None) -> str:
    if name is not None:
        return check_choice("output", name, [each.name for each in outputs])
    floats = [each.name for each in outputs if each.type in _FLOATS]
    if len(floats) == 1:
        return str(floats[0])
    listed = ", ".join(f"{each.name!r} ({each.type})" for each in outputs)
    raise ValueError(f"output must be one of {listed}, got none")
