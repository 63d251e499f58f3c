"""The version of the installed package; one module, as few ask and importlib.metadata is slow to import."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("fastconv")
except PackageNotFoundError:  # run from a checkout that was never installed
    __version__ = "0+unknown"
