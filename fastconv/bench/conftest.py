"""Loads the suite if this folder is named by its path, in a checkout; `pytest --pyargs fastconv.bench` has done so before."""

from __future__ import annotations

import pytest


def pytest_addoption(pluginmanager: pytest.PytestPluginManager) -> None:
    """Load it while the command line can still get options."""
    pluginmanager.import_plugin("fastconv.bench.suite")
