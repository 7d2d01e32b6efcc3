"""Read the arguments, run the verb, say what went wrong in one line."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

import pyxai
from pyxai.cli import audit, bench, demo, explain, methods, report
from pyxai.cli.notes import FIXED_SIZE, notes_in_one_line

__all__ = ["main"]

_INTERRUPTED = 130  # as shells say: 128 and the number of the signal
_LONG = 600  # characters of a message
_SAID = (ImportError, MemoryError, OSError, TypeError, ValueError, RuntimeError)
_EPILOG = """\
`pyxai COMMAND --help` tells more, with examples. Exit codes: 0 all went well, 1 it did not and one
line on stderr says why, 2 the arguments make no sense, 130 after Ctrl-C.
"""
VERBS = (demo, methods, explain, audit, report, bench)


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
        with notes_in_one_line(options.command, options.quiet):
            options.run(options)
            sys.stdout.flush()
    except BrokenPipeError:  # whoever reads has enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
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
    text = " ".join("; ".join((str(error), *getattr(error, "__notes__", ()))).split())
    if isinstance(error, AssertionError):  # from guards of exported programs
        return text + FIXED_SIZE
    if isinstance(error, MemoryError) and not text:
        return "memory ran out"
    if not isinstance(error, _SAID) or not text:
        text = f"{type(error).__name__}: {text}".removesuffix(": ")
    if len(text) > _LONG:
        text = f"{text[:_LONG]} ... (--debug shows all)"
    return text


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of what has several, and wraps the rest."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if "\n" in text:
            return super()._fill_text(text, width, indent)
        return argparse.HelpFormatter._fill_text(self, text, width, indent)


class _Verb(argparse.ArgumentParser):
    """The parser of a verb: what holds for all of them may be given before or after its name."""

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=_Formatter, **options)
        _add_common(self, default=argparse.SUPPRESS)


def _add_common(parser: argparse.ArgumentParser, default: Any) -> None:
    for flag, text in (
        ("--quiet", "print results and errors alone"),
        ("--debug", "show where an error comes from"),
    ):
        parser.add_argument(flag, action="store_true", default=default, help=text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pyxai",
        description="Feature attribution for PyTorch models.",
        epilog=_EPILOG,
        formatter_class=_Formatter,
    )
    parser.add_argument("--version", action="version", version=f"pyxai {pyxai.__version__}")
    _add_common(parser, default=False)
    verbs = parser.add_subparsers(
        dest="command", required=True, metavar="command", parser_class=_Verb
    )
    for verb in VERBS:
        verb.add(verbs)
    return parser
