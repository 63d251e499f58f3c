"""The operators: every module of this folder is imported, and its Op subclasses register themselves."""

import importlib
import pkgutil

from .base import REGISTRY, Implementation, NodeSpec, Op, make_node, run_reference

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["REGISTRY", "Implementation", "NodeSpec", "Op", "make_node", "run_reference"]
