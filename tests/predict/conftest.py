"""Small pictures, and the command `fastconv predict` on the digits network."""

import io
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

from fastconv import vision
from fastconv.batch_predictor import BatchPredictor
from fastconv.data import DIGITS, DIGITS_IMAGES
from fastconv.predict.work import Work

ROOT = str(Path(__file__).parents[2])


@pytest.fixture(autouse=True)
def checkout_comes_last(monkeypatch):
    """Workers import the tests from the checkout, but the package from where this process has it."""
    monkeypatch.setattr(sys, "path", [*(p for p in sys.path if p and p != ROOT), ROOT])


def write_digits(folder, count):
    """Digits as pictures; the one in the middle is damaged."""
    folder.mkdir()
    with np.load(DIGITS_IMAGES, allow_pickle=False) as file:
        for i, image in enumerate(file["images"][:count]):
            grey = np.rint(image * (255 / 16)).astype(np.uint8)
            vision.write(folder / f"{i:03}.png", np.stack([grey] * 3, axis=-1))
    (folder / f"{count // 2:03}.png").write_bytes(b"\x89PNG\r\n\x1a\n damaged")
    return folder


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """A folder of 21 pictures."""
    return write_digits(tmp_path_factory.mktemp("predict") / "digits", 21)


@pytest.fixture
def shard(digits, tmp_path):
    """The pictures in a shard as webdataset writes it."""
    with tarfile.open(tmp_path / "digits.tar", "w") as tar:
        for path in sorted(digits.iterdir()):
            tar.add(path, path.name)
            label = tarfile.TarInfo(f"{path.stem}.cls")
            label.size = 1
            tar.addfile(label, io.BytesIO(b"3"))
    return tmp_path / "digits.tar"


@pytest.fixture
def work():
    """The task of the digits network."""
    return Work(BatchPredictor(str(DIGITS)), "classify", {"top": 2, "preprocess": "0..1"})
