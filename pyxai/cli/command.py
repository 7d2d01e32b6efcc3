"""Read the arguments, run the verb, say what went wrong in one line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import pyxai
from pyxai.cli import demo, explain, methods, report

__all__ = ["main"]

VERBS = (demo, methods, explain, report)
_FIXED_SIZE = (
    "; the program was exported for batches of one size: export it with dynamic_shapes, or give "
    "--rows and --option internal_batch_size of that size"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    arguments : sequence of str, optional
        Default: those of the process.

    Returns
    -------
    int
        Exit status: 0 if all went well, 1 if not, 2 for arguments that make no sense.
    """
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except (
        ImportError,
        OSError,
        TypeError,
        ValueError,
        AssertionError,  # from guards of exported programs
        RuntimeError,
    ) as error:
        if options.debug:
            raise
        hint = _FIXED_SIZE if isinstance(error, AssertionError) else ""
        print(f"pyxai {options.command}: {error}{hint}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pyxai", description="Feature attribution for PyTorch models."
    )
    parser.add_argument("--version", action="version", version=f"pyxai {pyxai.__version__}")
    parser.add_argument("--debug", action="store_true", help="show where an error comes from")
    verbs = parser.add_subparsers(dest="command", required=True, metavar="command")
    for verb in VERBS:
        verb.add(verbs)
    return parser
