"""Einsum: sums of products by the names of the axes."""

from __future__ import annotations

import math
import re

import numpy as np

from ..errors import ModelError
from ..graph import Dim, Node, Shape, Value
from .base import Array, Inferred, Op, Results
from .dims import broadcast, check, same_dtype


class Einsum(Op):
    arity = (1, None)
    takes_epilogue = True
    takes_residual = True
    equation: str

    def __post_init__(self) -> None:
        pattern = r"[A-Za-z]*(\.\.\.)?[A-Za-z]*"
        fits = re.fullmatch(rf"{pattern}(,{pattern})*(->{pattern})?", self.terms)
        check(fits is not None, f"equation: expected terms of letters, got {self.equation!r}")

    @property
    def terms(self) -> str:
        """The equation without blanks."""
        return self.equation.replace(" ", "")

    @property
    def result(self) -> str:
        """The term of the result: where there is none, of the letters that come once, in their order."""
        left, arrow, out = self.terms.partition("->")
        letters = re.sub(r"[^A-Za-z]", "", left)
        return out if arrow else "..." + "".join(sorted(n for n in set(letters) if letters.count(n) == 1))

    def names(self, *shapes):
        """Names of the axes of the inputs and the result; those of the ellipsis are counted from the last one on."""
        terms = self.terms.partition("->")[0].split(",")
        free = [len(dims) - len(term.replace("...", "")) for term, dims in zip(terms, shapes, strict=True)]
        return [
            tuple(name for part in re.findall(r"\.\.\.|.", term) for name in (range(count, 0, -1) if part == "..." else part))
            for term, count in zip((*terms, self.result), (*free, max(free)), strict=True)
        ]

    def multiply_adds(self, node: Node) -> int:
        shapes = [v.dims for v in node.inputs]
        *terms, result = self.names(*shapes)
        axes = [(n, d) for names, dims in zip(terms, shapes, strict=True) for n, d in zip(names, dims, strict=True)]
        summed = {n: d for n, d in axes if n not in result}
        return math.prod(node.results[0].dims) * math.prod(summed.values()) if len(terms) > 1 else 0

    def infer(self, *xs: Value) -> Inferred:
        dtype = same_dtype(*xs)
        terms = self.terms.partition("->")[0].split(",")
        check(len(terms) == len(xs), f"equation: expected a term for each of the {len(xs)} inputs, got {self.equation!r}")
        if any(x.shape is None for x in xs):
            return [(None, dtype)]
        sizes: dict[str, Dim] = {}
        middle: Shape = ()
        for i, (term, x) in enumerate(zip(terms, xs, strict=True)):
            before, dots, after = term.partition("...")
            free = len(x.shape) - len(before) - len(after)
            check(
                free == 0 or (dots != "" and free > 0),
                f"inputs: expected rank {len(before + after)} for {term!r}, got {x.shape}",
            )
            middle = broadcast(middle, x.shape[len(before) : len(before) + free])
            for name, d in zip(before + after, x.shape[: len(before)] + x.shape[len(before) + free :], strict=True):
                try:
                    ((sizes[name],)) = broadcast((sizes.get(name, 1),), (d,)) or (None,)
                except ModelError:
                    raise ModelError(f"input {i}: expected {sizes[name]} for {name!r} of {self.equation!r}, got {d}") from None
        before, dots, after = self.result.partition("...")
        fits = set(before + after) <= set(sizes) and len(set(before + after)) == len(before + after)
        check(fits, f"equation: expected each name of the result once and in an input, got {self.equation!r}")
        return [((*(sizes[n] for n in before), *((middle or ()) if dots else ()), *(sizes[n] for n in after)), dtype)]

    def reference(self, *xs: Array) -> Results:
        dtype = xs[0].dtype
        if dtype.kind == "V":  # what NumPy has not it cannot multiply here
            xs = tuple(x.astype(np.float32) for x in xs)
        try:
            return np.einsum(self.terms, *xs).astype(dtype)
        except ValueError as e:
            raise ModelError(f"equation {self.equation!r}: {e}") from None
