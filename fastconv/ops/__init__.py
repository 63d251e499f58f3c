"""The operators. Importing the package imports every module of the folder, and their Op subclasses register themselves."""

from importlib import import_module
from pkgutil import iter_modules

from .base import REGISTRY, Op
from .node_spec import NodeSpec, make_node

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

__all__ = ["REGISTRY", "NodeSpec", "Op", "make_node"]
