"""What `.ci/kernels.py` makes of the output of nvcc, and what is predicted of kernels on a GPU."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from pathlib import Path

import _gpu_kernels
import _gpu_predictions
import pytest

ROOT = Path(__file__).parent.parent
PTX = """
.visible .entry _wide(
\tld.global.nc.v4.f32 \t{%f1, %f2, %f3, %f4}, [%rd1];
\tst.global.cs.v4.u32 \t[%rd2], {%r1, %r2, %r3, %r4};
@%p1 st.global.u8 [%rd3], %rs1;
}
.visible .entry _split(
\tld.global.v2.f64 {%fd1, %fd2}, [%rd1];
\tst.global.f32 [%rd2], %f1;
\tst.global.u16 [%rd2+4], %rs1;
}
"""
LOG = """
ptxas info    : Compiling entry function 'a' for 'sm_90'
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 64 registers, used 0 barriers
ptxas info    : Compiling entry function 'b' for 'sm_90'
    24 bytes stack frame, 24 bytes spill stores, 16 bytes spill loads
ptxas info    : Used 65 registers, used 1 barriers, 1024 bytes smem
"""


@pytest.fixture(scope="module")
def kernels():
    spec = importlib.util.spec_from_file_location("ci_kernels", ROOT / ".ci" / "kernels.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_accesses_are_counted_by_width(kernels):
    found = kernels.accesses(PTX)
    assert found["_wide"] == {("ld", 16): 1, ("st", 16): 1, ("st", 1): 1}
    assert found["_split"] == {("ld", 16): 1, ("st", 4): 1, ("st", 2): 1}


def test_registers_spills_and_blocks(kernels):
    found = kernels.resources(LOG)
    assert found["a"] == (64, 0, 0)
    assert found["b"] == (65, 24, 1024)
    assert [kernel.blocks() for kernel in found.values()] == [4, 3]


@pytest.mark.parametrize(
    ("counts", "faults"),
    [
        ({("st", 16): 7, ("ld", 16): 1}, 0),
        ({("st", 16): 7, ("ld", 16): 1, ("ld", 4): 8, ("st", 1): 2}, 0),
        ({("st", 4): 28, ("ld", 16): 1}, 1),
        ({("st", 16): 1, ("st", 4): 24, ("ld", 16): 1}, 1),
        ({("st", 16): 7, ("ld", 4): 4}, 1),
    ],
)
def test_a_pack_must_be_moved_at_once(kernels, tmp_path, counts, faults):
    source = tmp_path / "it.cu"
    source.write_text("load_pack<T, N>(p.inputs, i); store_pack(p.out, i, pack);")
    accesses = {"it_kernel<float, 4>": Counter(counts), "it_kernel<float, 1>": Counter()}
    found = kernels.pack_faults(kernels.Compiled(source, "sm_90", {}, accesses, []))
    assert len(found) == faults


def test_fewer_blocks_and_spills_are_faults(kernels, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(kernels, "TABLE", tmp_path / "kernels.txt")
    key = ("sm_90", "it_kernel<float, 4>")
    kernels.TABLE.write_text("# head\n" + kernels.row(*key, kernels.Kernel(56, 0, 0)) + "\n")
    assert not kernels.table_faults({key: kernels.Kernel(56, 0, 0)}, whole=True)
    assert not kernels.table_faults({key: kernels.Kernel(64, 0, 0)}, whole=True)
    assert "before: (56, 0, 0)" in capsys.readouterr().out
    (fault,) = kernels.table_faults({key: kernels.Kernel(65, 0, 0)}, whole=True)
    assert fault.endswith("3 blocks fit, 4 did before")
    assert len(kernels.table_faults({key: kernels.Kernel(56, 8, 0)}, whole=True)) == 1
    assert len(kernels.table_faults({("sm_90", "new"): kernels.Kernel(9, 0, 0)}, whole=False)) == 1
    assert len(kernels.table_faults({}, whole=True)) == 1


def test_what_is_bound_by_memory_is_predicted():
    """Every such case of the benchmark, at what is asked of it."""
    bound = {name for name, build in _gpu_kernels.CASES.items() if build("cpu", True).memory_bound}
    assert bound == set(_gpu_predictions.PREDICTIONS)
    for name, counted in _gpu_predictions.PREDICTIONS.items():
        assert _gpu_predictions.share(counted) >= _gpu_kernels.TARGET, name
