"""What a user gets: a source distribution, a wheel built from it, and the wheel imported elsewhere.

Works in build/package, on a copy of the files that git knows or does not ignore.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "build" / "package"
PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
BUILD = {"PYXAI_HOST_RUN": "1", "PYXAI_CUDA": "0", "PYXAI_WERROR": "1"}

ELSEWHERE = """
import importlib, pkgutil, sys
from pathlib import Path

import torch
import pyxai

assert Path(pyxai.__file__).is_relative_to(sys.argv[1]), pyxai.__file__
assert pyxai.backends()["built"] == ("cpu", "host_run"), pyxai.backends()
for module in pkgutil.walk_packages(pyxai.__path__, "pyxai."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh(), torch.nn.Linear(3, 2)).eval()
made = pyxai.explain(model, torch.ones(2, 4), method="integrated_gradients", target=0)
made.save("made.safetensors")
again = pyxai.Explanation.load("made.safetensors")
assert torch.equal(again.attributions, made.attributions)
"""


def run(*command: str, cwd: Path, **environment: str) -> None:
    subprocess.run(command, cwd=cwd, env={**os.environ, **environment}, check=True)


def checkout() -> set[str]:
    """Files of the checkout, by path."""
    command = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return {name for name in listed.split("\0") if name and (ROOT / name).is_file()}


def compare(what: str, got: set[str], wanted: set[str]) -> None:
    if got != wanted:
        raise SystemExit(
            f"{what}: missing {sorted(wanted - got)}, and too much {sorted(got - wanted)}"
        )
    print(f"{what}: {len(got)} files")


def source_distribution(files: set[str]) -> Path:
    """Build it in a copy of the checkout; return where it is unpacked."""
    for name in files:
        (WORK / "checkout" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, WORK / "checkout" / name)
    build = "from setuptools import build_meta; build_meta.build_sdist('../dist')"
    run(sys.executable, "-c", build, cwd=WORK / "checkout", **BUILD)
    (archive,) = (WORK / "dist").glob("*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(WORK, filter="data")
    source = WORK / archive.name.removesuffix(".tar.gz")
    held = {str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()}
    made = {name for name in held if name in ("PKG-INFO", "setup.cfg") or ".egg-info/" in name}
    compare("sdist", held - made, files)
    return source


def wheel(source: Path, files: set[str]) -> Path:
    """Build it from the unpacked source distribution; return where it is installed."""
    command = ("wheel", "--no-build-isolation", "--no-deps", "--wheel-dir", "../dist", ".")
    run(*PIP, *command, cwd=source, **BUILD)
    (archive,) = (WORK / "dist").glob("*.whl")
    names = {name for name in zipfile.ZipFile(archive).namelist() if ".dist-info/" not in name}
    native = {name for name in names if name.startswith("pyxai/_C.") and name.endswith(".so")}
    assert len(native) == 1, native
    compare("wheel", names - native, {name for name in files if name.startswith("pyxai/")})
    run(*PIP, "install", "--no-deps", "--no-index", "--target", "site", str(archive), cwd=WORK)
    return WORK / "site"


def main() -> None:
    shutil.rmtree(WORK, ignore_errors=True)
    (WORK / "elsewhere").mkdir(parents=True)
    files = checkout()
    source = source_distribution(files)
    site = wheel(source, files)
    installed = {"PYTHONPATH": str(site)}
    run(sys.executable, "-c", ELSEWHERE, str(site), cwd=WORK / "elsewhere", **installed)
    run(str(site / "bin" / "pyxai"), "methods", cwd=WORK / "elsewhere", **installed)
    # The tests that it ships run on the wheel, not on the sources beside them.
    (test,) = (source / "tests").rglob("test_path_accumulate.py")
    program = "import sys, pytest; sys.exit(pytest.main(sys.argv[1:]))"
    options = ("-q", "-p", "no:cacheprovider", f"--rootdir={source}")
    shutil.move(source / "pyxai", source / "pyxai-moved-aside")
    run(sys.executable, "-c", program, *options, str(test), cwd=WORK / "elsewhere", **installed)


if __name__ == "__main__":
    main()
