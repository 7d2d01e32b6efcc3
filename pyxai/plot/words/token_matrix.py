"""What each token that a language model wrote owes to each token that it read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pyxai._checks import check_bool, check_number, describe
from pyxai.explanation import Explanation
from pyxai.explanation.balance import is_of_all_outputs, of_each_output, player_values
from pyxai.explanation.groups import groups_of, quantity
from pyxai.explanation.names import as_names
from pyxai.explanation.numbers import number
from pyxai.explanation.text import group_label
from pyxai.plot.axes import as_array, new_axes, one_example, plain, size_in_points
from pyxai.plot.colours import ink

__all__ = ["token_matrix"]

_WRITTEN = 400  # so many cells get their numbers, where these have room
_ROOM = (27.0, 11.0)  # of a number, in points


def token_matrix(
    explanation: Any,
    *,
    input_tokens: Sequence[str] | None = None,
    output_tokens: Sequence[str] | None = None,
    example: int = 0,
    limit: float | None = None,
    colorbar: bool = True,
    title: str | None = None,
    ax: Any = None,
) -> Any:
    """Draw attributions of output tokens to input tokens as a matrix of signed colours.

    Parameters
    ----------
    explanation : Explanation, Tensor or array, shape [output_tokens, input_tokens]
        A row for each token that was written, in its order, a column for each token or unit that
        was read. NaN marks what a token could not see; such cells are hatched. An explanation has
        its rows as examples, or as the outputs of one example.
    input_tokens, output_tokens : sequence of str, optional
        Names of columns and rows; default: the ``feature_names`` of the explanation, and numbers.
    example : int
        Which example of an explanation of all outputs.
    limit : float, optional
        Attribution at the ends of the colour scale, in output units; default: the largest absolute
        one.
    colorbar : bool
        Whether to draw the scale.
    title : str, optional
        Default: the method's name.
    ax : matplotlib Axes, optional
        Where to draw; default: a new figure.

    Returns
    -------
    matplotlib Axes
        Cells have their numbers where there is room.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If names do not fit the matrix, or ``limit`` or ``example`` is out of range.
    TypeError
        If ``explanation`` is neither an explanation nor a tensor nor an array.
    """
    check_bool("colorbar", colorbar)
    if limit is not None and not check_number("limit", limit) > 0:
        raise ValueError(f"limit must be positive, got {limit}")
    matrix, columns, label, method = _read(explanation, example)
    if not matrix.size:
        raise ValueError(
            f"explanation must have at least one row and column, got shape {list(matrix.shape)}"
        )
    columns = _names("input_tokens", input_tokens, columns, matrix.shape[1])
    numbers = [str(row) for row in range(len(matrix))]
    rows = _names("output_tokens", output_tokens, numbers, len(matrix))
    ax = new_axes(ax, (2.6 + 0.42 * len(columns), 1.8 + 0.32 * len(rows)))
    end = limit or float(np.nanmax(np.abs(matrix), initial=0.0)) or 1.0
    image = ax.imshow(matrix, cmap="RdBu_r", vmin=-end, vmax=end, aspect="auto")
    # Under the matrix, seen where it has nothing.
    ax.patch.set(hatch="////", edgecolor="0.7", facecolor="1.0")
    ax.set_xticks(range(len(columns)), columns, rotation=45, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(len(rows)), rows)
    ax.set_xlabel("read")
    ax.set_ylabel("written")
    ax.tick_params(length=0)
    if colorbar:
        ax.figure.colorbar(image, ax=ax, label=label, fraction=0.04, pad=0.02)
    ax.set_title(method.replace("_", " ") if title is None else title)
    across, down = size_in_points(ax)
    width, height = across / len(columns), down / len(rows)
    if width < _ROOM[1] + 3:
        ax.tick_params("x", labelrotation=90, labelsize=min(8.0, 0.9 * width))
    if matrix.size <= _WRITTEN and width >= _ROOM[0] and height >= _ROOM[1]:
        _write(ax, matrix, image)
    return ax


def _write(ax: Any, matrix: Any, image: Any) -> None:
    """Write the numbers into the cells."""
    zero = 4 * np.finfo(np.float64).eps * image.get_clim()[1]
    for (row, column), value in np.ndenumerate(matrix):
        if np.isfinite(value):
            text, colour = number(value, "+.2g", zero), ink(image.to_rgba(value))
            ax.text(column, row, text, ha="center", va="center", fontsize=7.5, color=colour)


def _read(explanation: Any, example: int) -> tuple[Any, list[str] | None, str, str]:
    """Return matrix, names of its columns, what its numbers are, and the method."""
    if not isinstance(explanation, Explanation):
        matrix = as_array(explanation, "explanation")
        if matrix.ndim != 2:
            raise ValueError(
                "explanation must have shape [output_tokens, input_tokens], "
                f"got {describe(explanation)}"
            )
        return matrix, None, "attribution", ""
    rows = [explanation]
    if is_of_all_outputs(explanation):
        rows = of_each_output(one_example(explanation, example))
    matrix = np.concatenate([player_values(row).numpy() for row in rows])
    groups, columns = groups_of(rows[0]), None
    if rows[0].feature_names is not None:
        columns = [group_label(rows[0], groups, index) for index in range(matrix.shape[1])]
    return matrix, columns, quantity(explanation), explanation.method


def _names(argument: str, given: Any, own: list[str] | None, count: int) -> list[str]:
    """Return the names of rows or columns, as they are drawn."""
    names: list[Any] = as_names(argument, given) if given is not None else own or []
    names = names or [str(place) for place in range(count)]
    if len(names) != count:
        raise ValueError(f"{argument} must be {count} names, got {len(names)}")
    # A token of white space only is shown as it would be typed.
    return [plain(name, 24) if name.strip() else repr(name)[1:-1] for name in names]
