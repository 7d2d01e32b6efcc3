"""The page of results: a table for each net, and what was lost or failed, out of the JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Row = dict[str, Any]

HEAD = """# The public benchmark

Written by `make bench` out of `{path}`; do not edit. {kind}

{machine}

Times are those of peers in multiples of ours, {clock}, medians over rounds in which all take turns:
above 1 ours is faster. A *floor* is what nothing can beat that asks the model for as much: with
equal rows, the bare model at its best batch size. Nothing is timed whose result is another one;
errors are relative to the largest value of what they are held against. Methods that draw samples
are given equal budgets and are timed whatever their error, which stands beside. Rows are those
that a call gives the model; traced graphs are not counted. Memory is what a process that does
nothing else grows by in its second call. `failed` is what a peer, or ours, answered instead.
"""

NOTES = {
    True: "This is a quick run: small batches, few steps, few rounds.",
    False: "This is the full run.",
}


def page(record: dict[str, Any], path: str) -> str:
    """Return the page as Markdown."""
    environment, rows = record["environment"], record["rows"]
    single = environment["threads"] == 1
    parts = [
        HEAD.format(
            path=f"results/{path}",
            kind=NOTES[environment["quick"]],
            machine=machine(environment, rows),
            clock="by processor time of one thread" if single else "on the wall",
        )
    ]
    lost = [f"- {text}" for row in rows for text in losses(row, single)]
    parts.append("## Where a peer takes less time\n\n" + ("\n".join(lost) or "Nowhere.") + "\n")
    watched = [f"- {verdict(row, single)}" for row in rows if row.get("watched")]
    if watched:
        parts.append("## Where a peer was ahead, or close\n\n" + "\n".join(watched) + "\n")
    nets: dict[str, list[Row]] = {}
    for row in rows:
        if "curves" not in row:
            nets.setdefault(row["benchmark"].split(" / ")[1], []).append(row)
    parts += [table(net, found, single) for net, found in nets.items()]
    parts += [curve(row) for row in rows if row.get("curves")]
    return "\n".join(parts)


def machine(environment: dict[str, Any], rows: list[Row]) -> str:
    """Return on what, when and beside how much else the rows were measured."""
    loads = sorted(row["load average"] for row in rows) or [0.0]
    commits = list(dict.fromkeys(row["commit"][:9] for row in rows))
    installed = {name: found for name, found in environment["peers"].items() if found}
    missing = [name for name in environment["peers"] if name not in installed]
    shown = ", ".join(f"{name} {found}" for name, found in installed.items())
    absent = f" Not installed: {', '.join(missing)}." if missing else ""
    beside = (
        f"load averages from {loads[0]} to {loads[-1]}"
        if loads[-1] <= environment["cores"]
        else f"**on a busy machine** (load averages from {loads[0]} to {loads[-1]}, with "
        f"{environment['cores']} cores): ratios of short calls move by some tenths"
    )
    return (
        f"{environment['cpu']}, {environment['cores']} cores, {environment['threads']} thread(s), "
        f"{environment['system']}, Python {environment['python']}, torch "
        f"{environment['packages']['torch']}, {shown}.{absent} "
        f"{environment['date'][:10]}, commit {', '.join(commits)}, {beside}."
    )


def ratio(row: Row, name: str, single: bool) -> float | None:
    """Return how many times ours a peer takes."""
    key = f"processor time, ours / {name}"
    found = row.get(key) if single else row.get("ratios", {}).get(name)
    return 1 / found if found else None


def names(row: Row) -> list[str]:
    """Return the peers and floors of a row, peers first; those that failed too."""
    floors = row.get("floors", [])
    known = [*row.get("ratios", {}), *(name for name in row["failed"] if name != "case")]
    peers = [name for name in dict.fromkeys(known) if name not in floors]
    return [*peers, *(name for name in floors if name in known)]


def losses(row: Row, single: bool) -> Iterator[str]:
    """Say which peers take less time, with what forbids more where a floor does."""
    if "curves" in row:
        return
    for name in names(row):
        found = ratio(row, name, single)
        if name in row.get("floors", []) or found is None or found >= 1:
            continue
        more = f"; {row['note']}" if row["note"] else ""
        error = row["error"]
        told = ""
        if name in error and error[name] > 2 * error["ours"] > 0:
            told = f", with an error of {error[name]:.1e} beside {error['ours']:.1e}"
        yield f"{row['benchmark']}: {name} takes {number(found)} times ours{told}{more}"


def verdict(row: Row, single: bool) -> str:
    """Say whether a row is won, and what its floors take."""
    if "case" in row["failed"]:
        return f"{row['benchmark']}: failed: {row['failed']['case']}"
    taken = {name: ratio(row, name, single) for name in names(row)}
    known = {name: value for name, value in taken.items() if value is not None}
    floors = {name: value for name, value in known.items() if name in row["floors"]}
    peers = {name: value for name, value in known.items() if name not in floors}
    told = "; ".join(f"{name} takes {number(value)} times ours" for name, value in peers.items())
    said = [f"{row['benchmark']}: " + (told or "no peer")]
    if peers:
        said.append("won" if min(peers.values()) > 1 else "**not won**")
    for name, value in floors.items():
        said.append(f"{name}, the floor, takes {number(value)} times ours")
    return "; ".join([*said, *([row["note"]] if row["note"] else [])])


def number(value: float) -> str:
    """Return a ratio with two digits at least."""
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}" if value >= 1.2 else f"{value:.2f}"


COLUMNS = ("method", "against", "it takes", "model rows", "peak MB", "error", "held against")


def table(net: str, rows: list[Row], single: bool) -> str:
    """Return the rows of a net."""
    lines = [f"## {net}\n", line(COLUMNS), line(["---"] * len(COLUMNS))]
    for row in rows:
        method = row["benchmark"].split(" / ")[0]
        if "case" in row["failed"]:
            lines.append(line([method, "", f"failed: {clean(row['failed']['case'])}", *[""] * 4]))
            continue
        for place, name in enumerate(names(row) or [""]):
            cells = cells_of(row, name, single)
            lines.append(line([method if place == 0 else "", *cells, row["against"]]))
    return "\n".join(lines) + "\n"


def cells_of(row: Row, name: str, single: bool) -> list[str]:
    floor = name in row.get("floors", [])
    found = ratio(row, name, single)
    if name in row["failed"]:
        taken = f"failed: {clean(row['failed'][name])}"
    elif found is None:
        taken = ""
    else:
        taken = f"{number(found)}" if found >= 1 or floor else f"**{number(found)}**"
    return [
        f"{name} (floor)" if floor else name,
        taken,
        pair(row["model rows"], name, "d"),
        pair(row["peak MB"], name, ".0f"),
        "" if floor else pair(row["error"], name, ".1e"),
    ]


def pair(values: dict[str, float], name: str, form: str) -> str:
    """Return our value and the peer's."""
    own, other = (format(values[each], form) if each in values else "-" for each in ("ours", name))
    return "" if own == other == "-" else f"{own}; {other}"


def clean(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def line(cells: Any) -> str:
    return f"| {' | '.join(cells)} |"


def curve(row: Row) -> str:
    """Return the error of samplers at each budget."""
    lines = [f"## {row['benchmark'][0].upper()}{row['benchmark'][1:]}\n"]
    lines.append(f"Milliseconds and relative root mean square error, against {row['against']}.\n")
    tools = {name: each for name, each in row["curves"].items() if each["points"]}
    budgets = sorted({point["budget"] for each in tools.values() for point in each["points"]})
    lines.append(line(["", *(f"budget {budget}" for budget in budgets)]))
    lines.append(line(["---"] * (1 + len(budgets))))
    for name, each in tools.items():
        by_budget = {point["budget"]: point for point in each["points"]}
        cells = [f"{by_budget[n]['ms']:.4g} ms, {by_budget[n]['error']:.3f}" for n in budgets]
        lines.append(line([name, *cells]))
    for name, each in row["curves"].items():
        if "failed" in each:
            lines.append(
                line([name, f"failed: {clean(each['failed'])}"] + [""] * (len(budgets) - 1))
            )
    return "\n".join(lines) + "\n"
