"""The result object that all methods return."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyxai._checks import check_int, describe
from pyxai._extras import optional
from pyxai._lazy import above
from pyxai.explanation import file, table, text
from pyxai.explanation.balance import balance_of, is_of_all_outputs, of_each_output
from pyxai.explanation.checks import check_parts
from pyxai.explanation.display import as_display_values
from pyxai.explanation.grouping import group_scores, grouped
from pyxai.explanation.groups import mask_of, masked_form
from pyxai.explanation.names import as_names, fit_names, names_of_row, take_names
from pyxai.explanation.rows import row_numbers, take_baselines, take_options, take_rows, take_target
from pyxai.runner import DIRECT, takes_arrays
from pyxai.runner.arguments import Shared

__all__ = ["Explanation"]

TensorOrTuple = Tensor | tuple[Tensor, ...]


@dataclass(frozen=True, eq=False, repr=False)
class Explanation:
    """Attributions of a batch together with everything that made them.

    Attributes
    ----------
    attributions : Tensor or tuple of Tensor, shape [batch, *features]
        One value per input feature, in output units (input-sensitivity methods such as Saliency:
        output units per input unit). A tuple where the model takes several inputs. Where all
        outputs are explained at once, [batch, n_outputs, *features].
    inputs : Tensor or tuple of Tensor, shape [batch, *features]
        What was explained, in input units.
    baselines : float, Tensor, tuple of those, or None
        What stood for absent features. ``None``: the method was given none.
    target : int, tuple, list, Tensor or None
        Which output was explained, in any of the forms that methods take.
    method : str
        Name of the method, as the registry knows it.
    options : dict
        Every other argument of the call, as given.
    convergence_delta : Tensor or None, shape [batch], [batch, n_outputs] or [batch * n_draws]
        How far completeness is missed, ``sum(attributions) - (f(inputs) - f(baselines))``, in
        output units, of relevance ``sum(attributions) - f(inputs)``; ``None`` where the method does
        not promise completeness.
    error : Tensor, tuple of Tensor or None, shape of ``attributions``
        Standard error of a sampling method, in the units of the attributions.
    outputs : Tensor or None, shape [batch] or [batch, n_outputs]
        The explained output, or all of them, at the inputs.
    feature_names : list of str, list of list of str, or None
        One name per feature of one example, flattened and, for a tuple, concatenated; or, with a
        ``feature_mask`` among the options, one per group, in the order of the ids of the mask. One
        such list for each example where examples have names of their own, such as words. Any
        sequence serves; kept are strings in lists, one for each feature.
    shared_baselines : bool
        Whether the rows of ``baselines`` are a background set that all examples share, rather than
        one baseline for each example.
    display_values : list of list, or None
        What pictures show beside the names of features in place of the inputs, one value for each
        feature of each example: numbers as they were before they were standardised, or words. Any
        table or array of that shape serves, or a tuple of one for each input. To add them:
        ``dataclasses.replace(explanation, display_values=table)``.
    path : str
        How the model was evaluated: ``"direct"``, every row through all of it, or the names of the
        exact fast paths that were taken. ``fast_path=False`` among a method's options asks for the
        direct way.
    of_layer : bool
        Whether the attributions are to the values of a layer, which have a form of their own, so
        that pictures and tables do not take the inputs for these.

    Raises
    ------
    TypeError
        If a field is not of its type.
    ValueError
        If the fields do not fit together.

    Examples
    --------
    >>> import torch
    >>> from pyxai import Explanation
    >>> x = torch.tensor([[1.0, 2.0]])
    >>> result = Explanation(3 * x, x, method="by_hand", feature_names=["width", "height"])
    >>> result.top(1)
    [('height', 6.0)]
    """

    attributions: TensorOrTuple
    inputs: TensorOrTuple
    baselines: Any = None
    target: Any = None
    method: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    convergence_delta: Tensor | None = None
    error: TensorOrTuple | None = None
    outputs: Tensor | None = None
    feature_names: Sequence[str] | Sequence[Sequence[str]] | None = None
    shared_baselines: bool = False
    display_values: Any = None
    path: str = DIRECT
    of_layer: bool = False
    # Fields that the first files had not; no field itself, as it has no type beside it.
    _later = frozenset({"display_values", "path", "of_layer"})

    def __post_init__(self) -> None:
        """Check that the parts fit together; names become strings."""
        check_parts(self)
        if self.feature_names is not None:
            names = fit_names(
                as_names("feature_names", self.feature_names),
                len(self),
                sum(part[0:1].numel() for part in self._tuple(self.attributions)),
                masked_form(self.options, self.inputs, self.attributions),
                mask_of(self.options),
            )
            object.__setattr__(self, "feature_names", names)
        if self.display_values is not None:
            count = sum(part[:1].numel() for part in self._tuple(self.inputs))
            shown = as_display_values(self.display_values, len(self), count)
            object.__setattr__(self, "display_values", shown)

    @staticmethod
    def _tuple(value: TensorOrTuple) -> tuple[Tensor, ...]:
        return value if isinstance(value, tuple) else (value,)

    def __len__(self) -> int:
        """Return the number of rows."""
        return self._tuple(self.attributions)[0].shape[0]

    def __iter__(self) -> Iterator[Explanation]:
        """Yield one explanation per example."""
        return (self[row] for row in range(len(self)))

    def __getitem__(self, index: Any) -> Explanation:
        """Return the chosen examples; an int gives a batch of one, so that all methods still work.

        ``options`` stay those of the call that was made, but for a ``feature_mask`` and
        ``segments``: where each example has its own, they follow.
        """
        rows = len(self)
        if rows != self._tuple(self.inputs)[0].shape[0]:
            raise ValueError(
                "an explanation must have one row per example to be indexed, got "
                f"{rows} row(s) for {self._tuple(self.inputs)[0].shape[0]} example(s)"
            )
        chosen = row_numbers(index, rows)
        return replace(
            self,
            attributions=take_rows(self.attributions, chosen, rows),
            inputs=take_rows(self.inputs, chosen, rows),
            baselines=self.baselines
            if self.shared_baselines
            else take_baselines(self.baselines, self.inputs, chosen),
            target=take_target(self.target, chosen, rows),
            options=take_options(
                self.options, masked_form(self.options, self.inputs, self.attributions), chosen
            ),
            convergence_delta=take_rows(self.convergence_delta, chosen, rows),
            error=take_rows(self.error, chosen, rows),
            outputs=take_rows(self.outputs, chosen, rows),
            feature_names=take_names(self.feature_names, chosen),
            display_values=take_names(self.display_values, chosen),
        )

    def to(self, device: torch.device | str) -> Explanation:
        """Return a copy whose tensors, also those among the options, are on ``device``."""
        moved = {
            name: _move(getattr(self, name), torch.device(device))
            for name in self.__dataclass_fields__
        }
        return Explanation(**moved)

    def top(self, n: int = 5) -> list[tuple[str, float]]:
        """Return the ``n`` features of largest absolute attribution with their values.

        For one example the values are its signed attributions, for several the means over the
        examples of the absolute attribution. Features that were one player, by a ``feature_mask``
        or as a region of XRAI, are one entry. ``ValueError`` if ``n`` is negative.
        """
        return text.top_features(self, check_int("n", n, minimum=0))

    @takes_arrays
    def grouped(
        self,
        feature_mask: TensorOrTuple,
        feature_names: Sequence[str] | Sequence[Sequence[str]] | None = None,
    ) -> Explanation:
        """Return an explanation by groups: each feature gets what its group sums to.

        This is what `pyxai.explain` makes of a ``feature_mask`` where a method scores single
        features. Of integrated gradients, DeepLIFT and their like it is the attribution of a word,
        a patch or a category, and what added up goes on adding up, with the same convergence delta.
        Of absolute values, as Saliency gives them, and of squares it is the sum of these.

        Parameters
        ----------
        feature_mask : Tensor or tuple of Tensor, shape that broadcasts to the inputs
            Whole numbers from 0, as methods with a ``feature_mask`` take them: features of the same
            number are one group, also across several inputs. Of shape ``[batch, ...]`` each example
            has groups of its own. Where attributions are to a layer, of their shape. Where there
            was a mask before, its groups count once, and each must be within one of the new ones.
        feature_names : sequence of str, or of lists of str, optional
            One name per group, in the order of the numbers, or per feature. Default: those of the
            features.

        Returns
        -------
        Explanation
            With the mask among its options, so that pictures, tables and metrics take each group
            once; `group_scores` has one number for each. ``error`` is the sum of the errors of a
            group, which the standard error of the sum does not exceed.

        Raises
        ------
        ValueError
            If the mask or the names do not fit, or attributions are ranks or means over regions,
            whose sums say nothing.
        TypeError
            If the mask is not of whole numbers.

        Examples
        --------
        >>> import torch
        >>> from pyxai import Explanation
        >>> pieces = torch.tensor([[1.0, 2.0, -4.0]])
        >>> result = Explanation(pieces, pieces, method="by_hand")
        >>> result.grouped(torch.tensor([0, 0, 1]), ["unreal", "city"]).top()
        [('city', -4.0), ('unreal', 3.0)]
        """
        return grouped(self, feature_mask, feature_names)

    def group_scores(self) -> Tensor:
        """Return one number for each group of the ``feature_mask`` by which it was explained.

        Without a mask each feature is alone, or, as regions of XRAI and windows of all channels,
        with those that are one player with it.

        Returns
        -------
        Tensor, shape [batch, n_groups], or [batch, n_outputs, n_groups]
            In the units of the attributions. A column for each number that the mask has, in
            ascending order, 0 where an example has no such group.
        """
        return group_scores(self)

    def __repr__(self) -> str:
        """Say in one line what this is."""
        return text.one_line(self)

    def _repr_html_(self) -> str:
        """Show in a notebook what was done and what came out, texts with coloured words."""
        return str(above("plot").summary_html(self))

    def __str__(self) -> str:
        """Say in a few lines what was done and what came out."""
        return text.summary(self)

    def plot(self, kind: str | None = None, **options: Any) -> Any:
        """Draw one example with `pyxai.plot` and return the matplotlib Axes.

        Parameters
        ----------
        kind : str, optional
            Name of a function of `pyxai.plot`; default: ``"heatmap"`` for features in two or more
            dimensions, ``"bar"`` otherwise. ``"text"`` is for words.
        **options
            Passed to that function.

        Returns
        -------
        matplotlib Axes

        Raises
        ------
        ValueError
            If ``kind`` is not the name of a plot.
        """
        plot = above("plot")
        if kind is None:
            several = isinstance(self.attributions, tuple)
            kind = "bar" if several or self._tuple(self.attributions)[0].dim() < 3 else "heatmap"
        kinds = [name for name in plot.__all__ if name.islower()]  # functions, no class
        if kind not in kinds:
            known = ", ".join(map(repr, kinds))
            raise ValueError(f"kind must be one of {known}, got {kind!r}")
        return getattr(plot, kind)(self, **options)

    def save(self, path: str | Path) -> Path:
        """Write to one safetensors file whose header holds the rest as JSON; no pickle.

        Parameters
        ----------
        path : str or Path
            File name, of a regular file or a new one. The file is written under another name and
            then renamed, so that neither a crash nor another writer leaves a half of it.

        Returns
        -------
        Path
            Where the file is.

        Raises
        ------
        FileNotFoundError
            If the folder does not exist.
        ValueError
            If ``path`` is a folder, a pipe or a device.
        TypeError
            If a tensor is sparse, quantised or without memory, or an array is not of numbers; the
            message names the option.
        OSError
            If the disk is full; a file that was there stays as it was.

        Notes
        -----
        Arrays come back as tensors. Options that JSON cannot hold, such as functions, are kept as
        their text only.
        """
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        if self.display_values is None:  # files without them are as they were before there were any
            del fields["display_values"]
        if self.path == DIRECT:
            del fields["path"]
        if not self.of_layer:
            del fields["of_layer"]
        return file.save(fields, Path(path))

    @classmethod
    def load(cls, path: str | Path, device: torch.device | str = "cpu") -> Explanation:
        """Read what `save` wrote.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the file was not written by `save`, or is not as it was written.
        """

        def build(fields: dict[str, Any]) -> Explanation:
            own = set(cls.__dataclass_fields__)
            unknown = (fields.keys() - own) | (own - cls._later - fields.keys())
            if unknown:
                raise ValueError(f"its fields must be those of {cls.__name__}, got {unknown}")
            return cls(**fields)

        return file.load(Path(path), torch.device(device), build)

    def to_numpy(self) -> Any:
        """Return the attributions as an array, or a tuple of arrays; 16-bit floats as float32."""
        arrays = tuple(_array(part) for part in self._tuple(self.attributions))
        return arrays if isinstance(self.attributions, tuple) else arrays[0]

    def to_pandas(self, what: str = "attributions") -> Any:
        """Return a ``pandas.DataFrame`` with a row for each example.

        Parameters
        ----------
        what : str
            ``"attributions"`` or ``"error"``, with a column for each player, so that rows add up
            where the method promises it; ``"inputs"`` or ``"display_values"``, with a column for
            each feature.

        Returns
        -------
        pandas.DataFrame
            Columns by the names of the features, those of all inputs side by side; where there are
            none, or others in each example, by their positions. The index is called ``example``;
            where all outputs were explained, rows are indexed by ``example`` and ``output``.
            ``attrs`` has method and target.

        Raises
        ------
        ImportError
            If pandas is not installed.
        ValueError
            If ``what`` is none of those, or the explanation has no errors or display values.
        """
        return table.to_pandas(self, what)

    def to_shap(self) -> Any:
        """Return a ``shap.Explanation`` for the plots of that package.

        Its base value is ``outputs - sum(attributions) + convergence_delta``, the output at the
        baseline, where this is known.

        Raises
        ------
        ImportError
            If shap is not installed.
        ValueError
            If the explanation has several input tensors, which shap cannot hold.
        """
        with optional("to_shap needs", "shap"):
            shap = importlib.import_module("shap")
        if isinstance(self.attributions, tuple) or isinstance(self.inputs, tuple):
            raise ValueError(
                "attributions must be a single tensor for shap, got "
                f"{describe(self.attributions)}; build one result for each input"
            )
        several = is_of_all_outputs(self)
        balances = [balance_of(each) for each in of_each_output(self)]
        bases = [balance.base for balance in balances if balance is not None]
        base = None
        if len(bases) == len(balances):
            base = _array(torch.stack(bases, 1) if several else bases[0])
        values = _array(self.attributions.movedim(1, -1) if several else self.attributions)
        shown = self.display_values
        if shown is not None:
            shown = np.array(shown, dtype=object).reshape(self.inputs.shape)
        return shap.Explanation(
            values=values,  # shap's order
            base_values=base,
            data=None if self.of_layer else _array(self.inputs),
            display_data=shown,
            feature_names=names_of_row(self),
        )

    def to_xarray(self) -> Any:
        """Return an ``xarray.Dataset`` with dimensions ``example`` and ``dim_1``, ``dim_2``, ...

        A single dimension of features is called ``feature`` and carries the feature names. With
        several inputs the variables are numbered: ``attributions_0``, ``inputs_0``, ...

        Raises
        ------
        ImportError
            If xarray is not installed.
        """
        with optional("to_xarray needs", "xarray"):
            xarray = importlib.import_module("xarray")
        several = isinstance(self.attributions, tuple)
        variables: dict[str, Any] = {}
        shapes = [part.shape for part in self._tuple(self.attributions)]
        apart = shapes != [part.shape for part in self._tuple(self.inputs)]  # a layer's
        for name in ("attributions", "inputs", "error"):
            value = getattr(self, name)
            prefix = "input_" if apart and name == "inputs" else ""
            for number, part in enumerate(self._tuple(value) if value is not None else ()):
                label = f"_{number}" if isinstance(value, tuple) else ""
                dims = [f"{prefix}dim_{axis}{label}" for axis in range(1, part.dim())]
                if part.dim() == 2:
                    dims = [f"{prefix}feature{label}"]
                variables[f"{name}{label}"] = (["example", *dims], _array(part))
        for name in ("convergence_delta", "outputs"):
            value = getattr(self, name)
            if value is not None and value.shape == (len(self),):
                variables[name] = (["example"], _array(value))
        single = not several and self._tuple(self.attributions)[0].dim() == 2
        names = names_of_row(self) if single else None
        return xarray.Dataset(
            variables,
            coords={} if names is None else {"feature": names},
            attrs={"method": self.method, "target": str(self.target)},
        )


def _array(tensor: Tensor) -> np.ndarray[Any, Any]:
    tensor = tensor.detach().cpu()
    if tensor.dtype in (torch.bfloat16, torch.float16):
        tensor = tensor.float()  # NumPy has no bfloat16
    array: np.ndarray[Any, Any] = tensor.numpy()
    return array


def _move(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, (tuple, list)):
        return type(value)(_move(part, device) for part in value)
    if isinstance(value, dict):
        return {key: _move(part, device) for key, part in value.items()}
    if isinstance(value, Shared):
        return Shared(_move(value.value, device))
    return value
