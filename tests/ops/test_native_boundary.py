"""The stub of the native module, its bindings and its headers say the same."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest
import torch

import pyxai
from pyxai import _C

CSRC = Path(__file__).parents[2] / "csrc"
STUB = ast.parse((Path(pyxai.__file__).parent / "_C.pyi").read_text())
FUNCTIONS = {node.name: node for node in STUB.body if isinstance(node, ast.FunctionDef)}
# Test builds only.
HOST_RUN = {"host_run_reverse_threads", "host_run_selftest"}
OPS = sorted(FUNCTIONS.keys() - HOST_RUN - {"loop_threads"})
# What pybind11 writes for the types of the stub, in its older and newer spelling.
SPELLINGS = {
    "torch.Tensor": "Tensor",
    "typing.SupportsInt | typing.SupportsIndex": "int",
    "typing.SupportsInt": "int",
    "typing.SupportsFloat | typing.SupportsIndex": "float",
    "typing.SupportsFloat": "float",
    "collections.abc.Sequence": "Sequence",
    "List": "Sequence",
    "list": "Sequence",
    "Tuple": "tuple",
}


def spelled(written: str) -> str:
    """Return a type as the stub would have it."""
    for form, name in SPELLINGS.items():
        written = written.replace(form, name)
    written = re.sub(r"Union\[(\w+), (\w+)\]", r"\1 | \2", written)
    return re.sub(r"Optional\[(.*)\]$", r"\1 | None", written)


def of_stub(name: str) -> dict[str, str]:
    """Arguments of a function of the stub and their types, in order."""
    arguments = FUNCTIONS[name].args
    given = [*arguments.args, *arguments.kwonlyargs]
    return {argument.arg: ast.unparse(argument.annotation) for argument in given}


def of_module(name: str) -> tuple[str, dict[str, str]]:
    """Return type and arguments of a function of the built module, as its docstring has them."""
    line = getattr(_C, name).__doc__.splitlines()[0]
    inner, result = re.fullmatch(rf"{name}\((.*)\) -> (\S+)", line).groups()
    pairs = re.findall(r"(\w+): (.*?)(?=, \w+: |$)", inner)
    return result, {argument: spelled(written) for argument, written in pairs}


def of_header(name: str) -> list[str]:
    """Arguments of an op in csrc/ops.h, in order."""
    text = (CSRC / "ops.h").read_text()
    inner = re.search(rf"void {name}\((.*?)\);", text, re.DOTALL)[1]
    return [argument.split()[-1].lstrip("&*") for argument in re.split(r",\s*", inner)]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_stub_has_the_arguments_of_the_module(name):
    if name in HOST_RUN and "host_run" not in _C.backends:
        assert not hasattr(_C, name)
        return
    result, arguments = of_module(name)
    assert list(arguments.items()) == list(of_stub(name).items())
    assert result == ast.unparse(FUNCTIONS[name].returns)


@pytest.mark.parametrize("name", OPS)
def test_bindings_have_the_names_and_the_order_of_the_header(name):
    assert list(of_stub(name)) == of_header(name)


def test_the_stub_lists_everything():
    attributes = {node.target.id for node in STUB.body if isinstance(node, ast.AnnAssign)}
    missing = set() if "host_run" in _C.backends else HOST_RUN
    public = {name for name in dir(_C) if not name.startswith("_")}
    assert public == (attributes | FUNCTIONS.keys()) - missing


@pytest.mark.parametrize("name", OPS)
def test_ops_take_arguments_by_name_only(name):
    with pytest.raises(TypeError, match="incompatible function arguments"):
        getattr(_C, name)(*(torch.zeros(1) for _ in of_stub(name)))


def structs() -> dict[str, str]:
    """Bodies of the parameter structs and of the views that they contain or extend."""
    found = {}
    for path in [*CSRC.glob("*.h")]:
        for name, body in re.findall(
            r"^struct (\w*(?:Params|View))(?: : \w+)? \{\n(.*?)^\};",
            path.read_text(),
            re.MULTILINE | re.DOTALL,
        ):
            found[name] = inspect.cleandoc(body)
    return found


@pytest.mark.parametrize(("name", "body"), structs().items())
def test_every_field_of_a_params_struct_has_its_comment(name, body):
    bare, commented = [], False
    for line in body.splitlines():
        # A comment on a line of its own is about the field below it.
        alone = line.strip().startswith("//")
        if not alone and "//" not in line and not commented:
            bare.append(line)
        commented = alone
    assert not bare, f"{name} does not say what these are: {bare}"


def test_there_is_a_struct_for_every_header_of_an_op():
    kernels = {path.stem for path in (CSRC / "cuda").glob("*.cu")}
    declared = set()
    for kernel in kernels:
        declared |= set(
            re.findall(r"PYXAI_DECLARE_OP\(\w+, (\w+)\)", (CSRC / f"{kernel}.h").read_text())
        )
    assert declared == {name for name in structs() if name.endswith("Params")}
