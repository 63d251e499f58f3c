"""Ray Data on this machine: the same bits, nothing lost and nothing twice when an actor or a node is lost. See .ci/ray."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

import fastconv
from fastconv import FastconvError, InputError
from fastconv.batch_predictor import BatchPredictor
from fastconv.cli import main
from fastconv.data import DIGITS, DIGITS_IMAGES
from fastconv.predict import parts
from fastconv.predict.pictures import list_pictures
from fastconv.predict.work import Work

from ..predict.conftest import write_digits

ray = pytest.importorskip("ray", reason="Ray is not installed: .ci/ray installs it")
pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
cluster_utils = pytest.importorskip("ray.cluster_utils")


@pytest.fixture(autouse=True)
def no_other_cluster(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    yield
    ray.shutdown()


@pytest.fixture
def one_machine():
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)


@pytest.fixture(scope="module")
def images():
    with np.load(DIGITS_IMAGES, allow_pickle=False) as file:
        return (file["images"][:101, None] / 16).astype(np.float32)


def slowly(row):
    """A preprocessing of 20 ms, so that there is time to kill what does it; it notes its process."""
    Path(os.environ["FASTCONV_TEST_WORKERS"], str(os.getpid())).touch()
    time.sleep(0.02)
    return row


class Slow(Work):
    """Work that takes 300 ms a part, so that there is time to take its node away."""

    def answers(self, pictures):
        time.sleep(0.3)
        return super().answers(pictures)


def dataset(images):
    return ray.data.from_items([{"image": image, "id": i} for i, image in enumerate(images)])


def rows(answers):
    """The answers in the order of their ids, each of which comes once."""
    taken = sorted(answers.take_all(), key=lambda row: row["id"])
    assert [row["id"] for row in taken] == list(range(len(taken)))
    return np.stack([row["logits"] for row in taken])


@pytest.mark.usefixtures("one_machine")
def test_the_same_bits_for_any_workers_batch_size_and_source(images):
    wanted = fastconv.load(DIGITS)(images)
    for workers, batch_size, source in ((1, 32, DIGITS), (2, 7, DIGITS.read_bytes()), (None, 101, str(DIGITS))):
        answers = fastconv.ray.predict(dataset(images), source, workers=workers, batch_size=batch_size)
        np.testing.assert_array_equal(rows(answers), wanted)
    assert set(answers.schema().names) == {"id", "logits"}


@pytest.mark.usefixtures("one_machine")
def test_an_actor_s_threads_are_its_cpus():
    class Threads:
        def __init__(self):
            self.columns = fastconv.ray._Columns(str(DIGITS), "image", None)

        def threads(self):
            return self.columns.predictor.model.threads

    actor = ray.remote(Threads).options(num_cpus=2).remote()
    assert ray.get(actor.threads.remote()) == fastconv.load(DIGITS, threads=2).threads


def test_an_actor_that_is_killed_loses_no_row(images, tmp_path, monkeypatch):
    monkeypatch.setenv("FASTCONV_TEST_WORKERS", str(tmp_path))
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    answers = fastconv.ray.predict(dataset(images), str(DIGITS), workers=2, batch_size=10, preprocess=slowly)
    got = []
    for row in answers.iter_rows():
        if not got:
            os.kill(int(min(os.listdir(tmp_path))), signal.SIGKILL)
        got.append(row)
    assert len(os.listdir(tmp_path)) == 3
    assert sorted(row["id"] for row in got) == list(range(len(images)))
    wanted = fastconv.load(DIGITS)(images)
    for row in got:
        np.testing.assert_array_equal(row["logits"], wanted[row["id"]])


def test_a_node_that_is_lost_loses_no_part(tmp_path):
    """Two nodes on the loopback address; one is taken away while both work."""
    digits = write_digits(tmp_path / "digits", 300)
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        second = cluster.add_node(num_cpus=1)
        ray.init(address=cluster.address, log_to_driver=False)
        run = parts.Parts(str(tmp_path), 10, list_pictures([str(digits)]))
        work = Work(BatchPredictor(str(DIGITS)), "classify", {"top": 1, "preprocess": "0..1"})
        tables = {}
        for i, table in fastconv.ray.answer_parts(Slow(*work), run, range(len(run)), 2):
            assert i not in tables
            tables[i] = table
            if len(tables) == 4:
                cluster.remove_node(second)
        assert pa.concat_tables(tables[i] for i in range(len(run))) == work.answers(run.pictures)
    finally:
        ray.shutdown()
        cluster.shutdown()


def test_the_command_on_ray_gives_what_local_processes_give(tmp_path, capsys):
    digits = write_digits(tmp_path / "digits", 21)
    common = ["predict", str(digits), "--model", str(DIGITS), "--part-size", "8", "-o"]
    assert main([*common, str(tmp_path / "local.parquet")]) == 1
    assert main([*common, str(tmp_path / "ray.parquet"), "--ray"]) == 1
    assert pq.read_table(tmp_path / "ray.parquet") == pq.read_table(tmp_path / "local.parquet")


@pytest.mark.usefixtures("one_machine")
def test_errors(images):
    with pytest.raises(InputError, match=r"^batch_size: expected a number above 0, got 0$"):
        fastconv.ray.predict(dataset(images), DIGITS, batch_size=0)
    with pytest.raises(Exception, match="expected float32, got float64"):
        fastconv.ray.predict(dataset(images.astype(np.float64)), DIGITS).take_all()
    with pytest.raises(Exception, match="No such file or directory"):
        fastconv.ray.predict(dataset(images), "nowhere.json").take_all()


def test_without_ray_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(FastconvError, match=r"pip install 'fastconv\[ray\]'"):
        fastconv.ray.predict(None, DIGITS)
