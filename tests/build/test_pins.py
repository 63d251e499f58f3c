"""What CI and releases install is named by its content: packages by hashes, actions by commits; and .ci/audit."""

import json
import re
import runpy
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
pytestmark = pytest.mark.skipif(not (ROOT / ".ci").is_dir(), reason="needs a checkout")


@pytest.mark.parametrize("name", ["requirements", "release"])
def test_packages_have_hashes(name):
    text = (ROOT / f".ci/{name}.txt").read_text("utf-8")
    requirements = text.replace("\\\n", "").splitlines()
    assert requirements
    for requirement in requirements:
        assert re.fullmatch(r"[\w.-]+==[\w.]+( +--hash=sha256:[0-9a-f]{64})+", requirement), requirement


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_have_commits(path):
    for action in re.findall(r"uses: (.*)", path.read_text("utf-8")):
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


@pytest.mark.parametrize(
    "python, npm, code, lines",
    [
        ("", "", 0, ["0 of", "left out", "0 of", "left out"]),
        ('{"dependencies": [{"name": "a", "skip_reason": "not found"}]}', '{"error": 1}', 0, ["0 of", "left out", "0 of", "left out"]),
        ('{"dependencies": [{"name": "a", "version": "1", "vulns": [{"id": "X-1"}]}]}', "", 1, ["1 of", "a 1: X-1", "left out", "0 of", "left out"]),
        ("", '{"vulnerabilities": {"b": {"severity": "high"}}}', 1, ["0 of", "left out", "1 vulnerabilities", "b: high"]),
    ],
)  # fmt: skip
def test_audit(monkeypatch, capsys, python, npm, code, lines):
    def run(command, **options):
        return subprocess.CompletedProcess(command, 1, npm if command[0] == "npm" else python)

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(SystemExit) as error:
        runpy.run_path(str(ROOT / ".ci/audit"))
    assert int(error.value.code) == code
    printed = capsys.readouterr().out.splitlines()
    for line, part in zip(printed, lines, strict=True):
        assert part in line


def test_npm_packages_have_hashes():
    packages = json.loads((ROOT / "fastconv/report/web/package-lock.json").read_text("utf-8"))["packages"]
    assert all("integrity" in package for name, package in packages.items() if name)
