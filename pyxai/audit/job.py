"""An audit that is planned: all that a shard depends on, in one object that can be sent about."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import ceil, prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyxai._checks import (
    check_bool,
    check_choice,
    check_int,
    check_model,
    check_number,
    describe,
)
from pyxai._errors import warn
from pyxai._files import imported
from pyxai.attribution import LayerActivation
from pyxai.audit.data import Like, Source, open_source
from pyxai.audit.identity import digest_of_data, digest_of_model, digest_of_plan, spell
from pyxai.audit.maps import DTYPES, REDUCTIONS, Form
from pyxai.audit.measures import MetricAsked, check_measurable, metrics_asked
from pyxai.audit.questions import MethodAsked, at_layers, methods_asked
from pyxai.audit.storage import Folder, pyarrow, said_of_disk, write_json
from pyxai.runner import as_tensors
from pyxai.runner.state import modules_of

__all__ = ["Job", "Made", "prepare"]

TARGETS = ("prediction", "label")
_FORMAT = 2
_ROWS = 8192  # of a shard at most: work that a crash may lose, against syncs of files
_SHARDS = 8  # at least, so that workers have something to share, of not fewer rows than
_FEW = 64
_NUMBERS = 2**24  # in the maps of a shard: 64 MB in float32
_INPUTS = 2**22  # numbers of the inputs of a batch


@dataclass(frozen=True)
class Made:
    """A model that each process makes for itself."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()

    def __call__(self) -> Callable[..., Any]:
        """Make it."""
        return self.function(*self.arguments)  # type: ignore[no-any-return]


@dataclass
class Job:
    """An audit that is planned and can be sent to whoever makes its shards; see `prepare`.

    Attributes
    ----------
    plan : dict
        What the result depends on, as JSON: it is the manifest in the folder.
    n_shards : int
        How many shards there are.
    """

    plan: dict[str, Any]
    given: Any
    source: Source
    methods: tuple[MethodAsked, ...]
    metrics: tuple[MetricAsked, ...]
    target: Any
    baselines: Any
    form: Form | None
    raises: bool
    out: Path
    new: bool = False  # whether this is who wrote the plan
    _model: Callable[..., Any] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Name the plan by its content."""
        self.digest = digest_of_plan(self.plan)
        self.folder = Folder(self.out)

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process needs: it makes its own model where it can."""
        made = isinstance(self.given, Made)
        return {**self.__dict__, "_model": None if made else self._model}

    @property
    def model(self) -> Callable[..., Any]:
        """The model, made when it is first asked for."""
        if self._model is None:
            self._model = self.given() if isinstance(self.given, Made) else self.given
        return self._model

    @property
    def device(self) -> torch.device:
        """Where examples are brought to: where the model is that this was planned with."""
        return self.source.like.device

    def settle(self, device: torch.device | None = None) -> bool:
        """Work where the model of this process is, which is moved to ``device`` first if given.

        Returns
        -------
        bool
            Whether that is elsewhere than where this was planned.
        """
        if device is not None:
            for module in modules_of(self.model):
                module.to(device)
        before, self.source.like = self.device, _like_of(self.model)
        if before == self.device:
            return False

        def here(value: Any) -> Any:
            return _to_device(value, self.device) if isinstance(value, (Tensor, tuple)) else value

        self.baselines = here(self.baselines)
        self.methods = tuple(
            replace(each, options={name: here(value) for name, value in each.options.items()})
            for each in self.methods
        )
        return True

    @property
    def seed(self) -> int:
        """Seed of all random numbers."""
        return int(self.plan["seed"])

    @property
    def n_shards(self) -> int:
        """How many shards there are."""
        return ceil(int(self.plan["n_examples"]) / int(self.plan["shard_size"]))

    def range_of(self, shard: int) -> tuple[int, int]:
        """Return the first example of a shard, and the one after its last."""
        check_int("shard", shard, minimum=0)
        if shard >= self.n_shards:
            raise ValueError(f"shard must be less than {self.n_shards}, got {shard}")
        size = int(self.plan["shard_size"])
        return shard * size, min((shard + 1) * size, self.plan["n_examples"])

    def pending(self) -> list[int]:
        """Return the shards that are not done, or not as they were written: these are named."""
        states = [self.folder.state(shard, self.digest) for shard in range(self.n_shards)]
        changed = [shard for shard, state in enumerate(states) if state == "changed"]
        if changed:
            warn(
                f"shard {', '.join(map(str, changed))} of {str(self.out)!r} is not as it was "
                "written and is made anew"
            )
        return [shard for shard, state in enumerate(states) if state != "done"]

    def take_back(self) -> None:
        """Remove the plan if this wrote it and nothing is done: a call that is refused leaves none.

        Else the call that is put right would be refused as another audit.
        """
        if self.new and not any(self.folder.mark(each).exists() for each in range(self.n_shards)):
            self.folder.plan.unlink(missing_ok=True)


def prepare(
    model: Callable[..., Any] | str,
    dataset: Any,
    methods: Any,
    metrics: Any = (),
    out: str | Path = "out/audit",
    *,
    target: Any = "prediction",
    label: str | None = None,
    baselines: Any = None,
    reduce: str | None = None,
    dtype: str = "float32",
    top_k: int | float | None = None,
    maps: bool = True,
    seed: int = 0,
    shard_size: int | None = None,
    batch_size: int | None = None,
    on_error: str = "record",
) -> Job:
    """Plan an audit: check all arguments, and write the plan into the folder.

    For those who start the shards themselves: `run_shard` makes one, in any order and on any
    machine that sees the folder, `merge` ends the audit.

    Parameters
    ----------
    model, dataset, methods, metrics, out, target, label, baselines, reduce, dtype, top_k, maps
        As for `audit`.
    seed, shard_size, batch_size, on_error
        As for `audit`.

    Returns
    -------
    Job
        It can be pickled where model and data set can.

    Raises
    ------
    ValueError, TypeError
        If an argument does not fit, or the folder holds another audit; the message names what is
        different.
    OSError
        If the folder cannot be written to.
    """
    pyarrow()  # rather now than after the first shard
    if not isinstance(out, (str, os.PathLike)):
        raise TypeError(f"out must be a folder, got {describe(out)}")
    given, own = _model_of(model)
    like = _like_of(own)
    source = open_source(dataset, label, like)
    asked, measured = at_layers(methods_asked(methods), own), metrics_asked(metrics)
    check_measurable(asked, measured)
    form = _form_of(reduce, dtype, top_k) if check_bool("maps", maps) else None
    check_int("seed", seed, minimum=0)
    check_choice("on_error", on_error, ("record", "raise"))
    target = _target_of(target, len(source))
    example = _inputs(source, seed)
    shape = [tuple(tensor.shape[1:]) for tensor in example]
    _check_shared(asked, baselines, shape)
    plan = {
        "format": _FORMAT,
        "versions": {
            name: importlib.import_module(name).__version__ for name in ("pyxai", "torch")
        },
        "model": digest_of_model(own),
        "dataset": digest_of_data(source, seed),
        "n_examples": len(source),
        "methods": [
            _spelled(each.label, each.method, each.options, own)
            # Of the others a plan says it, for whoever reads the maps.
            | ({} if each.of == "inputs" else {"of": each.of})
            for each in asked
        ],
        "metrics": [
            {**_spelled(each.label, each.metric, each.options, own), "columns": each.columns}
            for each in measured
        ],
        "target": spell(target, "target", own),
        "baselines": spell(baselines, "baselines", own),
        "maps": None if form is None else {"reduce": reduce, "dtype": dtype, "top_k": top_k},
        "seed": seed,
        "shard_size": _shard_size(
            shard_size, len(source), form, [_shapes_kept(each, example, own) for each in asked]
        ),
    }
    plan["batch_size"] = _batch_size(batch_size, plan["shard_size"], shape)
    moved = _to_device(baselines, like.device)
    raises = on_error == "raise"
    folder = Path(out)
    job = Job(plan, given, source, asked, measured, target, moved, form, raises, folder, _model=own)
    job.new = _write_plan(job)
    return job


def _model_of(model: Any) -> tuple[Any, Callable[..., Any]]:
    """Return what is sent to other processes, and the model."""
    given = Made(imported, (model,)) if isinstance(model, str) else model
    own = given() if isinstance(given, Made) else given
    check_model("model", own)
    return given, own


def _like_of(model: Callable[..., Any]) -> Like:
    sample = as_tensors(model, {"inputs": np.zeros((1, 1))})["inputs"]
    return Like(sample.dtype, sample.device)


def _form_of(reduce: Any, dtype: Any, top_k: Any) -> Form:
    if reduce is not None:
        check_choice("reduce", reduce, tuple(REDUCTIONS))
    check_choice("dtype", dtype, tuple(DTYPES))
    if isinstance(top_k, float):
        if not 0 < check_number("top_k", top_k) <= 1:
            raise ValueError(f"top_k must be a count, or a fraction above 0 up to 1, got {top_k}")
    elif top_k is not None:
        check_int("top_k", top_k, minimum=1)
    return Form(reduce, dtype, top_k)


def _target_of(target: Any, count: int) -> Any:
    """Check what is to be explained of every example; several targets become a tensor."""
    if isinstance(target, str):
        return check_choice("target", target, TARGETS)
    if target is None or isinstance(target, tuple):
        return target
    if not isinstance(target, (list, Tensor, np.ndarray)):
        return check_int("target", target)
    targets = torch.as_tensor(target).cpu()
    if targets.shape != (count,) or targets.is_floating_point() or targets.is_complex():
        raise ValueError(
            f"target must have one index for each of {count} examples, got {describe(targets)}"
        )
    return targets.long()


def _check_shared(asked: tuple[MethodAsked, ...], baselines: Any, shapes: Any) -> None:
    """Raise if an argument has a row for each example of a batch: it must serve all of them."""
    for each in asked:
        named = {"baselines": baselines, **each.options}
        for name in ("baselines", "feature_mask"):
            value = named.get(name)
            if name == "baselines" and each.background:
                continue
            for part, shape in zip(
                value if isinstance(value, (tuple, list)) else (value,), shapes, strict=False
            ):
                rows = np.ndim(part) == len(shape) + 1 and len(part) != 1
                if isinstance(part, (Tensor, np.ndarray)) and rows:
                    raise ValueError(
                        f"{name} of {each.label} must serve all examples, with shape "
                        f"{[1, *shape]}, got {describe(part)}"
                    )


def _to_device(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, (tuple, list)):
        return tuple(_to_device(part, device) for part in value)
    return value


def _spelled(label: str, what: Any, options: dict[str, Any], model: Any) -> dict[str, Any]:
    return {
        "name": label,
        "is": spell(what, label, model),
        "options": {name: spell(value, name, model) for name, value in options.items()},
    }


def _inputs(source: Source, seed: int) -> tuple[Tensor, ...]:
    """Return the inputs of an example that can be read, [1, *features]."""
    for number in (*source.probes(16), *range(min(len(source), 1000))):
        batch = source.read(number, number + 1, seed)
        if batch.ids:
            return batch.inputs
    first = source.read(0, 1, seed).bad[0]
    raise ValueError(
        f"dataset must have examples that can be explained, got none; the first: {first}"
    )


def _shapes_kept(
    method: MethodAsked, inputs: tuple[Tensor, ...], model: Callable[..., Any]
) -> list[tuple[int, ...]]:
    """Return the shapes of the maps of an example: those of its inputs, or those of a layer."""
    shapes = [tuple(tensor.shape[1:]) for tensor in inputs]
    if method.of != "layer":
        return shapes
    layer = getattr(method.method, "layer", None) or method.options["layer"]
    at_input = bool(method.options.get("attribute_to_layer_input"))
    try:
        found = LayerActivation(model, layer).attribute(inputs, attribute_to_layer_input=at_input)
    except Exception:  # of the user's model; the rehearsal says of which examples
        return shapes
    return [tuple(part.shape[1:]) for part in (found if isinstance(found, tuple) else (found,))]


def _shard_size(
    given: Any, count: int, form: Form | None, shapes: list[list[tuple[int, ...]]]
) -> int:
    if given is not None:
        return check_int("shard_size", given, minimum=1)
    kept = 1 if form is None else sum(form.numbers(shape) for each in shapes for shape in each)
    rows = min(_ROWS, max(_FEW, ceil(count / _SHARDS)))
    return max(1, min(rows, _NUMBERS // max(1, kept)))


def _batch_size(given: Any, shard_size: int, shapes: Any) -> int:
    if given is not None:
        return min(shard_size, check_int("batch_size", given, minimum=1))
    return max(1, min(shard_size, _INPUTS // max(1, sum(map(prod, shapes)))))


def _write_plan(job: Job) -> bool:
    """Write the plan, or see that the one which is there is the same; tell whether it is new."""
    job.folder.make()
    known = read_plan(job.folder.plan)
    if known is None:
        with said_of_disk(job.out, "nothing was written"):
            write_json(job.folder.plan, job.plan)
        return True
    different = [name for name in {**job.plan, **known} if known.get(name) != job.plan.get(name)]
    if different:
        name = sorted(different)[0]
        raise ValueError(
            f"out must be a new folder or hold the same audit, got one with another "
            f"{', '.join(sorted(different))}: {name} was {_short(known.get(name))} and is "
            f"{_short(job.plan.get(name))}"
        )
    return False


def read_plan(path: Path) -> dict[str, Any] | None:
    """Return a plan without the list of its shards; None where there is none that is whole."""
    if not path.exists():
        return None
    try:
        plan = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"out must hold a whole audit.json, got {str(path)!r}: {error}") from error
    if not isinstance(plan, dict) or plan.get("format") != _FORMAT:
        raise ValueError(f"out must hold an audit of format {_FORMAT}, got {str(path)!r}")
    plan.pop("shards", None)
    return plan


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 120 else f"{text[:120]}..."
