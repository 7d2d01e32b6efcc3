"""Read an audit: rows as a table, maps by the number of an example, statistics."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyxai._checks import check_choice, check_int
from pyxai._extras import optional
from pyxai.audit.done_shards import DoneShards
from pyxai.audit.export import dataset_of, write_virelay, write_zarr
from pyxai.audit.identity import digest_of_plan
from pyxai.audit.job import read_plan
from pyxai.audit.leaderboard import leaderboard_of
from pyxai.audit.statistics import ClassMaps, add_maps, statistics_of
from pyxai.audit.storage import (
    Folder,
    parquet_of,
    pyarrow,
    said_of_disk,
    write_json,
    write_whole,
)

__all__ = ["Audit", "load", "merge"]


def load(out: str | Path) -> Audit:
    """Open an audit for reading, also one that is not complete.

    Parameters
    ----------
    out : str or Path
        Its folder.

    Returns
    -------
    Audit
        Nothing is read yet but the plan.

    Raises
    ------
    FileNotFoundError
        If there is no audit.
    ValueError
        If its plan is not whole.
    """
    folder = Folder(Path(out))
    plan = read_plan(folder.plan)
    if plan is None:
        raise FileNotFoundError(f"out must be the folder of an audit, got {str(out)!r}")
    return Audit(folder, plan)


def merge(out: str | Path) -> Audit:
    """End an audit whose shards are all done: checksums into the plan, statistics of all rows.

    The files are the same however the shards were made; to merge twice does no harm.

    Parameters
    ----------
    out : str or Path
        Its folder.

    Returns
    -------
    Audit

    Raises
    ------
    FileNotFoundError
        If there is no audit.
    ValueError
        If a shard is missing or not as it was written; the message lists them.
    OSError
        If the disk is full, say.
    """
    found = load(out)
    digest = digest_of_plan(found.plan)
    states = {shard: found.folder.state(shard, digest) for shard in range(found.n_shards)}
    missing = [shard for shard, state in states.items() if state != "done"]
    if missing:
        listed = ", ".join(f"{shard} ({states[shard]})" for shard in missing[:20])
        raise ValueError(
            f"out must hold all of {found.n_shards} shard(s) to be merged, got {str(out)!r} "
            f"without {listed}; run the audit again, it goes on there"
        )
    shards = [found.folder.read_mark(shard) for shard in states]
    listed_shards = [{"rows": mark["rows"], "files": mark["files"]} for mark in shards]
    with said_of_disk(found.folder.path, "all shards are done; merge again"):
        table = statistics_of(found.methods, found.columns, found.arrays)
        write_whole(found.folder.statistics, parquet_of(table))
        write_json(found.folder.plan, {**found.plan, "shards": listed_shards})
        found.folder.sweep()
    return found


class Audit:
    """An audit in its folder; what is asked for is read then.

    Attributes
    ----------
    plan : dict
        What was asked: hashes of data set and model, methods and metrics with their options, seed,
        versions.
    shards : DoneShards
        What is there, shard by shard, for those who write readers.
    """

    def __init__(self, folder: Folder, plan: dict[str, Any]) -> None:
        self.folder, self.plan, self.shards = folder, plan, DoneShards(folder, plan)

    def __repr__(self) -> str:
        """Say in one line what this is."""
        done = len(self.shards.numbers())
        return (
            f"Audit({str(self.folder.path)!r}, {len(self)} examples, methods "
            f"{', '.join(self.methods)}, {done} of {self.n_shards} shard(s) done)"
        )

    def __len__(self) -> int:
        """Return how many examples the data set has."""
        return int(self.plan["n_examples"])

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of the methods."""
        return self.shards.methods

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics."""
        return tuple(each["name"] for each in self.plan["metrics"])

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that `statistics` is about."""
        measured = (name for each in self.plan["metrics"] for name in each["columns"])
        return ("output", "gap", "relative_gap", *measured)

    @property
    def n_shards(self) -> int:
        """How many shards there are."""
        return self.shards.count

    @property
    def complete(self) -> bool:
        """Whether all shards are done."""
        return len(self.shards.numbers()) == self.n_shards

    def tables(self, columns: Sequence[str] | None = None) -> Iterator[Any]:
        """Yield the rows of each shard that is done, as pyarrow tables, in the order of examples.

        Parameters
        ----------
        columns : sequence of str, optional
            Only these.

        Yields
        ------
        pyarrow.Table

        Raises
        ------
        ValueError
            If there is no such column, or a file is not as it was written.
        """
        for shard, table in self.shards.rows():
            table = table.append_column("seconds", [self.shards.seconds(shard, table)])
            for name in columns or ():
                check_choice("columns", name, table.column_names)
            yield table.select(list(columns)) if columns is not None else table

    def table(self, columns: Sequence[str] | None = None) -> Any:
        """Return all rows as one pyarrow table; see `tables`."""
        tables = list(self.tables(columns))
        if not tables:
            raise ValueError(f"out must have a shard that is done, got none in {self.folder.path}")
        return pyarrow().concat_tables(tables)

    def rows(self, columns: Sequence[str] | None = None) -> Any:
        """Return all rows as a pandas DataFrame, one for each example and method.

        Columns are ``id``, ``method``, ``label``, ``target``, ``prediction`` (the largest of
        several outputs), ``output`` (the explained one), ``gap`` (the convergence delta, in
        output units, of methods that have one: how far they are from adding up), ``relative_gap``
        (its size as a share of the change of the output from the baselines, for methods that have
        such; of a set of baselines from the mean of its outputs), ``error`` (why there is no
        answer), one or more for each
        metric, and ``seconds`` (share of the example in its batch).

        Parameters
        ----------
        columns : sequence of str, optional
            Only these.

        Raises
        ------
        ImportError
            If pandas is not installed.
        ValueError
            As `tables`.
        """
        with optional("rows need", "pandas>=2", "audit", "use table(), which is pyarrow's"):
            importlib.import_module("pandas")
        return self.table(columns).to_pandas(use_threads=False)

    def about(self, method: str) -> str:
        """Return what a method is about: ``"inputs"``, values of a ``"layer"``, or a ``"neuron"``.

        Maps of a layer have its shape, and no places among the inputs, unless it keeps them.

        Parameters
        ----------
        method : str
            Its name in this audit.

        Raises
        ------
        ValueError
            If there is no such method.
        """
        check_choice("method", method, self.methods)
        planned: dict[str, Any] = self.plan["methods"][self.methods.index(method)]
        return str(planned.get("of", "inputs"))

    def arrays(self, method: str) -> dict[str, Any]:
        """Return what `statistics` is about, as NumPy arrays in the order of examples.

        Parameters
        ----------
        method : str
            Its name in this audit.

        Returns
        -------
        dict of str to array, shape [n_examples]
            `columns`, float64 with NaN where there is nothing; ``"target"``, int64 with -1; and
            ``"failed"``, bool.

        Raises
        ------
        ValueError
            If there is no such method, or a file is not as it was written.
        """
        check_choice("method", method, self.methods)
        parts: dict[str, list[Any]] = {name: [] for name in (*self.columns, "target", "failed")}
        compute = pyarrow().compute
        for _, table in self.shards.rows():
            mine = table.filter(compute.equal(table.column("method"), method))
            for name in self.columns:
                values = mine.column(name).to_numpy(zero_copy_only=False)
                parts[name].append(np.asarray(values, np.float64))
            target = compute.fill_null(mine.column("target"), -1)
            parts["target"].append(target.to_numpy())
            failed = compute.is_valid(mine.column("error"))
            parts["failed"].append(failed.to_numpy(zero_copy_only=False))
        return {name: np.concatenate(each) for name, each in parts.items() if each}

    def maps(self, method: str, ids: int | Iterable[int] | None = None) -> Any:
        """Return the stored attributions of examples by a method.

        Parameters
        ----------
        method : str
            Its name in this audit.
        ids : int or iterable of int, optional
            Numbers of examples; default: all of them, at once in memory.

        Returns
        -------
        Tensor, or tuple of Tensor for a model of several inputs, shape [len(ids), *features]
            As they were kept: of ``top_k``, zeros stand for the others. NaN where there is no
            answer; without a first dimension where ``ids`` is one number.

        Raises
        ------
        ValueError
            If there is no such method or example, no maps were kept, or a file is not as it was
            written.
        """
        check_choice("method", method, self.methods)
        if self.plan["maps"] is None:
            raise ValueError("maps must have been kept to be read, got an audit with maps=False")
        single = isinstance(ids, int)
        asked: Any = range(len(self)) if ids is None else [ids] if single else ids
        wanted = [check_int("ids", each, minimum=0) for each in asked]
        size = self.shards.size
        for number in wanted:
            if number >= len(self):
                raise ValueError(f"ids must be less than {len(self)}, got {number}")
        read: dict[int, tuple[Tensor, ...]] = {}
        for shard in sorted({number // size for number in wanted}):
            places = [number - shard * size for number in wanted if number // size == shard]
            parts = self.shards.parts_of(self.shards.stored_maps(shard), method, places)
            for at, place in enumerate(places):
                read[shard * size + place] = tuple(part[at] for part in parts)
        found = tuple(torch.stack(each) for each in zip(*(read[n] for n in wanted), strict=True))
        found = tuple(each[0] for each in found) if single else found
        return found if len(found) != 1 else found[0]

    def statistics(self) -> Any:
        """Return a DataFrame of count, mean, spread and quantiles by method, class and column.

        The class is the explained output; rows without one are those of all classes. Beside the
        mean stand its standard error and the bounds that hold it in 95 of 100 such data sets
        (normal approximation). ``errors`` counts examples without an answer.

        Raises
        ------
        ValueError
            If the audit is not merged.
        ImportError
            If pandas is not installed.
        """
        with optional("statistics need", "pandas>=2", "audit"):
            importlib.import_module("pandas")
        return self.folder.read_statistics().to_pandas(use_threads=False)

    def leaderboard(
        self,
        metrics: str | Sequence[str] | None = None,
        *,
        by: str | None = None,
        better: Mapping[str, str] | None = None,
    ) -> Any:
        """Return a DataFrame with one line for each method, also of an audit that is on its way.

        Columns are pairs: ``"gap"``, ``"relative_gap"`` or a column of a metric, and one of

        * ``better``: what is better there, ``"higher"``, ``"lower"``, or nearest to ``"zero"``,
          where absolute values are compared; None where nobody says.
        * ``mean``, ``low_95``, ``high_95``: mean over the examples that have a number, and the
          bounds that hold it in 95 of 100 such data sets.
        * ``count``: how many have a number; ``failures``: how many have no answer by the method.
        * ``rank``: place of the mean, 1 for the best; methods of one mean share it.
        * ``best``: whether a method is not significantly worse than the first: the differences of
          the two on the same examples, of those that have both numbers, have a mean whose 95 %
          interval is not above 0.

        Parameters
        ----------
        metrics : str or sequence of str, optional
            Names of metrics, or of columns. Default: all.
        by : str, optional
            ``"target"``: one leaderboard for each explained output, whose number stands before
            the method.
        better : mapping of str to str, optional
            What is better in columns of metrics of your own, or for you.

        Raises
        ------
        ValueError
            If there is no such column, or ``by`` or a direction is another word.
        ImportError
            If pandas is not installed.

        Notes
        -----
        Both intervals are normal approximations, too short for fewer than about thirty examples,
        and ``best`` is not corrected for how many methods are compared. Means of methods that
        fail on different examples are of different examples; ``best`` is not. Holds 8 bytes for
        each example and method, and goes through the rows once for each column.
        """
        return leaderboard_of(self, metrics, by, better)

    def extremes(
        self, column: str, method: str, k: int = 10, *, largest: bool = True
    ) -> list[tuple[int, float]]:
        """Return the ``k`` examples of largest (or smallest) value with it; ties by number.

        Parameters
        ----------
        column : str
            One of `columns`.
        method : str
            Its name in this audit.
        k : int
            How many.
        largest : bool
            Whether the largest or the smallest come first.

        Raises
        ------
        ValueError
            If there is no such column or method.
        """
        check_choice("method", method, self.methods)
        check_choice("column", column, self.columns)
        check_int("k", k, minimum=1)
        best: list[tuple[float, int]] = []
        compute = pyarrow().compute
        for table in self.tables(["id", "method", column]):
            mine = table.filter(compute.equal(table.column("method"), method))
            pairs = zip(mine.column(column).to_pylist(), mine.column("id").to_pylist(), strict=True)
            best += [
                (-v if largest else v, number) for v, number in pairs if v is not None and v == v
            ]
            best = sorted(best)[:k]
        return [(number, -value if largest else value) for value, number in best]

    def class_maps(self, method: str) -> dict[int | None, ClassMaps]:
        """Return mean and standard deviation of the maps of each class, read shard by shard.

        Parameters
        ----------
        method : str
            Its name in this audit, of a model with one input.

        Returns
        -------
        dict of int or None to ClassMaps
            By explained output; under ``None`` where a model has one output.

        Raises
        ------
        ValueError
            As `maps`; also if shapes differ or there are several inputs.
        """
        check_choice("method", method, self.methods)
        found: dict[int | None, ClassMaps] = {}
        for shard, rows in self.shards.rows():
            table = rows.select(["method", "target", "error"])
            columns = (table.column(name).to_pylist() for name in table.column_names)
            mine = [(t, error) for by, t, error in zip(*columns, strict=True) if by == method]
            parts = self.shards.parts_of(self.shards.stored_maps(shard), method, slice(None))
            if len(parts) != 1:
                raise ValueError(f"class_maps must have maps of one input, got {len(parts)}")
            targets = [target for target, _ in mine]
            add_maps(found, targets, [error is None for _, error in mine], parts[0])
        return dict(sorted(found.items(), key=lambda each: -1 if each[0] is None else each[0]))

    def to_xarray(self, methods: str | Sequence[str] | None = None) -> Any:
        """Return an ``xarray.Dataset`` of the maps, which are read when they are asked for.

        A variable for each method, of several inputs ``method.0``, ``method.1``, ..., has the
        dimension ``id`` and ``feature``, or ``dim_1``, ``dim_2``, ...; with the method before it
        where methods differ in size. ``id`` has the coordinates ``target``, ``label`` and
        ``prediction``, float64 with NaN where one is missing. ``attrs["audit"]`` is the plan, as
        JSON. Maps of ``top_k`` are 0 elsewhere, those without an answer NaN, bfloat16 becomes
        float32.

        Parameters
        ----------
        methods : str or sequence of str, optional
            Names of methods. Default: all.

        Raises
        ------
        ValueError
            If there is no such method, no maps were kept, a method has explained nothing, or the
            audit is not complete.
        ImportError
            If xarray is not installed.
        """
        return dataset_of(self, methods)

    def to_zarr(self, path: str | Path, methods: str | Sequence[str] | None = None) -> Path:
        """Write the maps as a Zarr store, which `xarray.open_zarr` reads as `to_xarray` says.

        Parameters
        ----------
        path : str or Path
            A folder that does not exist yet, in one that does. It appears when it is whole.
        methods : str or sequence of str, optional
            Names of methods. Default: all.

        Returns
        -------
        Path
            That of the store, in format 2, which all versions of zarr read; a chunk is a shard,
            or less of it where that has more than 16 million numbers.

        Raises
        ------
        ValueError
            As `to_xarray`, or if there is something at ``path``.
        FileNotFoundError
            If there is no folder to write to.
        ImportError
            If zarr is not installed.

        Notes
        -----
        Holds the maps of a shard as they are stored, and a chunk.
        """
        return write_zarr(self, Path(path), methods)

    def to_virelay(
        self,
        folder: str | Path,
        dataset: Any,
        methods: str | Sequence[str] | None = None,
        *,
        label: str | None = None,
        class_names: Sequence[str] | None = None,
    ) -> Path:
        """Write inputs and maps in the layout of ViRelAy, where CoRelAy can analyse them.

        The files are those of ViRelAy's "Database Specification" and "Project File Format", of
        version 0.6: ``audit.input.h5`` (``data``, ``label``; beside these ``id``, the numbers of
        the examples), for each method ``METHOD.attribution.h5`` (``index`` into the inputs,
        ``attribution``, ``label``, ``prediction``) and ``METHOD.project.yaml``, and
        ``label-map.json``. Examples without an answer are left out. ``label`` of an attribution is
        the explained class; ``prediction`` is 1 for the predicted class and 0 for others, as an
        audit keeps no other outputs. Projects name no analyses: those are CoRelAy's.

        Parameters
        ----------
        folder : str or Path
            It must not exist yet, and appears when it is whole.
        dataset : data set
            That of the audit, pictures [channels, height, width] with labels.
        methods : str or sequence of str, optional
            Names of methods, whose maps have the shape of the inputs. Default: all.
        label : str, optional
            As for `audit`.
        class_names : sequence of str, optional
            Default: ``"class 0"``, ...

        Returns
        -------
        Path
            That of the folder.

        Raises
        ------
        ValueError
            As `to_xarray`; also if it is another data set, has no labels or no pictures, a map
            has another shape, or there is something at ``folder``.
        FileNotFoundError
            If there is no folder to write to.
        ImportError
            If h5py is not installed.
        """
        return write_virelay(self, Path(folder), dataset, methods, label, class_names)
