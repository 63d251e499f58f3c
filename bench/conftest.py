"""The options, fixtures and the report of the benchmarks are those of fastconv.bench: see bench/README.md."""


def pytest_addoption(pluginmanager):
    pluginmanager.import_plugin("fastconv.bench.suite")
