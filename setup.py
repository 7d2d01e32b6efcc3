"""Build logic: one extension `pyxai._C` with CPU kernels, and CUDA and host_run kernels on demand.

PYXAI_CUDA=0|1     leave out / require the CUDA kernels (default: what the installed torch has)
PYXAI_HOST_RUN=1   add the CUDA sources compiled to run on the CPU (tests only)
PYXAI_NATIVE=0     leave the module out: it is built in place already (an editable install by make)
PYXAI_SANITIZE=1   AddressSanitizer and UndefinedBehaviorSanitizer (tests only)
PYXAI_WERROR=1     warnings of the C++ compiler are errors
"""

import os
import sys
from pathlib import Path

import torch
from setuptools import setup
from torch.utils.cpp_extension import (
    CUDA_HOME,
    BuildExtension,
    CppExtension,
    CUDAExtension,
    include_paths,
)

ROOT = Path(__file__).parent
# Contraction would give the same source other bits on other processors.
CXX_FLAGS = [
    "-O3",
    "-std=c++20",
    "-Wall",
    "-Wextra",
    "-Wno-unknown-pragmas",
    "-ffp-contract=off",
    "-fno-math-errno",  # nobody reads errno, and square roots vectorise without it
    "-fvisibility=hidden",
]
# torch adds its headers by -I, and their warnings would be ours.
SYSTEM_FLAGS = [flag for path in include_paths() for flag in ("-isystem", path)]
# Without it at::parallel_for runs on one thread, in silence. Compiled but not linked: torch puts
# its OpenMP run time into the global scope, and a second one would not heed set_num_threads.
OPENMP_FLAGS = ["-fopenmp"] if sys.platform == "linux" else []
NVCC_FLAGS = ["-O3", "-std=c++17", "--extended-lambda"]


def wants_cuda() -> bool:
    torch_has_it = torch.version.cuda is not None
    choice = os.environ.get("PYXAI_CUDA")
    if choice not in (None, "0", "1"):
        raise RuntimeError(f"PYXAI_CUDA must be 0 or 1, got {choice!r}")
    if choice == "1" and not torch_has_it:
        raise RuntimeError(
            f"PYXAI_CUDA=1 needs a CUDA build of torch, got torch {torch.__version__}"
        )
    if choice == "1" and CUDA_HOME is None:
        raise RuntimeError("PYXAI_CUDA=1 needs a CUDA toolkit: set CUDA_HOME")
    return choice == "1" or (choice is None and torch_has_it and CUDA_HOME is not None)


def sources(*folders: str) -> list[str]:
    return sorted(
        str(path.relative_to(ROOT))
        for folder in folders
        for suffix in ("*.cpp", "*.cu")
        for path in (ROOT / "csrc" / folder).glob(suffix)
    )


def extension():
    cuda, host_run = wants_cuda(), os.environ.get("PYXAI_HOST_RUN") == "1"
    folders = [".", "cpu"] + ["cuda"] * cuda + ["host_run"] * host_run
    flags = (
        CXX_FLAGS
        + SYSTEM_FLAGS
        + OPENMP_FLAGS
        + ["-DPYXAI_WITH_CUDA"] * cuda
        + ["-DPYXAI_WITH_HOST_RUN"] * host_run
        + ["-Werror"] * (os.environ.get("PYXAI_WERROR") == "1")
    )
    link = []
    if os.environ.get("PYXAI_SANITIZE") == "1":
        flags += [
            "-O1",
            "-g",
            "-fsanitize=address,undefined",
            "-fno-sanitize-recover=undefined",
            "-DPYXAI_SANITIZE",
        ]
        link = ["-fsanitize=address,undefined"]
    print(f"pyxai: backends {folders[1:]}, torch {torch.__version__}, CUDA_HOME {CUDA_HOME}")
    build = CUDAExtension if cuda else CppExtension
    return build(
        "pyxai._C",
        sources(*folders),
        extra_compile_args={"cxx": flags, "nvcc": NVCC_FLAGS},
        extra_link_args=link,
        depends=[str(p.relative_to(ROOT)) for p in (ROOT / "csrc").rglob("*.h")],
    )


native = os.environ.get("PYXAI_NATIVE") != "0"
setup(ext_modules=[extension()] if native else [], cmdclass={"build_ext": BuildExtension})
