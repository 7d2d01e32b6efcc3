"""`pyxai audit`: explain a whole data set, by several methods, in files."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pyxai._extras import optional
from pyxai.cli.files.inputs import TENSOR_FILES, Reading, load_rows
from pyxai.cli.files.models import SAFETY, is_place, load_model
from pyxai.cli.notes import progress_of_parts
from pyxai.cli.question import add_model, named_options

__all__ = ["add", "read_data"]

_READ = (".parquet", ".csv", ".tsv", *TENSOR_FILES)
_EPILOG = f"""\
examples:
  pyxai audit model.pt2 inputs.npy --out audit --method saliency --metric sparseness
  pyxai audit model.pt2 inputs.npy --out audit --method saliency --metric sparseness --shard 0/2

{SAFETY}"""


def add(verbs: Any) -> None:
    """Add the verb to the subparsers ``verbs``."""
    audit = verbs.add_parser(
        "audit",
        help="explain a whole data set by several methods, and measure how well",
        description="What is done is in files: stopped or killed, the same command goes on where "
        "it was.",
        epilog=_EPILOG,
    )
    add_model(audit)
    audit.add_argument(
        "data",
        type=Path,
        help="a Parquet file or a folder of these, a table (.csv, .tsv), a folder of pictures (one "
        "folder inside for each class), or .npy, .npz, .pt, .safetensors with one row per example",
    )
    audit.add_argument("--out", type=Path, default=Path("out/audit"), help="(default: %(default)s)")
    audit.add_argument(
        "--method",
        action="append",
        metavar="NAME",
        help="may be repeated; options follow as JSON: 'integrated_gradients {\"n_steps\": 20}' "
        "(default: integrated_gradients)",
    )
    audit.add_argument(
        "--metric", action="append", default=[], metavar="NAME", help="as --method: insertion, ..."
    )
    audit.add_argument(
        "--target",
        default="prediction",
        help="prediction, label or a number (default: %(default)s)",
    )
    audit.add_argument("--label", metavar="COLUMN", help="column of a table with the label")
    audit.add_argument("--baselines", type=float, help="what stands for absent features")
    audit.add_argument("--reduce", help="over channels: sum, mean, abs_sum, abs_max, norm")
    audit.add_argument("--dtype", default="float32", help="of the maps (default: %(default)s)")
    audit.add_argument(
        "--top-k", type=_top, help="keep so many values of a map, or a fraction 0.01"
    )
    audit.add_argument("--no-maps", action="store_true", help="keep rows alone")
    audit.add_argument("--seed", type=int, default=0)
    audit.add_argument("--shard-size", type=int, help="examples in a shard")
    audit.add_argument("--batch-size", type=int, help="examples in memory at a time")
    audit.add_argument(
        "--backend",
        default="local",
        help="local: processes of this machine; ray: actors of Ray, and what each holds may follow "
        "as JSON: 'ray {\"num_gpus\": 1}' (default: %(default)s)",
    )
    audit.add_argument(
        "--workers",
        type=int,
        default=0,
        help="processes (default: this one), or actors (default: as many as there is room for)",
    )
    audit.add_argument("--threads", type=int, help="of torch in each process")
    audit.add_argument("--shard", metavar="I/N", help="do part I of N, as in an array of jobs")
    audit.add_argument(
        "--on-error", default="record", choices=("record", "raise"), help="(default: %(default)s)"
    )
    audit.set_defaults(run=_audit)


def _audit(options: argparse.Namespace) -> None:
    from pyxai import audit  # the room and what it needs are for this verb alone

    found = audit.audit(
        _model(options),
        read_data(options.data, options.trust),
        [named_options("--method", text) for text in options.method or ["integrated_gradients"]],
        [named_options("--metric", text) for text in options.metric],
        options.out,
        target=int(options.target) if _is_int(options.target) else options.target,
        label=options.label,
        baselines=options.baselines,
        reduce=options.reduce,
        dtype=options.dtype,
        top_k=options.top_k,
        maps=not options.no_maps,
        seed=options.seed,
        shard_size=options.shard_size,
        batch_size=options.batch_size,
        on_error=options.on_error,
        backend=named_options("--backend", options.backend),
        workers=options.workers,
        threads=options.threads,
        shard=options.shard,
        progress=progress_of_parts("shard(s)", options.quiet),
    )
    print(found)
    if found.complete:
        for line in _summary(found):
            print(line)


def _model(options: argparse.Namespace) -> Any:
    """Return what makes the model in each process."""
    from pyxai.audit import Made

    place, more = options.model, (options.weights, options.trust)
    if is_place(place) and options.weights is None:
        return place
    if not is_place(place) and not Path(place).is_file():
        load_model(place, *more)  # says what is wrong
    return Made(load_model, (place, *more))


def read_data(path: Path, trust: bool) -> Any:
    """Return a data set in files as `pyxai.audit.audit` takes it."""
    kind = path.suffix.lower()
    if path.is_dir() or kind == ".parquet":
        return path  # read by parts, whatever their size
    if path.exists() and kind not in _READ:
        raise ValueError(
            f"data must be a folder, or a file of one of {', '.join(_READ)}, got {str(path)!r}"
        )
    rows = load_rows(path, "data", Reading(trust=trust))
    values = rows.values.numpy()  # an array gets the dtype of the model
    if kind in TENSOR_FILES:
        return values
    with optional("tables need", "pandas>=2", "audit"):
        import pandas
    return pandas.DataFrame(values, columns=rows.names)


def _top(text: str) -> int | float:
    return int(text) if _is_int(text) else float(text)


def _is_int(text: str) -> bool:
    return text.removeprefix("-").isdecimal()


def _summary(found: Any) -> list[str]:
    """Return a line for each method and column: how many, mean, and how sure that is."""
    statistics = found.folder.read_statistics()
    lines = [f"{'method':28} {'column':20} {'count':>8} {'errors':>7}  mean (95 % interval)"]
    for row in statistics.to_pylist():
        if row["class"] is not None or not row["count"]:
            continue
        between = "" if row["low_95"] is None else f" ({row['low_95']:.4g} .. {row['high_95']:.4g})"
        lines.append(
            f"{row['method']:28} {row['column']:20} {row['count']:8} {row['errors']:7}  "
            f"{row['mean']:.4g}{between}"
        )
    return lines
