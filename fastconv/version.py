"""The package's version: pyproject.toml reads it here, and CHANGELOG.md has a section for it."""

__version__ = "0.1.0"
