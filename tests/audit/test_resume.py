"""Whatever stops an audit, the next run goes on, and the files are those of a whole run."""

import errno
import itertools
import json
import os
import shutil
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
import torch
from audit_cases import HELPERS, files_of, make_net, make_rows, program

from pyxai import PyxaiWarning
from pyxai._files import whole
from pyxai.audit import audit, load, merge
from pyxai.runner.memory import LiveBytes


def run(out, **options):
    given = {"baselines": torch.zeros(1, 6), "shard_size": 9, **options}
    return audit(make_net(), make_rows(), ["saliency", "gradient_shap"], out=out, **given)


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole")
    run(out)
    return files_of(out)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills take a system that forks")
@pytest.mark.parametrize(
    ("how", "kills", "part_done"),
    [
        # Of 40: the machine may be faster than when it was measured.
        ("moments", 20, 5),
        # All there are: of each of nine files where it is made, synced and renamed.
        ("steps", 36, 9),
        ("workers", 10, 2),  # of 20
    ],
)
def test_killed(tmp_path, how, kills, part_done):
    helper = HELPERS / "audit_kills.py"
    report = json.loads(program(helper, tmp_path, how, 20).splitlines()[-1])
    assert report["different"] == []
    assert report["left"] == 0
    assert report["kills"] >= kills
    assert report["part_done"] >= part_done


def test_a_full_disk_stops_with_what_is_done(tmp_path, monkeypatch, expected):
    """At each write of the run in turn; the next run ends it."""
    real, calls = os.fsync, [0]

    def count(descriptor):
        calls[0] += 1
        real(descriptor)

    monkeypatch.setattr(whole.os, "fsync", count)
    run(tmp_path / "count")
    total = calls[0]
    assert total == 12  # the plan twice, statistics, three files of each of three shards
    for stop in range(1, total + 1):
        calls[0] = 0

        def full(descriptor, stop=stop):
            calls[0] += 1
            if calls[0] >= stop:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            real(descriptor)

        out = tmp_path / str(stop)
        monkeypatch.setattr(whole.os, "fsync", full)
        with pytest.raises(
            OSError, match=r"out must be a folder with room .*No space left"
        ) as said:
            run(out)
        assert said.value.errno == errno.ENOSPC
        assert not list(out.rglob("*.partial"))
        monkeypatch.setattr(whole.os, "fsync", count)
        assert run(out).complete
        assert files_of(out) == expected


def test_a_disk_that_is_too_small(tmp_path):
    if not can_mount():
        pytest.skip("a small disk takes the right to mount one")
    command = ("unshare", "-rm", sys.executable)
    report = json.loads(program(HELPERS / "audit_disks.py", tmp_path, command=command))
    kinds = (".parquet", ".safetensors", ".json", "statistics.parquet", "audit.json with checksums")
    assert report.keys() == {f"ENOSPC {kind}" for kind in kinds} | {"EROFS"}


def test_files_that_may_not_be_longer(tmp_path):
    report = json.loads(program(HELPERS / "audit_disks.py", tmp_path, "limit"))
    assert {"EFBIG audit.json", "EFBIG .parquet", "EFBIG statistics.parquet"} <= report.keys()


def can_mount():
    if shutil.which("unshare") is None:
        return False
    command = ["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_a_folder_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="out must be a folder with room that can be written to"):
        run(tmp_path / "file" / "out")


def truncate(path):
    path.write_bytes(path.read_bytes()[:-7])


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("change", [truncate, flip, Path.unlink])
@pytest.mark.parametrize("name", ["000001.parquet", "000001.safetensors"])
def test_a_changed_shard_is_named_and_made_anew(tmp_path, expected, name, change):
    run(tmp_path)
    change(tmp_path / "shards" / name)
    with pytest.raises(ValueError, match=r"without 1 \(changed\)"):
        merge(tmp_path)
    with pytest.warns(PyxaiWarning, match="shard 1 of .* is not as it was written"):
        run(tmp_path)
    assert files_of(tmp_path) == expected


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"files": {"../audit.json": "0"}}'])
def test_a_changed_mark_is_no_mark(tmp_path, expected, text):
    run(tmp_path)
    (tmp_path / "shards" / "000002.json").write_text(text)
    with pytest.warns(PyxaiWarning, match="shard 2 of"):
        run(tmp_path)
    assert files_of(tmp_path) == expected


def test_readers_refuse_what_was_changed(tmp_path):
    found = run(tmp_path)
    flip(tmp_path / "shards" / "000001.parquet")
    truncate(tmp_path / "shards" / "000002.safetensors")
    with pytest.raises(ValueError, match=r"as they were written, got a changed .*000001.parquet"):
        found.rows()
    with pytest.raises(ValueError, match=r"000002.safetensors"):
        found.maps("saliency", 22)
    assert found.maps("saliency", 3).shape == (6,)


def test_a_broken_plan_is_named(tmp_path):
    run(tmp_path)
    truncate(tmp_path / "audit.json")
    for call in (lambda: run(tmp_path), lambda: load(tmp_path)):
        with pytest.raises(ValueError, match=r"out must hold a whole audit.json"):
            call()


def test_done_work_is_not_done_again(tmp_path, expected):
    run(tmp_path)
    asked = []
    run(tmp_path, progress=lambda *done: asked.append(done))
    assert asked == []
    (tmp_path / "shards" / "000001.json").unlink()
    run(tmp_path, progress=lambda *done: asked.append(done))
    assert asked == [(1, 1)]
    assert files_of(tmp_path) == expected


def test_memory_does_not_grow_with_the_examples(tmp_path):
    number = itertools.count()

    def peaks(count):
        net, rows = make_net(), make_rows(count)
        tracemalloc.start()
        try:
            with LiveBytes() as tensors:
                audit(net, rows, "saliency", out=tmp_path / str(next(number)), shard_size=50)
            return tensors.peak, tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peaks(50)  # what is imported on first use
    # The least of three: a shard is written while the next is explained, so that more of both may
    # live at once by chance, and never less than must.
    few, many = (
        tuple(map(min, zip(*(peaks(count) for _ in range(3)), strict=True)))
        for count in (100, 1600)
    )
    assert many[0] <= few[0]
    # Columns of numbers are held for the statistics, 8 bytes a row each: rows hold far more.
    assert many[1] - few[1] < 1500 * 200


def test_what_killed_processes_left_is_removed_in_the_end(tmp_path, expected):
    run(tmp_path)
    names = ("shards/.000001.parquet", ".audit.json", ".statistics.parquet")
    for name in names:
        (tmp_path / f"{name}.0123456789abcdef.partial").write_bytes(b"half")
    (tmp_path / ".notes.partial").write_bytes(b"of somebody else")
    run(tmp_path)  # no shard is written again
    (tmp_path / ".notes.partial").unlink()
    assert files_of(tmp_path) == expected
