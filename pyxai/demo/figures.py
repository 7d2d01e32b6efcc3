"""The demonstration's pictures; each function makes one matplotlib figure."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import torch

from pyxai import plot
from pyxai.demo.measure import Measured
from pyxai.demo.words import title

__all__ = ["agreement", "bars", "mistake", "overview", "removal", "table_overview"]


def _subplots(*args: Any, **options: Any) -> Any:
    return importlib.import_module("matplotlib.pyplot").subplots(
        *args, layout="constrained", **options
    )


def overview(measured: Measured, rows: Sequence[int]) -> Any:
    """Draw one column per example: the input on top, one heatmap per method below.

    Parameters
    ----------
    measured : Measured
        Of images.
    rows : sequence of int
        Which examples.

    Returns
    -------
    matplotlib Figure
    """
    results = measured.results
    figure, axes = _subplots(
        len(results) + 1,
        len(rows),
        squeeze=False,
        figsize=(1.75 + 0.88 * len(rows), 0.88 * (len(results) + 1) + 0.2),
    )
    names = measured.task.class_names
    for column, row in enumerate(rows):
        ax = axes[0][column]
        ax.imshow(measured.task.inputs[row, 0].numpy(), cmap="gray_r", vmin=0, vmax=1)
        ax.set_title(f"seen as {names[int(measured.target[row])]}")
        for line, result in enumerate(results, 1):
            plot.heatmap(
                result.explanation,
                example=row,
                colorbar=False,
                overlay=False,
                title="",
                ax=axes[line][column],
            )
    for ax, name in zip(
        axes[:, 0], ["The digit", *(title(result.name) for result in results)], strict=True
    ):
        ax.set_ylabel(name, rotation=0, ha="right", va="center", labelpad=8)
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    return figure


def mistake(image: Any, maps: Sequence[tuple[str, Any]]) -> Any:
    """Draw an image and maps of it that share one colour scale.

    Parameters
    ----------
    image : Tensor, shape [height, width]
        What the model saw.
    maps : sequence of (str, Tensor)
        Titles and attributions, each of shape [height, width].

    Returns
    -------
    matplotlib Figure
    """
    figure, axes = _subplots(1, len(maps) + 1, figsize=(2.1 * (len(maps) + 1), 2.5))
    axes[0].imshow(image.numpy(), cmap="gray_r", vmin=0, vmax=1)
    axes[0].set_title("the digit")
    limit = max(float(values.abs().max()) for _, values in maps)
    for ax, (name, values) in zip(axes[1:], maps, strict=True):
        plot.heatmap(values, overlay=False, limit=limit, title=name, colorbar=ax is axes[-1], ax=ax)
    for ax in axes:
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    return figure


def bars(measured: Measured, method: str, rows: Sequence[int], titles: Sequence[str]) -> Any:
    """Draw the leading features of some examples as bars, side by side.

    Parameters
    ----------
    measured : Measured
        Of table rows.
    method : str
        Whose attributions.
    rows : sequence of int
        Which examples.
    titles : sequence of str
        One for each.

    Returns
    -------
    matplotlib Figure
    """
    figure, axes = _subplots(1, len(rows), figsize=(5.4 * len(rows), 3.6), squeeze=False)
    for ax, row, name in zip(axes[0], rows, titles, strict=True):
        plot.bar(measured[method].explanation, example=row, top=8, title=name, ax=ax)
        ax.set_xlabel("attribution, in logits")
    return figure


def table_overview(measured: Measured, top: int = 8) -> Any:
    """Draw how strongly each method weighs each leading feature, over all rows.

    Parameters
    ----------
    measured : Measured
        Of table rows.
    top : int
        How many features.

    Returns
    -------
    matplotlib Figure
        Share of the mean absolute attribution, one row per method, one column per feature.
    """
    shares = torch.stack([result.flat.abs().mean(0) for result in measured.results])
    shares = shares / shares.sum(1, keepdim=True).clamp(min=1e-12)
    order = shares.mean(0).argsort(descending=True)[:top]
    names = measured.task.feature_names or tuple(str(i) for i in range(shares.shape[1]))
    figure, ax = _subplots(figsize=(2.2 + 0.75 * top, 1.6 + 0.27 * len(shares)))
    grid = 100 * shares[:, order]
    ax.imshow(grid.numpy(), cmap="Blues", vmin=0, vmax=float(grid.max()) * 1.15, aspect="auto")
    _numbers(ax, grid, "{:.0f} %", dark_above=0.6 * float(grid.max()))
    ax.set_yticks(range(len(shares)), [title(result.name) for result in measured.results])
    _top_ticks(ax, [names[index] for index in order.tolist()])
    return figure


def removal(measured: Measured) -> Any:
    """Draw how far the logit falls when a method's leading features are removed.

    Parameters
    ----------
    measured : Measured
        With the removal test.

    Returns
    -------
    matplotlib Figure
        One line of points per method, with the two controls that ask no model.
    """
    entries = [(title(result.name), result.drops, "#2b7bba") for result in measured.results]
    entries.append(("Largest input first", measured.plain_drops, "#c98a1b"))
    entries.append(("Random order", measured.random_drops, "#c98a1b"))
    entries.sort(key=lambda entry: float(entry[1][:, 1:].mean()))
    figure, ax = _subplots(figsize=(6.4, 0.9 + 0.3 * len(entries)))
    for place, (_, drops, colour) in enumerate(entries):
        means = drops[:, 1:].mean(1)
        centre, spread = float(means.mean()), float(means.std()) / len(means) ** 0.5
        ax.plot([0, centre], [place, place], color=colour, alpha=0.35, linewidth=2)
        ax.errorbar(centre, place, xerr=2 * spread, fmt="o", color=colour, capsize=3)
    ax.set_yticks(range(len(entries)), [name for name, *_ in entries])
    ax.set_ylim(-0.7, len(entries) - 0.3)
    ax.axvline(0, linewidth=0.8, color="0.5")
    ax.grid(axis="x", alpha=0.25)
    ax.set_xlabel("mean fall of the explained logit")
    return figure


def agreement(measured: Measured) -> Any:
    """Draw the rank correlation of each two methods, once.

    Parameters
    ----------
    measured : Measured
        With at least two methods.

    Returns
    -------
    matplotlib Figure
    """
    matrix = measured.agreement
    # The other half is the same, and would take as much room in the file.
    matrix = matrix.masked_fill(torch.ones_like(matrix, dtype=torch.bool).triu(1), torch.nan)
    figure, ax = _subplots(figsize=(1.8 + 0.37 * len(matrix), 1.4 + 0.27 * len(matrix)))
    ax.imshow(matrix.numpy(), cmap="RdBu_r", vmin=-1.15, vmax=1.15, aspect="auto")
    names = [title(result.name) for result in measured.results]
    _numbers(ax, 100 * matrix, "{:.0f}", dark_above=75)
    ax.set_yticks(range(len(matrix)), names)
    _top_ticks(ax, names)
    return figure


def _top_ticks(ax: Any, names: Sequence[str]) -> None:
    """Write the columns' names slanting upwards above the grid."""
    ax.xaxis.tick_top()
    ax.set_xticks(
        range(len(names)), names, rotation=40, ha="left", va="bottom", rotation_mode="anchor"
    )
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)


def _numbers(ax: Any, grid: torch.Tensor, form: str, dark_above: float) -> None:
    """Write each cell's number in a colour that its background allows."""
    for row, line in enumerate(grid.tolist()):
        for column, value in enumerate(line):
            if value != value:
                continue
            ink = "white" if abs(value) > dark_above else "#20222a"
            text = form.format(value)
            ax.text(column, row, text, ha="center", va="center", color=ink, fontsize=7.5)
