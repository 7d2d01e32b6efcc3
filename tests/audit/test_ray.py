"""Actors of Ray make the shards: the same files, on what they ask for, also where some die."""

import importlib
import os
import pickle
import random
import re
import signal
import sys
from types import SimpleNamespace

import pytest
import torch
from audit_cases import DiesOnce, Meet, Rows, files_of, make_labels, make_net, make_rows
from faked_device import CUDA, device_of, faked_devices, moved

from pyxai import PyxaiWarning
from pyxai.audit import audit, load, prepare, run_shard
from pyxai.audit.cluster import _Actor, _Crew

METHODS = ["saliency", "gradient_shap"]


def run(out, data=None, **options):
    given = {"baselines": torch.zeros(1, 6), "shard_size": 4, "threads": 1, **options}
    data = Rows(make_rows(), make_labels(), unreadable=(5,)) if data is None else data
    return audit("audit_cases:make_net", data, METHODS, "sparseness", out, **given)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return run(tmp_path_factory.mktemp("alone"))


@pytest.fixture(scope="module")
def cluster():
    """Four CPUs, and two GPUs that Ray only counts."""
    ray = importlib.import_module("ray")
    ray.init(num_cpus=4, num_gpus=2, include_dashboard=False, logging_level="ERROR")
    yield ray
    ray.shutdown()


def test_without_a_cluster_one_is_started_and_stopped(tmp_path, alone):
    ray, handler = importlib.import_module("ray"), signal.getsignal(signal.SIGTERM)
    assert not ray.is_initialized()
    with pytest.raises(ValueError, match=r"backend must ask for what a node has, got .*'moons': 1"):
        run(tmp_path, backend=("ray", {"moons": 1}))
    assert run(tmp_path, backend="ray", workers=1).complete
    assert not ray.is_initialized()
    assert signal.getsignal(signal.SIGTERM) is handler
    assert files_of(tmp_path) == files_of(alone.folder.path)


def test_four_actors_make_the_files_of_one_process(tmp_path, cluster, alone):
    done = []
    found = run(tmp_path, backend="ray", workers=4, progress=lambda *each: done.append(each))
    assert done == [(each, 6) for each in range(1, 7)]
    assert files_of(tmp_path) == files_of(alone.folder.path)
    assert found.rows(["id"]).id.tolist() == [number for number in range(23) for _ in METHODS]
    assert found.statistics().equals(alone.statistics())
    assert cluster.is_initialized()  # it is not the audit's to stop


def test_actors_hold_what_they_ask_for(tmp_path, cluster):
    notes = tmp_path / "notes"
    notes.mkdir()
    data = Meet(make_rows(), notes, 2)
    found = run(tmp_path / "out", data, backend=("ray", {"num_gpus": 1, "num_cpus": 0.5}))
    assert found.complete
    assert found.table(["error"]).column("error").null_count == 2 * 23
    # The two that there is room for worked at the same time, each with a GPU of its own.
    gpus = {path.name.split(":")[1] for path in notes.iterdir()}
    assert gpus == {"0", "1"}
    assert len(list(notes.iterdir())) == 2


def test_the_shard_of_an_actor_that_dies_is_made_by_another(tmp_path, cluster):
    notes = tmp_path / "notes"
    notes.mkdir()
    data = DiesOnce(make_rows(), notes, deadly=17, times=2)
    assert run(tmp_path / "ray", data, backend="ray", workers=2).complete
    assert len(list(notes.iterdir())) == 2
    run(tmp_path / "alone", data)
    assert files_of(tmp_path / "ray") == files_of(tmp_path / "alone")


def test_a_shard_that_kills_each_actor_is_named(tmp_path, cluster):
    notes = tmp_path / "notes"
    notes.mkdir()
    data = DiesOnce(make_rows(), notes, deadly=17, times=9)
    with pytest.raises(RuntimeError, match=r"got 3 of Ray's of which each that was given shard 4"):
        run(tmp_path / "out", data, backend="ray", workers=1)
    assert len(list(notes.iterdir())) == 3
    assert not load(tmp_path / "out").complete
    assert len(list((tmp_path / "out" / "shards").glob("*.json"))) == 4
    assert run(tmp_path / "out", data).complete


def test_errors_of_an_actor_keep_their_type(tmp_path, cluster):
    with pytest.raises(ValueError, match=r"^dataset must have good examples, got 5: OSError"):
        run(tmp_path, backend="ray", workers=1, on_error="raise")


def test_a_cluster_without_room_is_waited_for_and_said(tmp_path, cluster):
    with pytest.raises(PyxaiWarning, match=r"a node has at most .*'num_gpus': 2.* waits"):
        run(tmp_path, backend=("ray", {"num_gpus": 3}))


def test_without_ray_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r"audits by Ray need ray>=2.9; .*\.\[ray\]"):
        run(tmp_path, backend="ray")


@pytest.mark.parametrize(
    ("backend", "error", "said"),
    [
        ("dask", ValueError, "backend must be one of 'local', 'ray', got"),
        (("local", {"num_gpus": 1}), ValueError, "backend must be 'local', 'ray' or a pair"),
        (("ray", [1]), ValueError, "backend must be 'local', 'ray' or a pair"),
        (("ray",), ValueError, "backend must be one of"),
        (("ray", {"num_gpus": -1}), ValueError, "num_gpus of backend must be at least 0, got -1"),
        (("ray", {"num_gpus": "1"}), TypeError, "num_gpus of backend must be a number"),
    ],
)
def test_bad_arguments(tmp_path, backend, error, said):
    with pytest.raises(error, match=said):
        run(tmp_path / "out", backend=backend)
    assert not (tmp_path / "out").exists()


def test_a_node_that_sees_another_folder_or_other_data_is_named(tmp_path):
    rows = make_rows()
    job = prepare("audit_cases:make_net", Rows(rows), "saliency", out=tmp_path)

    def start(job, digest):
        threads = torch.get_num_threads()
        _Actor().start(pickle.dumps(job), digest, threads, False, os.getcwd(), [])

    start(job, job.digest)
    with pytest.raises(ValueError, match="out must be a folder that all nodes of the cluster sh"):
        start(job, "another")
    rows[0, 0] += 1
    with pytest.raises(ValueError, match="dataset must be the same on all nodes of the cluster"):
        start(job, job.digest)


class Fake:
    """As much of Ray as is asked here; actors die by chance, also while they start."""

    class Died(Exception):
        pass

    def __init__(self, seed, chance):
        self.draw, self.chance = random.Random(seed), chance
        self.alive, self.made, self.deaths = set(), [], 0
        names = ("RayActorError", "WorkerCrashedError", "OutOfMemoryError", "NodeDiedError")
        self.exceptions = SimpleNamespace(RayTaskError=KeyError, **dict.fromkeys(names, self.Died))

    def remote(self, kind):
        return SimpleNamespace(options=lambda **_: SimpleNamespace(remote=self.hire))

    def hire(self):
        actor = SimpleNamespace(name=object())
        actor.start = SimpleNamespace(remote=lambda *_: (actor.name, None))
        actor.make = SimpleNamespace(remote=lambda shard: (actor.name, shard))
        self.alive.add(actor.name)
        return actor

    def wait(self, waiting, num_returns):
        return [self.draw.choice(waiting)], []

    def get(self, asked):
        name, shard = asked
        assert name in self.alive  # nothing is asked of one that has died
        if self.draw.random() < self.chance:
            self.deaths += 1
            raise self.Died
        if shard is not None:
            self.made.append(shard)

    def kill(self, actor):
        self.alive.discard(actor.name)


def test_whoever_dies_no_shard_is_lost_or_made_twice():
    whole = deaths = 0
    reasons = set()
    for seed in range(200):
        ray, shards, found = Fake(seed, chance=0.2), list(range(12)), []
        crew = _Crew(ray, {}, (), shards)
        try:
            with crew:
                for _ in range(3):
                    crew.hire()
                found.extend(crew.finished())
        except RuntimeError as error:
            reasons.add(re.sub(r" \d+ died", "", str(error).partition(" (memory")[0]))
        else:
            assert sorted(found) == shards
            whole += 1
        assert found == ray.made
        assert len(set(found)) == len(found)
        assert not ray.alive
        deaths += ray.deaths
    assert whole > 100
    assert deaths > 400
    start = "workers must live until the end, got 3 of Ray's of which "
    assert reasons == {start + "none started", start + "each that was given shard"}


def test_an_actor_with_a_gpu_works_there(tmp_path):
    job = prepare(
        make_net(),
        make_rows(),
        ("feature_ablation", {"feature_mask": torch.arange(6)[None] // 2}),
        out=tmp_path,
        baselines=torch.ones(1, 6),
    )
    run_shard(job, 0)
    expected = job.folder.read_maps(0)[0]["feature_ablation"]
    with faked_devices():
        job.given = job._model = moved(make_net(), CUDA)
        assert job.settle()
        assert job.device == CUDA
        assert device_of(job.baselines) == device_of(job.methods[0].options["feature_mask"]) == CUDA
        run_shard(job, 0)
    torch.testing.assert_close(job.folder.read_maps(0)[0]["feature_ablation"], expected)


def test_a_model_is_moved_where_its_actor_works(tmp_path):
    job = prepare("audit_cases:make_net", make_rows(), "saliency", out=tmp_path, baselines=0.5)
    assert job.settle(torch.device("meta"))
    assert {each.device.type for each in job.model.parameters()} == {"meta"}
    assert job.device == torch.device("meta")
