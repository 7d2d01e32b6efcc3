"""A text and a classifier of texts, for `pyxai explain`."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from typing import Any

from pyxai._extras import optional
from pyxai.adapters import TextClassifier
from pyxai.explanation import Explanation

__all__ = ["TEXT", "class_or_label", "text_explained"]

TEXT = ".txt"
# Of rows of numbers.
_OTHERS = ("columns", "drop", "header", "rows", "weights", "feature_names")


def class_or_label(text: str) -> int | str:
    """Return an output by its number, or the label of a class."""
    try:
        return int(text)
    except ValueError:
        return text


def text_explained(options: argparse.Namespace, more: dict[str, Any]) -> Explanation:
    """Explain the text of a file by a classifier and a tokenizer that transformers has saved.

    Raises
    ------
    FileNotFoundError
        If the folder or the text is not there.
    ValueError, TypeError
        If they are something else, or an option does not fit.
    """
    for name in _OTHERS:
        if getattr(options, name) not in (None, ""):
            raise ValueError(
                f"--{name.replace('_', '-')} must be left out for a text, which has no columns or "
                f"rows, got {getattr(options, name)!r}"
            )
    if options.layer is not None:  # of Grad-CAM, say; its method is refused below
        raise ValueError(f"--layer must be left out for a text, got {options.layer!r}")
    folder, path = Path(options.model), options.inputs
    if not (folder / "config.json").is_file():
        why = "it has no config.json" if folder.is_dir() else "no such folder"
        raise FileNotFoundError(
            "model must be a folder that transformers has saved, of a classifier and its "
            f"tokenizer, for a text, got {str(folder)!r}: {why}"
        )
    try:
        text: str = path.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError as error:
        raise ValueError(f"inputs must be a text in UTF-8, got {str(path)!r}: {error}") from error
    classifier = TextClassifier(*_loaded(folder))
    given = {} if options.baselines is None else {"baseline": options.baselines}
    return classifier.explain(text, method=options.method, target=options.target, **given, **more)


def _loaded(folder: Path) -> tuple[Any, Any]:
    """Return model and tokenizer of a folder: weights that run no code, and nothing from afar."""
    with optional("texts need", "transformers>=5", "text"):
        transformers = importlib.import_module("transformers")
    transformers.utils.logging.disable_progress_bar()
    try:
        model = transformers.AutoModelForSequenceClassification.from_pretrained(
            folder, local_files_only=True, use_safetensors=True
        )
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        said = " ".join(str(error).split())[:200]
        raise ValueError(
            f"model must be a classifier and its tokenizer, got {str(folder)!r}: {said}"
        ) from error
    return model.eval(), tokenizer
