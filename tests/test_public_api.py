"""What is public is exported and documented, and an op has its full set of files."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
from dataclasses import is_dataclass
from pathlib import Path

import pytest
from public_objects import documented_objects, namespaces, own_members, public_modules

import pyxai
import pyxai.attribution
import pyxai.ops
from pyxai import registry
from pyxai.methods import Attribution

ROOT = Path(__file__).parent.parent
KERNELS = sorted(path.stem for path in (ROOT / "csrc" / "cuda").glob("*.cu"))
# In plain torch: a few bit operations; sums over tables that the kernel of `table_sums` adds up.
WITHOUT_KERNEL = {"masks", "interaction_indices"}
# Arguments that say where or how an op runs, not what it computes: references have none of them.
PLACEMENT = {"backend", "out", "device", "inplace", "channels_last"}


def sections(text: str) -> dict[str, list[str]]:
    """Split a numpy-style docstring into its sections."""
    found: dict[str, list[str]] = {"": []}
    lines = inspect.cleandoc(text).splitlines()
    current = ""
    for number, line in enumerate(lines):
        if number + 1 < len(lines) and re.fullmatch(r"-{3,}", lines[number + 1]) and line.strip():
            current = line.strip()
            found[current] = []
        elif not re.fullmatch(r"-{3,}", line):
            found[current].append(line)
    return found


def named(lines: list[str]) -> set[str]:
    """Names that the entries of a Parameters section describe."""
    heads = [line.split(" : ")[0] for line in lines if line and not line.startswith(" ")]
    return {name.strip().lstrip("*") for head in heads for name in head.split(",") if name.strip()}


def arguments(function: object) -> set[str]:
    return set(inspect.signature(function).parameters) - {"self", "cls"}


OBJECTS = documented_objects()


@pytest.mark.parametrize("name", public_modules())
def test_all_lists_what_is_public(name):
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} has no docstring"
    if name.endswith("__main__"):
        return
    if hasattr(module, "__path__") and name.count(".") >= 2:
        return  # a family of a room: what it has is exported by the room
    exported = set(module.__all__)
    missing = {key for key in exported if not hasattr(module, key)}
    assert not missing, f"__all__ of {name} names what is not there: {missing}"
    if name in namespaces():
        forgotten = set(own_members(name)) - exported
        assert not forgotten, f"__all__ of {name} misses {forgotten}"
    assert len(exported) == len(module.__all__), f"__all__ of {name} repeats a name"


@pytest.mark.parametrize(("name", "value"), OBJECTS, ids=[name for name, _ in OBJECTS])
def test_documentation_is_complete(name, value):
    text = vars(value).get("__doc__") if inspect.isclass(value) else value.__doc__
    assert text, f"{name} has no docstring"
    parts = sections(text)
    summary = inspect.cleandoc(text).splitlines()[0]
    assert summary.endswith((".", ":")), f"{name}: the first line is not a sentence: {summary!r}"
    if inspect.isclass(value) or name.endswith("_reference"):
        # A reference has its op's arguments; its first line names the op.
        return
    given = arguments(value)
    described = named(parts.get("Parameters", [])) or described_elsewhere(summary)
    # One argument, or two of a method, can be told of in a sentence.
    few = 2 if "." in value.__qualname__ else 1
    if "Parameters" in parts or (len(given) > few and not documented_by_a_base(name)):
        assert given <= described, f"{name} does not describe {sorted(given - described)}"
        own = named(parts.get("Parameters", []))
        assert own <= given, f"{name} describes what it lacks: {sorted(own - given)}"
    if "Parameters" in parts and returns_something(value) and not summary.startswith("Return"):
        assert parts.keys() & {"Returns", "Yields"}, f"{name} does not say what it returns"


def documented_by_a_base(name: str) -> bool:
    """Whether a base class describes the arguments of this method."""
    owner_name, _, method = name.rpartition(".")
    module, _, cls = owner_name.rpartition(".")
    owner = getattr(sys.modules.get(module), cls, None)
    bases = owner.__mro__[1:] if inspect.isclass(owner) else ()
    texts = [getattr(vars(base).get(method), "__doc__", None) for base in bases]
    return any("Parameters" in sections(text) for text in texts if text)


def described_elsewhere(summary: str) -> set[str]:
    """Arguments described by the function that a sentence such as "Do as `other`" names."""
    match = re.search(r"(?:as|see) (?::meth:)?`(?:\w+\.)*(\w+)`", summary)
    texts = [value.__doc__ for name, value in OBJECTS if match and name.endswith(f".{match[1]}")]
    found: set[str] = set()
    for text in filter(None, texts):
        parts = sections(text)
        found |= named(parts.get("Parameters", [])) | named(parts.get("Attributes", []))
    return found


def returns_something(function: object) -> bool:
    annotation = inspect.signature(function).return_annotation
    return annotation not in (None, "None", "NoReturn", inspect.Signature.empty)


@pytest.mark.parametrize("op", KERNELS)
def test_a_kernel_has_its_full_set_of_files(op):
    expected = [
        f"csrc/{op}.h",
        f"csrc/{op}.cpp",
        f"csrc/cpu/{op}.cpp",
        f"csrc/cuda/{op}.cu",
        f"csrc/host_run/{op}.cpp",
        f"pyxai/ops/{op}.py",
        f"tests/ops/test_{op}.py",
        f"benchmarks/ops/test_{op}.py",
    ]
    missing = [path for path in expected if not (ROOT / path).exists()]
    assert not missing, f"op {op} misses {missing}"
    host_run = (ROOT / f"csrc/host_run/{op}.cpp").read_text().strip()
    assert host_run == f'#include "../cuda/{op}.cu"'


def test_every_op_module_is_a_kernel_or_is_known_to_be_none():
    modules = {path.stem for path in (ROOT / "pyxai/ops").glob("[a-z]*.py")}
    assert modules == set(KERNELS) | WITHOUT_KERNEL
    for folder in ("cpu", "host_run"):
        # The self-test holds kernels with planted mistakes, for tests/ops/test_host_run.py.
        found = {path.stem for path in (ROOT / "csrc" / folder).glob("*.cpp")} - {"selftest"}
        assert found == set(KERNELS)


@pytest.mark.parametrize("op", KERNELS)
def test_what_calls_a_kernel_has_a_reference_of_the_same_signature(op):
    members = own_members(f"pyxai.ops.{op}")
    functions = {name: value for name, value in members.items() if inspect.isfunction(value)}
    checked = {name for name in functions if f"{name}_reference" in functions}
    direct = {name for name, value in functions.items() if "_C." in inspect.getsource(value)}
    assert checked, f"pyxai.ops.{op} has no reference"
    assert direct <= checked, f"no reference for {direct - checked}"
    for name in checked:
        own = [key for key in inspect.signature(functions[name]).parameters if key not in PLACEMENT]
        reference = inspect.signature(functions[f"{name}_reference"]).parameters
        assert [key for key in reference if key not in PLACEMENT] == own, name
    assert set(importlib.import_module(f"pyxai.ops.{op}").__all__) <= set(pyxai.ops.__all__)


def test_torch_stays_out_of_the_kernels():
    # Only then does bare nvcc compile them, with a CPU build of torch too.
    for path in (ROOT / "csrc/cuda").iterdir():
        assert not re.search(r"#include\s*<(torch|ATen|c10)/", path.read_text()), path
    # It costs more compile time than all other headers together.
    users = {
        path.name
        for path in (ROOT / "csrc").rglob("*.*")
        if "#include <torch/extension.h>" in path.read_text()
    }
    assert users == {"bindings.cpp"}


def test_every_launch_can_run_on_the_host():
    for path in (ROOT / "csrc").rglob("*.cu"):
        assert "<<<" not in path.read_text(), f"{path} launches without PYXAI_LAUNCH"
        assert not re.search(r"(?<!extern )__shared__", path.read_text()), path


def test_there_is_no_bare_assertion_about_what_a_user_gives():
    bare = []
    for path in (ROOT / "csrc").rglob("*.*"):
        bare += re.findall(r"TORCH_CHECK\w*\([^,;]*\);", path.read_text())
    assert not bare


def test_importing_warns_of_nothing_and_loads_no_extra():
    code = (
        "import sys, warnings; warnings.simplefilter('error'); import torch; "
        "before = set(sys.modules); import pyxai; "
        "print({'matplotlib', 'sklearn', 'scipy', 'captum', 'shap', 'skimage', 'pandas', "
        "'tqdm', 'sympy', 'torch_geometric'} & (set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
    assert done.stderr == ""


def test_importing_waits_with_rooms_that_explaining_does_not_need():
    code = (
        "import sys, torch, pyxai\n"
        "print(*(name for name in sys.modules if name.startswith('pyxai.')))\n"
        "assert {'plot', 'taylor', 'selection', 'graphs', 'metrics'} <= set(dir(pyxai))\n"
        "assert 'Saliency' in dir(pyxai.attribution)\n"
        "assert pyxai.taylor.harsanyi_dividends and pyxai.attribution.Saliency\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = done.stdout.split()
    rooms = {name.split(".")[1] for name in loaded}
    assert not rooms & {"plot", "taylor", "selection", "graphs", "metrics", "tracing", "demo"}
    assert len(loaded) <= 125


def test_a_method_is_found_by_name_without_loading_the_others():
    code = (
        "import sys, torch, pyxai\n"
        "from pyxai import registry\n"
        "print(registry.get('greedy_pig').cls.__name__)\n"
        "assert 'pyxai.attribution.paths.integrated_gradients' not in sys.modules\n"
        "print(registry.get('layer_grad_cam').cls.__name__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["GreedyPIG", "LayerGradCam"]


def test_every_room_says_where_a_newcomer_starts():
    for path in (ROOT / "pyxai").rglob("__init__.py"):
        if path.parent.name == "pyxai":
            continue
        text = ast.get_docstring(ast.parse(path.read_text()))
        start = re.search(r"Start with\s+`(?:\w+\.)*(\w+)`", text)
        assert start, f"{path} does not say where to start"
        found = [*path.parent.rglob(f"{start[1]}.py"), *path.parent.rglob(start[1])]
        assert found or f"class {start[1]}" in "".join(
            other.read_text() for other in path.parent.glob("*.py")
        ), f"{path} names {start[1]}, which is not there"


@pytest.mark.parametrize("package", ["pyxai", "pyxai.attribution"])
def test_a_lazy_package_refuses_what_it_does_not_have(package):
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'nothing'"):
        importlib.import_module(package).nothing  # noqa: B018


def test_rooms_are_imported_from_below_only_where_a_result_is_shown_or_measured():
    found, hidden = set(), set()
    for path in sorted((ROOT / "pyxai").rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and node.args:
                name = ast.unparse(node.func)
                if name == "above":
                    found.add((module, ast.literal_eval(node.args[0])))
                elif name.endswith("import_module") and "pyxai" in ast.unparse(node.args[0]):
                    hidden.add(module)
    assert found == {
        ("pyxai.attribution.visualization.images", "plot"),
        ("pyxai.attribution.visualization.series", "plot"),
        ("pyxai.attribution.visualization.text", "plot"),
        ("pyxai.decomposition.agglomeration.hierarchy", "metrics"),
        ("pyxai.decomposition.agglomeration.hierarchy", "plot"),
        ("pyxai.transforms.adaptive.wavelet", "plot"),
        ("pyxai.explanation.curve", "plot"),
        ("pyxai.explanation.result", "plot"),
        ("pyxai.graphs.result", "metrics"),
        ("pyxai.graphs.result", "plot"),
        ("pyxai.lex.reports", "metrics"),
        ("pyxai.selection.result", "plot"),
    }
    # The helper itself, the registry, which looks below, and the demonstration's late start.
    assert hidden == {"pyxai._lazy", "pyxai.cli.demo", "pyxai.registry"}


def test_methods_run_where_no_extra_is_installed():
    code = (
        "import sys\n"
        "for name in ('matplotlib', 'sklearn', 'scipy', 'pandas', 'tqdm'):\n"
        "    sys.modules[name] = None\n"
        "import torch, pyxai\n"
        "x, model = torch.ones(1, 3), lambda rows: rows.prod(1)\n"
        "for name in ('kernel_shap', 'lime', 'shapley_values', 'integrated_gradients'):\n"
        "    found = pyxai.explain(model, x, method=name).attributions\n"
        "    assert found.shape == (1, 3) and bool(found.isfinite().all()), name\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_every_method_is_exported():
    # What others derive from is a base unless it is registered as a method of its own.
    pending, classes = [Attribution], {registry.get(name).cls for name in registry.names()}
    while pending:
        cls = pending.pop()
        pending += cls.__subclasses__()
        if cls.__module__.startswith("pyxai.") and not cls.__subclasses__():
            classes.add(cls)
    for cls in classes:
        room = importlib.import_module(".".join(cls.__module__.split(".")[:2]))
        assert cls.__name__ in room.__all__ or cls.__name__.startswith("_"), cls


def modules_with_tests() -> set[str]:
    """Modules of what is registered, and of what other rooms export, but for their results."""
    found = {registry.get(name).cls.__module__ for name in registry.names()}
    for room in ("pyxai.metrics", "pyxai.taylor", "pyxai.selection", "pyxai.graphs"):
        module = importlib.import_module(room)
        values = [getattr(module, name) for name in module.__all__]
        computing = [each for each in values if callable(each) and not is_dataclass(each)]
        found |= {each.__module__ for each in computing}
    return {module.removesuffix(".method") for module in found if module.startswith("pyxai.")}


@pytest.mark.parametrize("module", sorted(modules_with_tests()))
def test_every_method_and_metric_has_a_test_file(module):
    folders, name = module.removeprefix("pyxai.").replace(".", "/").rsplit("/", 1)
    path = ROOT / "tests" / folders / f"test_{name}.py"
    assert path.exists(), f"{module} misses {path.relative_to(ROOT)}"
    assert "def test_" in path.read_text(), f"{path.relative_to(ROOT)} holds no test"


def test_defaults_are_immutable():
    for path in (ROOT / "pyxai").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                defaults = [*node.args.defaults, *filter(None, node.args.kw_defaults)]
                mutable = [d for d in defaults if isinstance(d, (ast.List, ast.Dict, ast.Set))]
                assert not mutable, f"{path}:{node.lineno}"
