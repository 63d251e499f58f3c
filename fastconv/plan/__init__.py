"""Graph → Plan, for this machine: select → layouts → arena → bind, each in a module of its own."""

from .images import SplitPlan, build_batch
from .plan import Arenas, Plan, build
from .select import Target

__all__ = ["Arenas", "Plan", "SplitPlan", "Target", "build", "build_batch"]
