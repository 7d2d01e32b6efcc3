"""The examples in docstrings run and print what they say."""

import doctest
import importlib
import pkgutil
import sys

import pytest
import torch

import pyxai


def modules_with_examples():
    """Return the names of the modules that have examples."""
    found = []
    for name in (module.name for module in pkgutil.walk_packages(pyxai.__path__, "pyxai.")):
        if name in ("pyxai.__main__", "pyxai._C"):  # the program itself, and the native module
            continue
        importlib.import_module(name)
        # Not the returned value: `pyxai.explain` is a function and a module.
        tests = doctest.DocTestFinder().find(sys.modules[name])
        if any(test.examples for test in tests):
            found.append(name)
    return found


@pytest.mark.parametrize("name", modules_with_examples())
def test_examples_print_what_they_say(name):
    module = sys.modules[name]
    room = sys.modules[".".join(name.split(".")[:2])]
    # What a reader has who did `import torch, pyxai` and took the names from the room.
    exported = {each: getattr(room, each) for each in getattr(room, "__all__", ())}
    known = {"torch": torch, "pyxai": pyxai, **exported, **vars(module)}
    result = doctest.testmod(module, globs=known, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.attempted > 0
    assert result.failed == 0
