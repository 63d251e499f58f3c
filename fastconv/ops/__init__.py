"""The operators: where a name of this package is asked for, every module of the folder is imported, and its Op subclasses
register themselves.

Importing the package itself does not: the operators import the plan, which imports `ops.base`.
"""

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .base import REGISTRY, Implementation, NodeSpec, Op, make_node, run_reference
else:

    def __getattr__(name):
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        modules = {m.name: import_module(f"{__name__}.{m.name}") for m in iter_modules(__path__)}
        globals().update({n: getattr(modules["base"], n) for n in __all__})
        return globals()[name]


__all__ = ["REGISTRY", "Implementation", "NodeSpec", "Op", "make_node", "run_reference"]
