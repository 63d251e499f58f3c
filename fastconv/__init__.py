"""fastconv: a CPU inference engine for convolutional networks.

    import fastconv
    model = fastconv.load("model.json")
    y = model(x)

`load` and `Model` run networks from files, `from_torch` runs a PyTorch module; `conv2d`, `max_pool2d` and `linear` run single
layers, with a choice of algorithm; `naive` has the plain loops that they are measured against; `compare` finds how far a model
is from other engines or from float64; `quantize` makes 8-bit integers of a network; `vision` has pre- and postprocessing:
pictures, boxes, drawing; `viz` draws what a network computes; `BatchPredictor` is a network for frameworks that split work over
many processes, and `ray` runs one on a cluster; `compat` runs programs that were written for onnxruntime; `bench` measures
layers and models under pytest.
Errors: FastconvError and its subclasses ModelError, UnsupportedError, InputError. Warnings: ModelWarning, SlowPathWarning.

Importing the package imports nothing else: a name's module is imported on first access to the name.
"""

from importlib import import_module
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING

if PathFinder.find_spec(f"{__name__}._executor", __path__) is None:
    raise ImportError(
        f"{__path__[0]} is the source of fastconv, not compiled: start Python in another folder to import the installed one, "
        "or compile this one by pip install -e ."
    )

if TYPE_CHECKING:
    from . import bench, compat, data, naive, ray, vision, viz
    from .batch_predictor import BatchPredictor
    from .comparison import Comparison, compare
    from .config import show_config
    from .errors import FastconvError, InputError, ModelError, ModelWarning, SlowPathWarning, UnsupportedError
    from .functional import conv2d, linear, max_pool2d
    from .model import Model, load
    from .outputs import Outputs
    from .profile import Profile
    from .quantization import quantize
    from .report import Report
    from .summary import Summary
    from .tensor_info import TensorInfo
    from .torch_export import from_torch
    from .version import __version__ as __version__
else:  # a type checker would take __getattr__ for any name
    #: name -> the module that defines it, or that it is
    _MODULES = {
        "BatchPredictor": "batch_predictor",
        "Comparison": "comparison",
        "FastconvError": "errors",
        "InputError": "errors",
        "Model": "model",
        "ModelError": "errors",
        "ModelWarning": "errors",
        "Outputs": "outputs",
        "Profile": "profile",
        "Report": "report",
        "SlowPathWarning": "errors",
        "Summary": "summary",
        "TensorInfo": "tensor_info",
        "UnsupportedError": "errors",
        "__version__": "version",
        "bench": "bench",
        "compare": "comparison",
        "compat": "compat",
        "conv2d": "functional",
        "data": "data",
        "from_torch": "torch_export",
        "linear": "functional",
        "load": "model",
        "max_pool2d": "functional",
        "naive": "naive",
        "quantize": "quantization",
        "ray": "ray",
        "show_config": "config",
        "vision": "vision",
        "viz": "viz",
    }

    def __getattr__(name):
        if name not in _MODULES:
            raise AttributeError(f"module 'fastconv' has no attribute {name!r}")
        module = import_module(f".{_MODULES[name]}", __name__)
        value = globals()[name] = getattr(module, name, module)
        return value

    def __dir__():
        return sorted({*globals(), *_MODULES})


__all__ = [
    "BatchPredictor",
    "Comparison",
    "FastconvError",
    "InputError",
    "Model",
    "ModelError",
    "ModelWarning",
    "Outputs",
    "Profile",
    "Report",
    "SlowPathWarning",
    "Summary",
    "TensorInfo",
    "UnsupportedError",
    "bench",
    "compare",
    "compat",
    "conv2d",
    "data",
    "from_torch",
    "linear",
    "load",
    "max_pool2d",
    "naive",
    "quantize",
    "ray",
    "show_config",
    "vision",
    "viz",
]
