"""The demonstration's pictures; each function makes one matplotlib figure."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import torch

from pyxai import plot
from pyxai.demo.families import FAMILIES, members
from pyxai.demo.measure import Measured, Result
from pyxai.demo.words import title

__all__ = [
    "BLUE",
    "OCHRE",
    "agreement",
    "mistake",
    "overview",
    "removal",
    "shares",
    "subplots",
    "waterfall",
]

BLUE, OCHRE = "#2b7bba", "#c98a1b"  # methods, and controls that ask no model


def subplots(*args: Any, **options: Any) -> Any:
    """Return a figure and its axes, as matplotlib's function of this name does, laid out to fit."""
    return importlib.import_module("matplotlib.pyplot").subplots(
        *args, layout="constrained", **options
    )


def overview(
    measured: Measured, rows: Sequence[int], results: Sequence[Result], *, narrow: bool
) -> Any:
    """Draw the input and one heatmap per method for each example.

    Parameters
    ----------
    measured : Measured
        Of images.
    rows : sequence of int
        Which examples.
    results : sequence of Result
        Which methods.
    narrow : bool
        Whether each example is a column, for a phone with up to five of them, rather than a line.

    Returns
    -------
    matplotlib Figure
    """
    cells = [[_inked(measured.task.inputs[row, 0]) for row in rows]]
    cells += [[_coloured(_map_of(result, row)) for row in rows] for result in results]
    says = [f"“{measured.task.class_names[int(measured.target[row])]}”" for row in rows]
    methods = ["The digit", *(title(result.name) for result in results)]
    methods = [name.replace(" ", "\n", 1) if len(name) > 15 else name for name in methods]
    if narrow:
        size, above, beside = (1.35 + 0.47 * len(rows), 0.25 + 0.5 * len(cells)), says, methods
    else:
        cells = [list(line) for line in zip(*cells, strict=True)]
        size, above, beside = (0.5 + 0.98 * len(methods), 0.45 + 0.98 * len(rows)), methods, says
    # One image for all: as many axes would take a second to lay out.
    grid = torch.cat([torch.cat([_framed(cell) for cell in line], 1) for line in cells])
    height, width = (size + 2 for size in measured.task.inputs.shape[2:])
    figure, ax = subplots(figsize=size)
    ax.imshow(grid.numpy(), interpolation="nearest")
    ax.set_xticks([width * (place + 0.5) - 0.5 for place in range(len(above))], above)
    ax.set_yticks([height * (place + 0.5) - 0.5 for place in range(len(beside))], beside)
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_facecolor("none")
    return figure


def _map_of(result: Result, row: int) -> torch.Tensor:
    """Return the attributions of an image by a method, [height, width]."""
    attributions = result.explanation.attributions
    assert isinstance(attributions, torch.Tensor)
    return attributions[row].detach().double().sum(0)


def _inked(image: torch.Tensor) -> torch.Tensor:
    """Return the colours of a digit, ink in black, [height, width, 4]."""
    return torch.cat(
        [(1 - image)[..., None].expand(*image.shape, 3), torch.ones(*image.shape, 1)], 2
    )


def _coloured(values: torch.Tensor) -> torch.Tensor:
    """Return the colours of a map on its own scale, [height, width, 4]."""
    limit = float(values.abs().max()) or 1.0
    colours = importlib.import_module("matplotlib").colormaps["RdBu_r"]
    found: torch.Tensor = torch.from_numpy(colours((values / limit + 1).div(2).numpy())).float()
    return found


def _framed(colours: torch.Tensor) -> torch.Tensor:
    """Return colours with a transparent border of one pixel."""
    return torch.nn.functional.pad(colours, (0, 0, 1, 1, 1, 1))


def mistake(image: Any, maps: Sequence[tuple[str, Any]], columns: int) -> Any:
    """Draw an image and maps of it that share one colour scale.

    Parameters
    ----------
    image : Tensor, shape [height, width]
        What the model saw.
    maps : sequence of (str, Tensor)
        Titles and attributions, each of shape [height, width].
    columns : int
        How many pictures stand side by side.

    Returns
    -------
    matplotlib Figure
    """
    lines = -(-(len(maps) + 1) // columns)
    figure, axes = subplots(lines, columns, figsize=(1.75 * columns, 2.0 * lines), squeeze=False)
    first, *others = axes.flat
    first.imshow(image.numpy(), cmap="gray_r", vmin=0, vmax=1)
    first.set_title("the digit")
    limit = max(float(values.abs().max()) for _, values in maps)
    for ax, (name, values) in zip(others, maps, strict=True):
        plot.heatmap(values, overlay=False, limit=limit, title=name, colorbar=False, ax=ax)
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    return figure


def waterfall(result: Result, row: int, *, narrow: bool = False) -> Any:
    """Draw how the leading features of one row lead from the base value to its output.

    Parameters
    ----------
    result : Result
        Of a method whose attributions add up.
    row : int
        Which example.
    narrow : bool
        Whether it is for a phone.

    Returns
    -------
    matplotlib Figure
    """
    figure, ax = subplots(figsize=(3.7, 4.4) if narrow else (7.6, 4.0))
    plot.waterfall(result.explanation, example=row, top=7, title="", ax=ax)
    if narrow:
        left, right = ax.get_xlim()  # room for the numbers beside the bars
        ax.set_xlim(left - 0.2 * (right - left), right + 0.2 * (right - left))
        ax.tick_params(axis="y", labelsize=8)
    return figure


def shares(measured: Measured, top: int = 8) -> Any:
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
        A dot for each method, a line for each feature: its share of the absolute attribution.
    """
    found = shares_of(measured.results)
    middle = found.median(0).values
    order = middle.argsort(descending=True)[:top].flip(0)
    names = measured.task.feature_names or tuple(str(i) for i in range(found.shape[1]))
    figure, ax = subplots(figsize=(3.7, 0.7 + 0.3 * len(order)))
    for place, feature in enumerate(order.tolist()):
        dots = 100 * found[:, feature]
        ax.plot(dots, [place] * len(dots), "o", color=BLUE, alpha=0.3, markeredgewidth=0)
        ax.plot(100 * float(middle[feature]), place, "|", color=OCHRE, ms=13, mew=2.5)
    ax.set_yticks(range(len(order)), [names[feature] for feature in order.tolist()])
    ax.set(xlim=(0, None), xlabel="share, in percent")
    ax.grid(axis="x", alpha=0.25)
    return figure


def shares_of(results: Sequence[Result]) -> torch.Tensor:
    """Return each feature's share of all absolute attribution, [n_methods, n_features]."""
    strength = torch.stack([result.flat.abs().mean(0) for result in results])
    return strength / strength.sum(1, keepdim=True).clamp(min=1e-12)


def removal(measured: Measured) -> Any:
    """Draw how far the logit falls when a method's leading features are removed.

    Parameters
    ----------
    measured : Measured
        With the removal test.

    Returns
    -------
    matplotlib Figure
        One line per method, with the two controls that ask no model; a hollow dot where the
        method was asked another question.
    """
    entries = [(title(r.name), r.drops, BLUE, r.single) for r in measured.results]
    entries.append(("Largest input first", measured.plain_drops, OCHRE, True))
    entries.append(("Random order", measured.random_drops, OCHRE, True))
    entries.sort(key=lambda entry: float(entry[1][:, 1:].mean()))
    figure, ax = subplots(figsize=(3.7, 0.7 + 0.2 * len(entries)))
    for place, (_, drops, colour, same) in enumerate(entries):
        means = drops[:, 1:].mean(1)
        centre, spread = float(means.mean()), float(means.std()) / len(means) ** 0.5
        ax.plot([0, centre], [place, place], color=colour, alpha=0.35, linewidth=2)
        fill = colour if same else ax.get_facecolor()
        ax.errorbar(
            centre, place, xerr=2 * spread, fmt="o", ms=5, mfc=fill, color=colour, capsize=2
        )
    ax.set_yticks(range(len(entries)), [name for name, *_ in entries], fontsize=8.5)
    ax.set_ylim(-0.7, len(entries) - 0.3)
    ax.axvline(0, linewidth=0.8, color="0.5")
    ax.grid(axis="x", alpha=0.25)
    ax.set_xlabel("mean fall of the explained logit")
    return figure


def agreement(measured: Measured) -> Any:
    """Draw the mean rank correlation of the methods of each two families.

    Parameters
    ----------
    measured : Measured
        With at least two methods.

    Returns
    -------
    matplotlib Figure
        On the diagonal that of different methods of one family, empty where it has one only.
    """
    names, grid = agreement_of_families(measured)
    figure, ax = subplots(figsize=(3.7, 3.3))
    ax.imshow(grid.numpy(), cmap="RdBu_r", vmin=-1.15, vmax=1.15, aspect="auto")
    for row, line in enumerate((100 * grid).tolist()):
        for column, value in enumerate(line):
            if value == value:
                ink = "white" if abs(value) > 75 else "#20222a"
                ax.text(column, row, f"{value:.0f}", ha="center", va="center", color=ink)
    ax.set_yticks(range(len(names)), names)
    ax.xaxis.tick_top()
    ax.set_xticks(
        range(len(names)), names, rotation=40, ha="left", va="bottom", rotation_mode="anchor"
    )
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return figure


def agreement_of_families(measured: Measured) -> tuple[list[str], torch.Tensor]:
    """Return families and the mean rank correlation of their methods, NaN above the diagonal."""
    matrix = measured.agreement
    place = {result.name: number for number, result in enumerate(measured.results)}
    found = members(measured)
    groups = [[place[result.name] for result in results] for results in found.values()]
    grid = torch.full((len(groups), len(groups)), torch.nan, dtype=torch.float64)
    for row, ours in enumerate(groups):
        for column, theirs in enumerate(groups[: row + 1]):
            pairs = [matrix[one, other] for one in ours for other in theirs if one != other]
            if pairs:
                grid[row, column] = torch.stack(pairs).mean()
    return [FAMILIES[f].title if f in FAMILIES else f for f in found], grid
