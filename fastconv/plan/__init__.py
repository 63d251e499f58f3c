"""Graph → Plan, for this machine: select → layouts → arena → bind, each in a module of its own."""

from .images import one_image
from .plan import Arenas, Plan, build
from .select import Target

__all__ = ["Arenas", "Plan", "Target", "build", "one_image"]
