"""The pictures of the benchmark's page, out of the JSON: times of peers, and error against time."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from races.tables import Row, names, number, ratio

COLOURS = {
    "captum": "#3b6fb6",
    "shapiq": "#8a5fbf",  # before the name that it begins with
    "shap": "#d1495b",
    "zennit": "#2a9d8f",
    "PAIR saliency": "#c08a2b",
    "pyxai": "#222222",
}
OTHER = "#888888"


def colour(name: str) -> str:
    return next((found for tool, found in COLOURS.items() if name.startswith(tool)), OTHER)


def write(record: dict[str, Any], folder: Path) -> list[Path]:
    """Write the pictures and return where they are."""
    import matplotlib as mpl

    mpl.use("Agg")
    made = {"benchmark-times.png": times, "benchmark-errors.png": errors}
    paths = []
    for file, draw in made.items():
        figure = draw(record)
        if figure is None:
            continue
        paths.append(folder / file)
        figure.savefig(paths[-1], dpi=110, bbox_inches="tight", metadata={"Software": None})
    return paths


def times(record: dict[str, Any]) -> Any:
    """Draw what each peer takes in multiples of ours, a panel for each net of several methods."""
    from matplotlib.figure import Figure

    single = record["environment"]["threads"] == 1
    nets: dict[str, list[tuple[str, list[tuple[str, float]]]]] = {}
    for row in record["rows"]:
        found = peers_of(row, single)
        if found:
            method, net = row["benchmark"].split(" / ")
            nets.setdefault(net, []).append((method, found))
    watched = [
        (f"{method}, {net}", found)
        for net, rows in nets.items()
        if len(rows) == 1
        for method, found in rows
    ]
    panels = {net: rows for net, rows in nets.items() if len(rows) > 1}
    panels |= {"single methods on other nets": watched} if watched else {}
    if not panels:
        return None
    heights = [len(rows) + 1 for rows in panels.values()]
    figure = Figure(figsize=(9, 0.27 * sum(heights) + 0.75 * len(panels)), layout="constrained")
    axes = figure.subplots(len(panels), 1, height_ratios=heights, squeeze=False, sharex=True)[:, 0]
    for axis, (net, rows) in zip(axes, panels.items(), strict=True):
        panel(axis, net, rows)
    axes[-1].set_xlabel("time of the peer in multiples of ours; right of 1 ours is faster")
    plain_numbers(axes[-1].xaxis)
    legend(figure, [name for rows in panels.values() for _, found in rows for name, _ in found])
    return figure


def plain_numbers(axis: Any) -> None:
    """Label a logarithmic axis at 1, 2 and 5 of each decade, at 1 where it has two or more."""
    from matplotlib.ticker import LogLocator, NullFormatter

    low, high = axis.get_data_interval()
    decades = math.log10(high / low) if 0 < low < high else 0.0
    subs = (1.0, 2.0, 5.0) if decades < 2.0 else (1.0,)  # more would lie over one another
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_minor_formatter(NullFormatter())


def peers_of(row: Row, single: bool) -> list[tuple[str, float]]:
    """Return peers, without floors, and what they take."""
    if "curves" in row or "case" in row["failed"]:
        return []
    peers = [name for name in names(row) if name not in row["floors"] and name not in row["failed"]]
    found = ((name, ratio(row, name, single)) for name in peers)
    return [(name, value) for name, value in found if value]


def panel(axis: Any, net: str, rows: list[tuple[str, list[tuple[str, float]]]]) -> None:
    axis.axvline(1, color="#222222", linewidth=1)
    for place, (_, found) in enumerate(rows):
        for name, value in found:
            default = "defaults" in name
            face = "none" if default else colour(name)
            axis.plot(value, place, "o", markersize=6, color=colour(name), markerfacecolor=face)
        name, value = max(found, key=lambda each: each[1])
        axis.annotate(
            number(value),
            (value, place),
            (6, 0),
            textcoords="offset points",
            va="center",
            fontsize=7,
            color="#555555",
        )
    axis.set(yticks=range(len(rows)), xscale="log", title=net)
    axis.set_yticklabels([method for method, _ in rows], fontsize=8)
    axis.set_ylim(len(rows) - 0.4, -0.6)
    axis.grid(axis="x", alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    axis.title.set(fontsize=10, fontweight="bold", horizontalalignment="left", x=0.0)


def legend(figure: Any, shown: list[str]) -> None:
    from matplotlib.lines import Line2D

    tools = [tool for tool in COLOURS if any(name.startswith(tool) for name in shown)]
    marks = [Line2D([], [], marker="o", linestyle="", color=COLOURS[each]) for each in tools]
    if any(colour(name) == OTHER for name in shown):
        marks.append(Line2D([], [], marker="o", linestyle="", color=OTHER))
        tools.append("a loop")
    marks.append(Line2D([], [], marker="o", linestyle="", color=OTHER, markerfacecolor="none"))
    figure.legend(marks, [*tools, "at its defaults"], loc="outside upper center", ncols=7)


def errors(record: dict[str, Any]) -> Any:
    """Draw the error of each sampler against its time, a panel for each case."""
    from matplotlib.figure import Figure

    rows = [row for row in record["rows"] if row.get("curves")]
    if not rows:
        return None
    across = min(3, len(rows))
    down = -(-len(rows) // across)
    figure = Figure(figsize=(3.4 * across, 3.0 * down), layout="constrained")
    axes = figure.subplots(down, across, squeeze=False).flatten()
    for axis, row in zip(axes, rows, strict=False):
        for name, found in row["curves"].items():
            ms, error = ([each[key] for each in found["points"]] for key in ("ms", "error"))
            axis.plot(ms, error, "o-", color=colour(name), label=name, markersize=4)
        method, net = row["benchmark"].removeprefix("error against time, ").split(" / ")
        axis.set(xscale="log", yscale="log", title=f"{method}\n{net}", xlabel="processor time, ms")
        axis.title.set_fontsize(9)
        plain_numbers(axis.xaxis)
        plain_numbers(axis.yaxis)
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    for axis in axes[len(rows) :]:
        axis.set_axis_off()
    axes[0].set_ylabel("relative root mean square error")
    lines = {line.get_label(): line for axis in axes for line in axis.get_lines()}
    figure.legend(lines.values(), lines.keys(), loc="outside lower center", ncols=5)
    return figure
