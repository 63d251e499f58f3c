"""mypy on typing_uses.py, where it is installed (the dev extra)."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.slow
def test_right_uses_pass_and_wrong_ones_fail():
    api = pytest.importorskip("mypy.api")
    out, err, code = api.run(["--config-file", str(HERE.parents[1] / "pyproject.toml"), str(HERE / "typing_uses.py")])
    assert (err, code) == ("", 0), out
