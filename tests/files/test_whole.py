"""Files are written whole or not at all, by every part of the package."""

import contextlib
import errno
import os
import re
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

import pyxai
from pyxai import Explanation
from pyxai._files import tensors, whole_file
from pyxai.report import Report, document

ROOT = Path(__file__).parents[2]


def explanation(value=1.0, size=50):
    values = torch.full((2, size), float(value))
    return Explanation(values, values, method="by_hand", options={"value": float(value)})


def page(value="a"):
    report = Report(f"title {value}")
    report.section(f"section {value}")
    return report


WRITERS = {
    "explanation": lambda path: explanation().save(path),
    "report": lambda path: page().write(path),
    "imputer": lambda path: pyxai.imputers.Constant(1.0).save(path),
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_what_is_no_regular_file_is_refused(write, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name, kind in (("pipe", "a pipe, a socket or a device"), ("folder", "a folder")):
        with pytest.raises(ValueError, match=f"path must be a regular file or .*, got {kind}"):
            write(tmp_path / name)
    with pytest.raises(ValueError, match="got a pipe, a socket or a device: '/dev/null'"):
        write(Path("/dev/null"))
    assert sorted(each.name for each in tmp_path.iterdir()) == ["folder", "pipe"]
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_mode_and_links_are_kept(write, tmp_path):
    path, link = tmp_path / "file", tmp_path / "link"
    (tmp_path / "new").touch()
    write(path)
    assert path.stat().st_mode == (tmp_path / "new").stat().st_mode
    path.chmod(0o640)
    link.symlink_to(path)
    before = path.read_bytes()
    path.write_bytes(b"old")
    write(link)
    assert link.is_symlink()
    assert path.read_bytes() == before
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_a_full_disk_is_an_os_error_and_leaves_the_old_file(write, tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    class Full:
        def __init__(self, file):
            self.file = file

        def write(self, data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    @contextlib.contextmanager
    def full_file(path):
        with whole_file(path) as file:
            yield Full(file)

    for module in (tensors, document):
        monkeypatch.setattr(module, "whole_file", full_file)
    with pytest.raises(OSError, match="No space left on device"):
        write(path)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_what_killed_writers_have_left_is_removed_and_what_is_written_is_not(tmp_path):
    left = [tmp_path / f".e.{name}.partial" for name in ("1234", "0123456789abcdef")]
    for each in left:
        each.write_bytes(b"half")
    others = [tmp_path / ".f.1234.partial", tmp_path / "e.partial"]
    for each in others:
        each.write_bytes(b"not of it")
    with whole_file(tmp_path / "e") as file:
        file.write(b"one")
        explanation().save(tmp_path / "e")  # meanwhile, by another
        assert not any(each.exists() for each in left)
        assert all(each.exists() for each in others)
    assert (tmp_path / "e").read_bytes() == b"one"
    assert len(os.listdir(tmp_path)) == 3


def test_long_names_have_partial_files_too(tmp_path):
    path = tmp_path / ("ä" * 120 + ".safetensors")
    assert Explanation.load(explanation().save(path)).options == {"value": 1.0}


def test_threads_that_save_to_one_path_are_each_whole(tmp_path):
    path, failures = tmp_path / "e", []
    explanation(0).save(path)

    def save(value):
        for _ in range(15):
            explanation(value).save(path)

    def load():
        for _ in range(60):
            try:
                found = Explanation.load(path)
                assert bool((found.attributions == found.options["value"]).all())
            except Exception as error:
                failures.append(error)

    threads = [threading.Thread(target=save, args=(value,)) for value in range(4)]
    threads += [threading.Thread(target=load) for _ in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not failures
    assert os.listdir(tmp_path) == ["e"]


WORK = """
import sys, torch
from pathlib import Path
from pyxai import Explanation
from pyxai.report import Report
folder, number = Path(sys.argv[1]), 0
print("ready", flush=True)
while True:
    number += 1
    values = torch.full((2, 200_000), float(number % 7))
    Explanation(values, values, options={"value": float(number % 7)}).save(folder / "e")
    report = Report(f"title {number}")
    report.section("s").text("x" * 2_000_000)
    report.write(folder / "r.html")
"""


@pytest.mark.parametrize("kills", [2])
def test_a_kill_leaves_the_old_file_or_the_new(kills, tmp_path):
    """See `benchmarks/file_races.py` for more of them."""
    for kill in range(kills):
        child = subprocess.Popen(
            [sys.executable, "-c", WORK, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT
        )
        assert child.stdout.readline() == b"ready\n"
        child.stdout.close()
        while not (tmp_path / "r.html").exists():
            assert child.poll() is None
        threading.Event().wait(0.02 + 0.013 * kill)
        child.send_signal(signal.SIGKILL)
        child.wait()
        found = Explanation.load(tmp_path / "e")
        assert bool((found.attributions == found.options["value"]).all())
        assert (tmp_path / "r.html").read_text(encoding="utf-8").endswith("</html>\n")
    explanation().save(tmp_path / "e")
    page().write(tmp_path / "r.html")
    assert sorted(os.listdir(tmp_path)) == ["e", "r.html"]


def test_a_loaded_file_may_change(tmp_path):
    path = explanation(3).save(tmp_path / "e")
    found = Explanation.load(path)
    path.write_bytes(b"\0" * path.stat().st_size)
    os.truncate(path, 10)
    assert bool((found.attributions == 3).all())


WRITES = re.compile(
    r"write_text|write_bytes|open\([^)]*[\"'][wax]|save_file|torch\.save|np\.save|savefig|NamedTemp"
    r"|File\(.*\"w|mode=\"w"
)


def test_nothing_else_in_the_package_writes_files():
    found = {
        str(path.relative_to(ROOT / "pyxai")): line.strip()
        for path in (ROOT / "pyxai").rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if WRITES.search(line)
    }
    allowed = {
        "_files/whole.py",
        # Into memory.
        *("report/pictures.py", "plot/summary_html.py", "cli/files/outputs.py"),
        # Sentences that speak of torch's function.
        "cli/files/models.py",
        # What Linux shows as a file.
        "_timing/memory.py",
        # Into a temporary folder, for processes that are started afterwards.
        "audit/launch.py",
        # Into a folder that appears when it is whole.
        *("audit/export/virelay.py", "audit/export/zarr_store.py"),
    }
    assert found.keys() <= allowed, found
    assert "_files/whole.py" in found
