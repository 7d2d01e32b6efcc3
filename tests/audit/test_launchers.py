"""Whoever makes the shards, the files are the same bytes."""

import os
import subprocess
import sys

import pytest
import torch
from audit_cases import (
    HELPERS,
    KillsWorkers,
    Rows,
    files_of,
    make_labels,
    make_net,
    make_rows,
    program,
)

from pyxai.audit import audit, load

METHODS = ["saliency", "gradient_shap"]


def run(out, data=None, **options):
    given = {"baselines": torch.zeros(1, 6), "shard_size": 4, "threads": 1, **options}
    data = Rows(make_rows(), make_labels(), unreadable=(5,)) if data is None else data
    return audit("audit_cases:make_net", data, METHODS, "sparseness", out, **given)


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    out = tmp_path_factory.mktemp("one")
    assert run(out).complete
    return files_of(out)


@pytest.mark.parametrize("workers", [2, 3, 5])
def test_workers(tmp_path, expected, workers):
    done = []
    found = run(tmp_path, workers=workers, progress=lambda *each: done.append(each))
    assert done == [(each, 6) for each in range(1, 7)]
    assert found.complete
    assert files_of(tmp_path) == expected


def test_parts_of_an_array_of_jobs(tmp_path, expected):
    for part in (2, 0, 1):
        assert run(tmp_path, shard=f"{part}/3").complete == (part == 1)
    assert files_of(tmp_path) == expected


def test_a_worker_that_is_killed_loses_its_shard_alone(tmp_path):
    flag = tmp_path / "flag"
    data = KillsWorkers(make_rows(), flag, deadly=18)
    run(tmp_path / "whole", data)
    flag.write_text("")
    with pytest.raises(RuntimeError, match="workers must live until the end"):
        run(tmp_path / "out", data, workers=1)
    assert not load(tmp_path / "out").complete
    assert len(list((tmp_path / "out" / "shards").glob("*.json"))) >= 3
    flag.unlink()
    assert run(tmp_path / "out", data).complete
    assert files_of(tmp_path / "out") == files_of(tmp_path / "whole")


def test_what_cannot_be_sent_is_named(tmp_path):
    with pytest.raises(TypeError, match="model and dataset must be picklable to be sent"):
        audit(lambda x: x, make_rows(), "feature_ablation", out=tmp_path, workers=2, target=0)


def test_torchrun_with_more_ranks_than_some_have_rows(tmp_path):
    out = tmp_path / "ranks"
    ranks = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "4")
    program(*ranks, HELPERS / "audit_ranks.py", out)
    assert [(tmp_path / f"ranks.{rank}").read_text() for rank in range(4)] == ["True"] * 4
    alone = audit(
        make_net(), make_rows(7), "saliency", out=tmp_path / "alone", shard_size=1, threads=1
    )
    assert load(out).rows().id.tolist() == list(range(7))
    assert files_of(out) == files_of(alone.folder.path)


_WITHOUT_A_GUARD = """
import sys
from audit_cases import make_net, make_rows
from pyxai.audit import audit
audit(make_net(), make_rows(9000), "saliency", out=sys.argv[1], workers=2)
"""


def test_a_program_without_a_guard_is_told_so_however_large_its_data(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(_WITHOUT_A_GUARD, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "out")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ended.returncode == 1
    assert "workers must live until the end" in ended.stderr
    assert "if __name__ == '__main__'" in ended.stderr
