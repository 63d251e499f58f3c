"""Programs that were written for another engine run on fastconv, unchanged.

`import fastconv.compat.onnxruntime as ort` is onnxruntime's interface. `install()` makes `import onnxruntime` give it, and
`python -m fastconv.compat script.py` does so for a whole program.
"""

from __future__ import annotations

import sys

from ..errors import FastconvError
from . import onnxruntime
from .onnxruntime import capi
from .onnxruntime.capi import _pybind_state, onnxruntime_inference_collection, onnxruntime_pybind11_state

_MODULES = {
    "onnxruntime": onnxruntime,
    "onnxruntime.capi": capi,
    "onnxruntime.capi._pybind_state": _pybind_state,
    "onnxruntime.capi.onnxruntime_inference_collection": onnxruntime_inference_collection,
    "onnxruntime.capi.onnxruntime_pybind11_state": onnxruntime_pybind11_state,
}


def install() -> None:
    """Make `import onnxruntime` give `fastconv.compat.onnxruntime`, in this process.

    Raises
    ------
    FastconvError
        If onnxruntime itself was imported before.

    Examples
    --------
    >>> import fastconv
    >>> fastconv.compat.install()
    >>> import onnxruntime
    >>> onnxruntime.get_available_providers()
    ['CPUExecutionProvider']
    >>> fastconv.compat.uninstall()
    """
    if sys.modules.get("onnxruntime", onnxruntime) is not onnxruntime:
        raise FastconvError("onnxruntime was imported before: call fastconv.compat.install() first")
    sys.modules.update(_MODULES)


def uninstall() -> None:
    """Undo `install`: the next `import onnxruntime` gives onnxruntime itself. Names that were imported before stay."""
    for name, module in _MODULES.items():
        if sys.modules.get(name) is module:
            del sys.modules[name]


__all__ = ["install", "onnxruntime", "uninstall"]
