"""The examples of batches: what any split of the work gives is what one call gives."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastconv

FOLDER = Path(__file__).parents[2] / "examples" / "batch"


@pytest.fixture(scope="module")
def wanted():
    with np.load(fastconv.data.DIGITS_IMAGES, allow_pickle=False) as file:
        return fastconv.load(fastconv.data.DIGITS)((file["images"][:, None] / 16).astype(np.float32))


def example(name):
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_processes(wanted):
    printed = subprocess.run([sys.executable, FOLDER / "processes.py"], capture_output=True, text=True, check=True).stdout
    assert printed == f"{wanted.argmax(axis=1)}\n"


@pytest.mark.parametrize("scheduler", ["threads", "synchronous"])
def test_dask(wanted, scheduler):
    pytest.importorskip("dask.array")
    np.testing.assert_array_equal(example("dask_blocks").main(scheduler), wanted)
