"""ONNX's suite is none of the quick tests: to name its tests takes longer than to run those."""


def pytest_ignore_collect(collection_path, config):
    return True if config.option.markexpr == "quick" and collection_path.name == "test_suite.py" else None
