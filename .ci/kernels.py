"""Compile every kernel with nvcc and look at what came out, without a GPU.

Warnings are errors. A pack of 16 bytes must be loaded and stored by one instruction, which the PTX
tells. Registers, spills and static shared memory (dynamic shared memory is a matter of the launch)
are compared with the table in kernels.txt: it is an error where fewer blocks fit on a
multiprocessor than the table says, or where more is spilled.

    .ci/nvcc [--write] [--loops NVDISASM] [SOURCE ...]

--write makes the table anew. --loops prints the instructions of each innermost loop that moves 16
bytes at a time, by the disassembler of the toolkit (Triton's wheel has one too).
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
TABLE = Path(__file__).with_name("kernels.txt")
ARCHITECTURES = ("sm_80", "sm_90")
FLAGS = ["-std=c++17", "-O3", "--extended-lambda", "--Werror", "all-warnings", "-c", "-keep"]
FLAGS += ["-Xptxas", "-v"]
WARN = ("-Xcompiler", "-Wall,-Wextra,-Wno-unknown-pragmas")
BYTES = {"double": 8, "float": 4, "BFloat16": 2, "Float16": 2}
BYTES |= {"unsigned long": 8, "unsigned int": 4, "unsigned short": 2}
BLOCK, PACK = 256, 16  # kBlock and kPackBytes of csrc/sizes.h


class Kernel(NamedTuple):
    """What ptxas says of one kernel."""

    registers: int
    spilled: int  # bytes of the stack of a thread
    shared: int  # bytes that the kernel itself declares

    def blocks(self) -> int:
        """Return how many blocks the registers of a multiprocessor let run at once."""
        warp = -(-self.registers // 8) * 8 * 32
        return min(64, (1 << 16) // warp) // (BLOCK // 32)


class Compiled(NamedTuple):
    """What one source gives on one architecture."""

    source: Path
    arch: str
    kernels: dict[str, Kernel]
    accesses: dict[str, Counter[tuple[str, int]]]  # of global memory: ("ld" or "st", bytes)
    loops: list[str]


def demangle(text: str) -> str:
    """Return ``text`` with C++ names in place of symbols, and of kernels the bare name only."""
    out = subprocess.run(["c++filt"], input=text, capture_output=True, text=True, check=True).stdout
    out = re.sub(r"pyxai::(?:cuda::)?(?:\(anonymous namespace\)::)?", "", out)
    return re.sub(r"(?:void )?(\w+_kernel(?:<[^()]*?>)?)\([^'\n]*\)", r"\1", out)


def resources(log: str) -> dict[str, Kernel]:
    found = {}
    for part in log.split("Compiling entry function '")[1:]:
        numbers = {
            key: sum(int(n) for n in re.findall(pattern, part))
            for key, pattern in (
                ("registers", r"Used (\d+) registers"),
                ("spilled", r"(\d+) bytes stack frame"),
                ("shared", r"(\d+) bytes smem"),
            )
        }
        found[part.split("'")[0]] = Kernel(**numbers)
    return found


def accesses(ptx: str) -> dict[str, Counter[tuple[str, int]]]:
    """Count the accesses of global memory in each kernel by their width."""
    found: dict[str, Counter[tuple[str, int]]] = {}
    for part in re.split(r"\.entry ", ptx)[1:]:
        name = part.split("\n")[0].rstrip("( ")
        counts = found[name] = Counter()
        for kind, lanes, bits in re.findall(
            r"^\s*(?:@\S+\s+)?(ld|st)\.global(?:\.[a-z]{2,})*(?:\.v(\d))?\.[a-z](\d+)",
            part,
            re.MULTILINE,
        ):
            counts[kind, int(lanes or 1) * int(bits) // 8] += 1
    return found


def wide_loops(sass: str) -> list[str]:
    """Describe each innermost loop that moves 16 bytes at once."""
    found = []
    for part in sass.split("\n.text.")[1:]:
        name, lines, places = demangle(part.split(":")[0]).strip(), [], {}
        for line in part.splitlines():
            if label := re.match(r"\.(L_x_\w+):", line):
                places[label[1]] = len(lines)
            elif code := re.match(r"\s+/\*[0-9a-f]+\*/\s+(?:@!?U?P\w+\s+)?([A-Z][\w.]*)(.*)", line):
                lines.append((code[1], code[2]))
        spans = []
        for end, (op, rest) in enumerate(lines):
            target = re.search(r"`\(\.(L_x_\w+)\)", rest) if op.startswith("BRA") else None
            if target and places.get(target[1], end + 1) <= end:
                spans.append((places[target[1]], end + 1))
        for begin, end in spans:
            if any((a, b) != (begin, end) and begin <= a and b <= end for a, b in spans):
                continue
            ops = Counter(op.split(".")[0] for op, _ in lines[begin:end])
            wide = Counter(op.split(".")[0] for op, _ in lines[begin:end] if ".128" in op)
            if moved := wide["STG"] or wide["LDG"]:
                each = (end - begin) / moved
                parts = " ".join(f"{op} {n}" for op, n in ops.most_common(12))
                found.append(f"{name}: {moved} packs, {each:.1f} instructions a pack: {parts}")
    return found


def compile_source(nvcc: str, arch: str, source: Path, nvdisasm: str | None) -> Compiled | str:
    """Return what ``source`` gives, or why it does not compile."""
    with tempfile.TemporaryDirectory() as folder:
        command = [nvcc, *FLAGS, "-keep-dir", folder, *WARN, f"-arch={arch}"]
        command += [str(source), "-o", f"{folder}/out.o"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return f"{source.name} for {arch}:\n{done.stdout}{done.stderr}"
        (ptx,) = Path(folder).glob("*.ptx")
        loops = []
        if nvdisasm:
            (cubin,) = Path(folder).glob("*.cubin")
            shown = subprocess.run([nvdisasm, "-c", cubin], capture_output=True, check=True)
            loops = wide_loops(shown.stdout.decode())
        kernels = resources(demangle(done.stdout + done.stderr))
        return Compiled(source, arch, kernels, accesses(demangle(ptx.read_text())), loops)


def pack_faults(got: Compiled) -> list[str]:
    """Say which kernels that work on packs do not move them at once."""
    text, faults, seen = got.source.read_text(), [], False
    for kind, word in (("st", "store_pack"), ("ld", "load_pack")):
        if f"{word}(" not in text and f"{word}<" not in text:
            continue
        for name, counts in got.accesses.items():
            each = re.match(r"\w+_kernel<([\w ]+), (\d+)", name)
            if not each or BYTES.get(each[1], 0) * int(each[2]) != PACK:
                continue
            seen = True
            # A single byte is a flag.
            narrow = sum(n for (k, size), n in counts.items() if k == kind and 1 < size < PACK)
            if not counts[kind, PACK] or (kind == "st" and narrow):
                faults.append(
                    f"{got.arch} {name} must {word} by 16 bytes, "
                    f"got {counts[kind, PACK]} such accesses and {narrow} narrower ones"
                )
        if not seen:
            faults.append(f"{got.source.name} must have a kernel of packs, got none")
    return faults


def read_table() -> dict[tuple[str, str], Kernel]:
    rows = {}
    for line in TABLE.read_text().splitlines() if TABLE.exists() else []:
        if not line.startswith("#"):
            arch, registers, spilled, shared, _, name = line.split(None, 5)
            rows[arch, name] = Kernel(int(registers), int(spilled), int(shared))
    return rows


def row(arch: str, name: str, kernel: Kernel) -> str:
    numbers = (kernel.registers, kernel.spilled, kernel.shared, kernel.blocks())
    return f"{arch} {numbers[0]:4} {numbers[1]:5} {numbers[2]:6} {numbers[3]:3}  {name}"


def table_faults(got: dict[tuple[str, str], Kernel], whole: bool) -> list[str]:
    """Print what changed, and say where fewer threads fit or more is spilled than before."""
    known, faults = read_table(), []
    for key, kernel in got.items():
        before = known.get(key)
        if before == kernel:
            print(row(*key, kernel))
            continue
        print(row(*key, kernel), f"(before: {before and tuple(before)})")
        if before is None:
            faults.append(f"{key[0]} {key[1]} must be in the table")
        elif kernel.blocks() < before.blocks():
            faults.append(
                f"{key[0]} {key[1]}: {kernel.blocks()} blocks fit, {before.blocks()} did before"
            )
        elif kernel.spilled > before.spilled or kernel.shared > before.shared:
            faults.append(f"{key[0]} {key[1]} spills or shares more: {kernel}, before {before}")
    if whole:
        faults += [f"{' '.join(key)} is in the table and is no more" for key in known.keys() - got]
    return faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nvcc", default="nvcc")
    parser.add_argument("sources", nargs="*", type=Path)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--loops", metavar="NVDISASM")
    args = parser.parse_args()
    sources = args.sources or sorted((ROOT / "csrc" / "cuda").glob("*.cu"))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = [
            pool.submit(compile_source, args.nvcc, arch, source, args.loops)
            for arch, source in product(ARCHITECTURES, sources)
        ]
    faults, kernels = [], {}
    for job in jobs:
        got = job.result()
        if isinstance(got, str):
            faults.append(got)
            continue
        faults += pack_faults(got)
        kernels |= {(got.arch, name): kernel for name, kernel in got.kernels.items()}
        for loop in got.loops:
            print(got.arch, loop)
    if args.write:
        kept = {} if not args.sources else read_table()
        rows = [row(*key, kernel) for key, kernel in sorted((kept | kernels).items())]
        head = "# arch, registers, bytes spilled, bytes of static shared memory, blocks that fit"
        TABLE.write_text("\n".join([head, *rows]) + "\n")
    faults += table_faults(kernels, whole=not args.sources)
    for fault in faults:
        print("nvcc FAILED:", fault, file=sys.stderr)
    return int(bool(faults) or not kernels)


if __name__ == "__main__":
    sys.exit(main())
