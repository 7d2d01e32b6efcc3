"""Tables of numbers out of CSV and Parquet files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

from pyxai._extras import optional
from pyxai.runner.arrays import column_names

__all__ = ["ANY", "Columns", "read_table"]


class Columns(NamedTuple):
    """Which columns of a table are features, and whether its first line names them.

    Without a word on the header it must not be in doubt.
    """

    only: tuple[str, ...] | None = None
    without: tuple[str, ...] = ()
    header: bool | None = None


ANY = Columns()
_WHOLE = ("data",)  # what an audit reads, without flags that choose columns


def read_table(path: Path, name: str, columns: Columns) -> tuple[Any, list[str] | None]:
    """Return a table of numbers, and the names of its columns.

    Raises
    ------
    ValueError
        If it is no table, has no such columns, or numbers where the names should be.
    TypeError
        If a column holds words.
    """
    with optional("tables need", "pandas>=2", "audit"):
        import pandas
    try:
        table = _read(pandas, path, columns.header is not False)
    except (MemoryError, ImportError):
        raise
    except Exception as error:  # whatever a file that is something else leads to
        raise ValueError(f"{name} must be a table, got {str(path)!r}: {error}") from error
    names = column_names(table) or []
    table.columns = names
    if columns.header is None and path.suffix.lower() != ".parquet" and _is_row(names):
        way = "give --no-header if these are a row, or --header if names"
        way = "write them there" if name in _WHOLE else way
        raise ValueError(
            f"{name} must have names in the first line of {str(path)!r}, got "
            f"{', '.join(names[:4])}: {way}"
        )
    for flag, wanted in (("--columns", columns.only or ()), ("--drop", columns.without)):
        unknown = ", ".join(each for each in wanted if each not in names)
        if unknown and name == "baselines":
            raise ValueError(
                f"baselines must have the columns of the inputs, got no {unknown}; there are "
                f"{', '.join(names)}"
            )
        if unknown:
            raise ValueError(
                f"{flag} must name columns of the table, got {unknown}; it has {', '.join(names)}"
            )
    kept = [each for each in columns.only or names if each not in columns.without]
    table = table[kept]
    _check_numbers(table, name, path)
    return table, None if columns.header is False else kept


def _read(pandas: Any, path: Path, header: bool) -> Any:
    if path.suffix.lower() == ".parquet":
        return pandas.read_parquet(path)
    first = 0 if header else None
    tab = path.suffix.lower() == ".tsv"
    table = pandas.read_csv(path, sep="\t" if tab else ",", header=first)
    if len(table.columns) == 1:  # separated in another way, as spreadsheets of many countries do
        sample = f"{table.columns[0]} {table.iloc[0, 0] if len(table) else ''}"
        other = next((mark for mark in (";", "\t") if mark in sample), None)
        if other is not None:
            table = pandas.read_csv(path, sep=other, header=first)
    return table


def _check_numbers(table: Any, name: str, path: Path) -> None:
    """Raise if columns hold words; say which, one of them, and what to do."""
    words = {}
    for label in table.columns:
        found = next((each for each in table[label].tolist() if isinstance(each, str)), None)
        if found is not None:
            words[label] = found
    if words:
        way = "" if name in _WHOLE else f" by --drop {','.join(words)}"
        some = ", ".join(f"{label} (such as {words[label][:20]!r})" for label in list(words)[:4])
        raise TypeError(
            f"{name} must hold real numbers, got words in {len(words)} column(s) of {str(path)!r}: "
            f"{some}; leave them out{way}, or write them as numbers"
        )


def _is_row(names: list[str]) -> bool:
    """Tell whether the first line may be numbers rather than names; 0, 1, 2, ... are names."""
    counted = names == [str(number) for number in range(len(names))]
    # Of names that come again pandas makes 5.1.1.
    return not counted and all(map(_is_number, names))


def _is_number(text: str) -> bool:
    return bool(re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?(\.\d+)?", text, re.IGNORECASE))
