"""The worst and the most typical examples of an audit, explained by all methods side by side."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pyxai.report import render
from pyxai.report.audit.gather import Found, words
from pyxai.report.audit.maps import features
from pyxai.report.document import Report, Section
from pyxai.report.gallery import as_plane, gallery, input_card, map_card
from pyxai.report.numbers import format_number

__all__ = ["section"]


def section(report: Report, found: Found) -> None:
    """Show examples: those that miss completeness by most, are measured worst, are typical."""
    kinds = _kinds(found)
    numbers = sorted({number for _, _, ranked in kinds for _, number in ranked})
    if not numbers:
        return
    part = report.section(
        "The worst and the most typical",
        "The same examples, explained by all methods side by side.",
    )
    maps = {method: found.audit.maps(method, numbers) for method in found.answered}
    if any(isinstance(each, Tensor) and as_plane(each[0]) is not None for each in maps.values()):
        part.text(
            "Red speaks for the explained output, blue against it. Each map has its own scale: "
            "compare patterns, not strengths. What has no sign, such as saliency, is red alone."
        )
    for title, said, ranked in kinds:
        inside = part.heading(title)
        for rank, (value, number) in enumerate(ranked):
            if rank == 1:
                inside = part.fold(f"The next {len(ranked) - 1}")
            place = numbers.index(number)
            own = {method: _row(each, place) for method, each in maps.items()}
            _example(inside, found, number, f"{said} {format_number(value)}", own)


def _kinds(found: Found) -> list[tuple[str, str, list[tuple[float, int]]]]:
    """Return title, words before the number, and examples of each kind that has some."""
    known = found.survey
    kinds = [("Farthest from adding up", "largest gap", known.incomplete)]
    if found.leading is not None:
        name = words(found.leading)
        kinds.append((f"Worst {name}", f"mean {name}", known.worst))
    kinds.append(("Most typical", "distance from the medians", known.typical))
    return [kind for kind in kinds if kind[2]]


def _example(
    part: Section,
    found: Found,
    number: int,
    said: str,
    maps: dict[str, tuple[Tensor, ...]],
) -> None:
    rows = _rows(found, number)
    facts = next(iter(rows.values()))
    named = {"target": "explained output", "prediction": "prediction", "label": "label"}
    told = {key: found.data.class_(facts[key]) for key in named}
    part.html(render.block("subheading", title=f"Example {number:,}"))
    part.text("; ".join([*(f"{named[key]} {name}" for key, name in told.items() if name), said]))
    inputs = found.data.inputs(number)
    planes = {m: as_plane(own[0]) for m, own in maps.items() if len(own) == 1}
    drawn = {method: plane for method, plane in planes.items() if plane is not None}
    cards = []
    if drawn and inputs is not None and len(inputs) == 1:
        shown = input_card(inputs[0], "input")
        cards += [] if shown is None else [shown]
    for method, plane in drawn.items():
        cards.append(map_card(plane, words(method), _numbers(found, rows[method])))
    if cards:
        part.html(gallery(cards))
    _tables(part, found, {m: own for m, own in maps.items() if m not in drawn}, inputs)


def _tables(
    part: Section,
    found: Found,
    maps: dict[str, tuple[Tensor, ...]],
    inputs: tuple[Tensor, ...] | None,
) -> None:
    """Append the leading features of maps that are no pictures; those of layers each by itself."""
    flat = {method: torch.cat([each.flatten() for each in own]) for method, own in maps.items()}
    of_layer = [method for method in flat if found.audit.about(method) == "layer"]
    of_inputs = [method for method in flat if method not in of_layer]
    one = None if inputs is None else torch.cat([each.flatten().double() for each in inputs])
    alike = len({len(flat[method]) for method in of_inputs}) == 1
    if one is not None and (not alike or len(one) != len(flat[of_inputs[0]])):
        one = None
    for group in [of_inputs] if alike else [[method] for method in of_inputs]:
        titles = [words(method) for method in group]
        features(part, found.data, titles, [flat[method] for method in group], one)
    for method in of_layer:
        features(part, found.data.of_units, [words(method)], [flat[method]])


def _numbers(found: Found, row: dict[str, Any]) -> tuple[str, ...]:
    """Return what was measured of an explanation, a line each."""
    if row["error"] is not None:
        return (str(row["error"]),)
    columns = [name for name in found.spreads if name != "output" and row[name] is not None]
    return tuple(f"{words(name)} {format_number(row[name])}" for name in columns)


def _rows(found: Found, number: int) -> dict[str, dict[str, Any]]:
    """Return the rows of an example, by method."""
    size, n_methods = int(found.audit.plan["shard_size"]), len(found.audit.methods)
    table = found.audit.folder.read_rows(number // size)
    mine = table.slice(number % size * n_methods, n_methods).to_pylist()
    return {row["method"]: row for row in mine}


def _row(maps: Any, place: int) -> tuple[Tensor, ...]:
    parts = maps if isinstance(maps, tuple) else (maps,)
    return tuple(part[place] for part in parts)
