"""Graph → Plan, for this machine: select → layouts → arena → bind, each in a module of its own."""

from .plan import Plan, build
from .select import Target

__all__ = ["Plan", "Target", "build"]
