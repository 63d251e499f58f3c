"""The options, fixtures and the report of the benchmarks are those of fastconv.bench: see bench/README.md."""

pytest_plugins = ["fastconv.bench.suite"]
