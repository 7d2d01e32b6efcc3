"""Estimators of scikit-learn, and what looks like one, as functions of tensors."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyxai._checks import describe
from pyxai._extras import optional
from pyxai._inputs import flat_features
from pyxai.adapters.columns import Columns
from pyxai.runner import BlackBox

__all__ = ["SklearnModel", "from_sklearn"]

# What is asked by default, the first that an estimator has; labels are no numbers to explain.
_OUTPUTS = ("predict_proba", "decision_function", "predict")


def from_sklearn(estimator: Any, *, output: str | None = None, table: Any = None) -> SklearnModel:
    """Make a fitted estimator a model that can be explained, for methods that ask for outputs.

    Parameters
    ----------
    estimator : object
        A fitted estimator or pipeline of scikit-learn, or of a package that follows it.
    output : str, optional
        The method that is explained. Default: ``"predict_proba"`` where it has that, else
        ``"decision_function"``, else ``"predict"``, which must return numbers.
    table : pandas.DataFrame, optional
        Rows as the estimator was fitted on, where some columns are no numbers. Tensors hold such a
        column as codes 0, 1, ... of the categories that are in the table, in their order as
        categories or sorted; a missing entry is the last category. Columns of numbers and flags
        stay numbers.

    Returns
    -------
    SklearnModel
        A function of one tensor [rows, n_features], or [rows, *features] with as many features,
        flattened. It can be pickled if the estimator can.

    Raises
    ------
    TypeError
        If the estimator has no such method, or a column holds neither numbers nor categories.
    ValueError
        If the estimator is not fitted, or the columns of the table are not those it was fitted on.

    Notes
    -----
    Numbers reach the estimator in the dtype of the inputs, float64 for arrays and tables; 16-bit
    floats as float32. An estimator that was fitted on a table is given one. Absent features are
    what ``baselines`` says, and the default of 0 is the first category of a column of codes;
    ``imputer=pyxai.imputers.Marginal(model.encode(table))`` takes values of other rows instead.
    Methods that need gradients or look inside a model are refused: an estimator has none.

    Examples
    --------
    >>> import numpy as np, pyxai
    >>> from sklearn.linear_model import LinearRegression
    >>> x = np.eye(3)
    >>> model = pyxai.adapters.from_sklearn(LinearRegression().fit(x, x @ [1.0, 2.0, 4.0]))
    >>> pyxai.explain(model, x[:1], method="shapley_values").attributions
    tensor([[-1.3333,  0.0000,  0.0000]], dtype=torch.float64)
    """
    return SklearnModel(estimator, output, table)


class SklearnModel(BlackBox):
    """A fitted estimator as a function of one tensor; `from_sklearn` makes it.

    Attributes
    ----------
    estimator : object
        What was given.
    output : str
        The method that is explained.
    """

    def __init__(self, estimator: Any, output: str | None, table: Any) -> None:
        self.estimator = estimator
        self.output = _checked_output(estimator, output)
        _check_fitted(estimator)
        fitted = getattr(estimator, "feature_names_in_", None)
        self.columns = None if fitted is None else Columns(tuple(fitted), {})
        """Names and categories of the columns, where there are some."""
        if table is not None:
            read = Columns.of_table("table", table)
            if self.columns is not None:
                self.columns.check_labels("table", read.labels)
            self.columns = read
        self.feature_names = None if self.columns is None else self.columns.names
        self.class_names = _class_names(estimator, self.output)
        # One that was fitted on arrays warns of tables.
        self._takes_tables = fitted is not None or bool(self.columns and self.columns.categories)

    def __repr__(self) -> str:
        """Say what it is."""
        return f"{type(self.estimator).__name__}.{self.output}"

    def encode(self, table: Any, name: str = "table") -> Tensor | None:
        """Return a table as the tensor that the model takes, float64 [rows, n_features].

        Parameters
        ----------
        table : pandas.DataFrame
            With the columns that the estimator was fitted on, in their order.
        name : str
            What the caller calls it.

        Raises
        ------
        TypeError
            If a column holds something else than it did.
        ValueError
            If the columns are others, or an entry is none of the categories.
        """
        return None if self.columns is None else self.columns.encode(name, table)

    def display_values(self, table: Any) -> Any:
        """Return the table where some columns are held as codes; see `pyxai.runner.BlackBox`."""
        has_codes = self.columns is not None and bool(self.columns.categories)
        return table if has_codes and hasattr(table, "columns") else None

    def decode(self, rows: Tensor) -> Any:
        """Return rows as the table that the estimator is given, with categories for codes.

        Parameters
        ----------
        rows : Tensor, shape [rows, n_features]

        Returns
        -------
        pandas.DataFrame

        Raises
        ------
        ValueError
            If the model has no names of columns, or a code is none.
        """
        if self.columns is None:
            raise ValueError(f"{self!r} must have names of columns to make tables, got none")
        return self.columns.decode("rows", rows.detach().cpu())

    def outputs(self, rows: tuple[Tensor, ...]) -> Tensor:
        """Return the outputs of one tensor of rows on the CPU; see `pyxai.runner.BlackBox`."""
        if len(rows) != 1:
            raise TypeError(f"{self!r} must be given one tensor, got {len(rows)}")
        flat = flat_features(rows[0])
        if flat.dtype in (torch.float16, torch.bfloat16):  # NumPy lacks one of them
            flat = flat.float()
        wanted = getattr(self.estimator, "n_features_in_", None)
        wanted = wanted if self.columns is None else len(self.columns.labels)
        if wanted is not None and flat.shape[1] != wanted:
            raise ValueError(
                f"inputs must have {wanted} features, as {type(self.estimator).__name__} was "
                f"fitted on, got shape {list(rows[0].shape)}"
            )
        given = flat.numpy()
        if self.columns is not None and self._takes_tables:
            given = self.columns.decode("inputs", flat)
        return _as_tensor(getattr(self.estimator, self.output)(given), self)

    def facts(self) -> Iterator[str]:
        """Yield what the estimator was fitted to, by its numbers; see `pyxai.runner.BlackBox`."""
        with optional("the name of an estimator needs", "scikit-learn>=1.6", "sklearn"):
            joblib = importlib.import_module("joblib")
        yield repr(self)
        yield str(joblib.hash(self.estimator))
        yield str(joblib.hash(self.columns))


def _checked_output(estimator: Any, output: str | None) -> str:
    if isinstance(estimator, type):
        raise TypeError(f"estimator must be an object, got the class {estimator.__name__}")
    if output is not None and not isinstance(output, str):
        raise TypeError(f"output must be the name of a method, got {describe(output)}")
    for name in _OUTPUTS if output is None else (output,):
        if callable(getattr(estimator, name, None)):
            return name
    wanted = " or ".join(_OUTPUTS) if output is None else output
    known = (*_OUTPUTS, "predict_log_proba", "score_samples", "transform")
    has = [name for name in known if callable(getattr(estimator, name, None))]
    raise TypeError(
        f"estimator must have {wanted}, got {describe(estimator)}"
        f"{', which has ' + ', '.join(has) if has else ''}"
    )


def _check_fitted(estimator: Any) -> None:
    if not hasattr(estimator, "get_params"):
        return  # not one of scikit-learn, which knows by what ends in an underscore
    with optional("from_sklearn needs", "scikit-learn>=1.6", "sklearn"):
        validation = importlib.import_module("sklearn.utils.validation")
        exceptions = importlib.import_module("sklearn.exceptions")
    try:
        validation.check_is_fitted(estimator)
    except exceptions.NotFittedError as error:
        raise ValueError(f"estimator must be fitted, got {describe(estimator)}") from error


def _class_names(estimator: Any, output: str) -> list[str] | None:
    """Return the names of the columns of the output, where classes say them."""
    classes = getattr(estimator, "classes_", None)
    if classes is None or output not in ("predict_proba", "predict_log_proba", "decision_function"):
        return None
    if isinstance(classes, list):  # of several outputs
        return [f"output {at}: {name}" for at, each in enumerate(classes) for name in each]
    names = [str(name) for name in classes]
    return names[1:] if output == "decision_function" and len(names) == 2 else names


def _as_tensor(found: Any, model: SklearnModel) -> Tensor:
    parts = [np.asarray(part) for part in (found if isinstance(found, list) else [found])]
    for part in parts:
        if part.dtype.kind not in "biuf":
            other = "; give output='predict_proba'" if model.output == "predict" else ""
            raise TypeError(f"{model!r} must return numbers, got an array of {part.dtype}{other}")
    array = parts[0] if len(parts) == 1 else np.concatenate(parts, 1)
    return torch.tensor(array)
