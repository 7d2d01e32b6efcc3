"""Inputs and maps as HDF5 files in the layout of ViRelAy, with a project for each method."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from pyxai._extras import optional
from pyxai._files import whole_folder
from pyxai.audit.data import Like, Source, open_source
from pyxai.audit.export.labelled import MapVariable, array_of, coordinates_of, variables
from pyxai.audit.identity import digest_of_data
from pyxai.audit.maps import DTYPES
from pyxai.audit.storage import write_json

if TYPE_CHECKING:
    from pyxai.audit.results import Audit

__all__ = ["write_virelay"]

_INPUTS = "audit.input.h5"
_LABELS = "label-map.json"
_ROWS = 256  # of a chunk of inputs at a time
_STRATEGIES = {"label": "true_label", "prediction": "predicted_label"}


def write_virelay(
    found: Audit,
    folder: Path,
    dataset: Any,
    methods: str | Sequence[str] | None,
    label: str | None,
    class_names: Sequence[str] | None,
) -> Path:
    """Write the files; see `Audit.to_virelay`."""
    with optional("to_virelay needs", "h5py>=3.8", "virelay"):
        h5py = importlib.import_module("h5py")
    listed = variables(found, methods)
    source = _same_data(found, dataset, label)
    shape = _shape_of(source, int(found.plan["seed"]))
    for each in listed:
        if found.about(each.method) == "layer":
            raise ValueError(
                f"methods must attribute to the inputs for ViRelAy, got {each.method}, which is of "
                "a layer"
            )
        if each.shape[1:] != shape or len(shape) != 3:
            raise ValueError(
                "maps must have the shape of the inputs, [channels, height, width], for ViRelAy, "
                f"got {list(each.shape[1:])} of {each.name} for inputs {list(shape)}"
            )
    failed = found.shards.by_method("error")
    facts = coordinates_of(found)
    kept = np.flatnonzero(~np.isnan(found.shards.by_method("output")[:, 0]))
    kinds = ("label", "target", "prediction")
    classes = {name: _classes(name, facts[name][kept]) for name in kinds}
    names = _class_names(class_names, 1 + max(int(each.max()) for each in classes.values()))
    with whole_folder(folder, "folder") as partial:
        with h5py.File(partial / _INPUTS, "w") as file:
            _write_inputs(file, source, int(found.plan["seed"]), kept, shape)
            file["label"] = classes["label"].astype(np.uint32)
            file["id"] = kept.astype(np.uint64)
        for each in listed:
            good = np.flatnonzero(~failed[kept, found.methods.index(each.method)])
            with h5py.File(partial / f"{each.method}.attribution.h5", "w") as file:
                file["index"] = good.astype(np.uint64)  # of samples in the file of the inputs
                file["label"] = classes["target"][good].astype(np.uint32)
                predicted = np.eye(len(names), dtype=np.float32)[classes["prediction"][good]]
                file["prediction"] = predicted
                _write_maps(file, found, each, kept[good])
            project = _project(found, each.method, shape)
            write_json(partial / f"{each.method}.project.yaml", project)  # JSON is YAML
        listed_names = [
            {"index": index, "word_net_id": "", "name": name} for index, name in enumerate(names)
        ]
        write_json(partial / _LABELS, listed_names)
    return folder


def _same_data(found: Audit, dataset: Any, label: str | None) -> Source:
    """Open the data set of an audit, and see that it is that."""
    # Arrays became what the model takes, which is not known here.
    for dtype in DTYPES.values():
        source = open_source(dataset, label, Like(dtype, torch.device("cpu")))
        if digest_of_data(source, int(found.plan["seed"])) == found.plan["dataset"]:
            return source
    raise ValueError("dataset must be that of the audit, got another")


def _shape_of(source: Source, seed: int) -> tuple[int, ...]:
    """Return the shape of the one input of an example."""
    for number in range(len(source)):
        inputs = source.read(number, number + 1, seed).inputs
        if inputs:
            if len(inputs) != 1:
                raise ValueError(f"dataset must have one input for ViRelAy, got {len(inputs)}")
            return tuple(inputs[0].shape[1:])
    raise ValueError("dataset must have an example that can be read, got none")


def _classes(name: str, values: Any) -> Any:
    """Return numbers of classes, int64, or say that they are none."""
    if not len(values) or not (values >= 0).all() or (values % 1 != 0).any():
        raise ValueError(
            f"dataset and model must give every example a {name}, a whole number from 0, for "
            f"ViRelAy, got {sorted(set(np.asarray(values, float).tolist()))[:5]}"
        )
    return values.astype(np.int64)


def _class_names(given: Sequence[str] | None, count: int) -> list[str]:
    if given is None:
        return [f"class {number}" for number in range(count)]
    if len(given) < count:
        raise ValueError(f"class_names must have at least {count} names, got {len(given)}")
    return [str(name) for name in given]


def _write_inputs(file: Any, source: Source, seed: int, kept: Any, shape: tuple[int, ...]) -> None:
    data = file.create_dataset(
        "data", (len(kept), *shape), np.float32, chunks=(1, *shape), fillvalue=np.nan
    )
    place = {number: at for at, number in enumerate(kept.tolist())}
    for start in range(0, len(source), _ROWS):
        batch = source.read(start, min(start + _ROWS, len(source)), seed)
        if batch.ids:
            mine = [row for row, number in enumerate(batch.ids) if number in place]
            if mine:
                at = [place[batch.ids[row]] for row in mine]
                data[at] = batch.inputs[0][mine].float().cpu().numpy()


def _write_maps(file: Any, found: Audit, variable: MapVariable, ids: Any) -> None:
    shape = (len(ids), *variable.shape[1:])
    data = file.create_dataset(
        "attribution", shape, np.float32, chunks=(1, *shape[1:]), fillvalue=np.nan
    )
    size = found.shards.size
    for shard in np.unique(ids // size).tolist():
        stored = found.shards.stored_maps(shard)
        mine = np.flatnonzero(ids // size == shard)
        for at in np.array_split(mine, -(-len(mine) // _ROWS)):
            places = (ids[at] - shard * size).tolist()
            part = found.shards.parts_of(stored, variable.method, places)[variable.number]
            data[at[0] : at[-1] + 1] = array_of(part.float())


def _project(found: Audit, method: str, shape: tuple[int, ...]) -> dict[str, Any]:
    """Return what is in a project's file."""
    target = found.plan["target"]  # of one for each example, its hash is there
    strategy = _STRATEGIES.get(str(target), str(target) if isinstance(target, int) else "given")
    return {
        "project": {
            "name": f"{found.folder.path.name}: {method}",
            "model": found.plan["model"],
            "label_map": _LABELS,
            "dataset": {
                "name": found.folder.path.name,
                "type": "hdf5",
                "path": _INPUTS,
                "input_width": shape[2],
                "input_height": shape[1],
                "up_sampling_method": "none",
                "down_sampling_method": "none",
            },
            "attributions": {
                "attribution_method": method,
                "attribution_strategy": strategy,
                "sources": [f"{method}.attribution.h5"],
            },
        }
    }
