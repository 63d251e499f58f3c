import pytest

import fastconv
from fastconv import onnx_json


@pytest.fixture
def load(tmp_path):
    """Loads a graph made by hand, by way of a file: load(graph, threads=2)."""

    def load(graph, **options):
        onnx_json.write(graph, tmp_path / "net.json")
        return fastconv.load(tmp_path / "net.json", **options)

    return load
