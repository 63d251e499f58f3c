"""fastconv: a CPU inference engine for convolutional networks.

    import fastconv
    model = fastconv.load("model.json")
    y = model(x)

`load` and `Model` run networks, `from_torch` those of a live PyTorch module; `conv2d`, `max_pool2d` and `linear` run single
layers, with a choice of algorithm; `naive` has the plain loops they are measured against; `vision` has what stands before and
after a network: pictures, boxes, drawing. Errors: FastconvError and its subclasses ModelError, UnsupportedError, InputError.
A warning: ModelWarning.
"""

from importlib import import_module
from typing import TYPE_CHECKING

try:
    import_module("._executor", __name__)
except ModuleNotFoundError as e:
    raise ImportError(
        f"{__path__[0]} is the source of fastconv, not compiled: start Python in another folder to import the installed one, "
        "or compile this one by pip install -e ."
    ) from e

from . import data, naive
from .config import show_config
from .errors import FastconvError, InputError, ModelError, ModelWarning, UnsupportedError
from .functional import conv2d, linear, max_pool2d
from .model import Model, Outputs, TensorInfo, load
from .torch_export import from_torch

__version__: str

if TYPE_CHECKING:
    from . import vision
else:  # to a type checker it would say that any name is there

    def __getattr__(name):
        if name == "vision":
            return import_module(".vision", __name__)
        if name != "__version__":
            raise AttributeError(f"module 'fastconv' has no attribute {name!r}")
        from importlib.metadata import PackageNotFoundError, version  # here, as few ask and importing it is slow

        try:
            return version("fastconv")
        except PackageNotFoundError:  # run from a checkout that was never installed
            return "0+unknown"


__all__ = [
    "FastconvError",
    "InputError",
    "Model",
    "ModelError",
    "ModelWarning",
    "Outputs",
    "TensorInfo",
    "UnsupportedError",
    "conv2d",
    "data",
    "from_torch",
    "linear",
    "load",
    "max_pool2d",
    "naive",
    "show_config",
    "vision",
]
