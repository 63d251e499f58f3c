"""ONNX's suite is not among the quick tests: collecting it takes longer than running those."""


def pytest_ignore_collect(collection_path, config):
    return True if config.option.markexpr == "quick" and collection_path.name == "test_suite.py" else None
