"""Read the arguments, run the verb, say what went wrong in one line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import pyxai
from pyxai.cli import audit, demo, explain, methods, report

__all__ = ["main"]

_INTERRUPTED = 130  # as shells say: 128 and the number of the signal
_LONG = 600  # characters of a message
_SAID = (ImportError, MemoryError, OSError, TypeError, ValueError, RuntimeError)
VERBS = (demo, methods, explain, audit, report)
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
        Exit status: 0 if all went well, 1 if not, 2 for arguments that make no sense, 130 after
        Ctrl-C.
    """
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except (Exception, KeyboardInterrupt) as error:
        if options.debug:
            raise
        print(f"pyxai {options.command}: {_in_one_line(error)}", file=sys.stderr)
        return _INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1
    return 0


def _in_one_line(error: BaseException) -> str:
    """Say what went wrong; of errors that are not meant for a reader, also their kind."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    text = " ".join(str(error).split())
    if isinstance(error, AssertionError):  # from guards of exported programs
        return text + _FIXED_SIZE
    if isinstance(error, MemoryError) and not text:
        return "memory ran out"
    if not isinstance(error, _SAID) or not text:
        text = f"{type(error).__name__}: {text}".removesuffix(": ")
    if len(text) > _LONG:
        text = f"{text[:_LONG]} ... (--debug shows all)"
    return text


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
