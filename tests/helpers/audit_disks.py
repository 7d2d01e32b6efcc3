"""Audits on a disk that is too small, and on one that cannot be written to; then there is room.

A program of its own, as it mounts a disk in memory: ``unshare -rm python audit_disks.py FOLDER``.
Without the right to mount, ``python audit_disks.py FOLDER limit`` lets the kernel refuse longer
files instead, of which a process may have been given a limit.
"""

import errno
import json
import resource
import subprocess
import sys
from collections import Counter
from pathlib import Path

import torch
from audit_cases import files_of, make_net, make_rows

from pyxai.audit import audit, load

PAGE = 4096
ASKED = (make_net(), make_rows(60), ["saliency", "input_x_gradient"], "sparseness")


def run(out, rows=20):
    return audit(*ASKED, out, shard_size=rows, threads=1)


def stopped(out, expected):
    """Run into an error of the disk; return its name, and the kind of file that had no room."""
    try:
        run(out)
    except OSError as error:
        if not str(error.strerror).startswith("out must be a folder with room that can be writ"):
            raise
        number = error.errno
    else:
        return None
    if left := list(out.rglob(".*.partial")):
        raise AssertionError(f"half of a file was left: {left}")
    found = files_of(out)
    if wrong := [name for name in found if name != "audit.json" and found[name] != expected[name]]:
        raise AssertionError(f"files are not what they should be: {wrong}")
    shards = [
        f"shards/{i:06}{end}" for i in range(3) for end in (".parquet", ".safetensors", ".json")
    ]
    for name in ("audit.json", *shards, "statistics.parquet"):
        if not (out / name).exists():
            return errno.errorcode[number], name.removeprefix("shards/").lstrip("0123456789")
    return errno.errorcode[number], "audit.json with checksums"


def full(folder, expected, disk):
    """Let a disk be larger by a page each time until all has room."""
    met = Counter()
    for pages in range(1, 200):
        out = disk(folder / str(pages), pages) / "out"
        reason = stopped(out, expected)
        if reason is None:
            return met
        met[" ".join(reason)] += 1
        disk(folder / str(pages), None)
        run(out)
        if files_of(out) != expected:
            raise AssertionError(f"resumed files differ after {pages} pages")
    raise AssertionError("no disk was large enough")


def in_memory(folder, pages):
    """Mount a disk of so many pages, or give the one that is there all the room it wants."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={pages * PAGE if pages else '64m'}"]
    if pages is None:
        command = ["mount", "-o", "remount,size=64m"]
    folder.mkdir(exist_ok=True)
    subprocess.run([*command, *(["none"] if pages else []), str(folder)], check=True)
    return folder


def limited(folder, pages):
    """Let no file be longer than so many pieces of a page."""
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard if pages is None else pages * 512, hard))
    folder.mkdir(exist_ok=True)
    return folder


def main(folder, how):
    run(folder / "whole")
    expected = files_of(folder / "whole")
    if how == "limit":
        print(json.dumps(full(folder, expected, limited)))
        return
    report = full(folder, expected, in_memory)
    # One that was in the midst of its work, and cannot be written to any more.
    out = in_memory(folder / "read only", 4 * PAGE) / "out"
    run(out)
    for name in ("shards/000001.json", "shards/000002.safetensors"):
        (out / name).unlink()
    before = files_of(out)
    subprocess.run(["mount", "-o", "remount,ro", str(out.parent)], check=True)
    report[stopped(out, expected)[0]] += 1
    if files_of(out) != before or load(out).complete:
        raise AssertionError("a disk that cannot be written to was")
    subprocess.run(["mount", "-o", "remount,rw", str(out.parent)], check=True)
    run(out)
    if files_of(out) != expected:
        raise AssertionError("resumed files differ")
    print(json.dumps(report))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "mount")
