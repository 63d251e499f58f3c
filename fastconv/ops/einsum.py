"""Einsum: sums of products, written with names of axes."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np

from ..errors import ModelError
from ..graph import Dim, Node, Shape, Value, shape_text
from .base import Array, Inferred, Op, Results
from .dims import AxisName, broadcast, check, same_dtype

#: the most products that NumPy sums in one call: some 50 ms
MOST_PRODUCTS = 1 << 22


class Einsum(Op):
    arity = (1, None)
    needs_all = True
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
        """The term of the result; if it is left out, the letters that occur once, in alphabetical order."""
        left, arrow, out = self.terms.partition("->")
        letters = re.sub(r"[^A-Za-z]", "", left)
        return out if arrow else "..." + "".join(sorted(n for n in set(letters) if letters.count(n) == 1))

    def axis_names(self, *shapes: Sequence[Dim]) -> list[tuple[AxisName, ...]]:
        """Names of the axes of each input and of the result; axes of the ellipsis are numbered from the last one."""
        terms = self.terms.partition("->")[0].split(",")
        free = [len(dims) - len(term.replace("...", "")) for term, dims in zip(terms, shapes, strict=True)]
        return [
            tuple(name for part in re.findall(r"\.\.\.|.", term) for name in (range(count, 0, -1) if part == "..." else part))
            for term, count in zip((*terms, self.result), (*free, max(free)), strict=True)
        ]

    def multiply_adds(self, node: Node) -> int:
        shapes = [v.dims for v in node.inputs if v is not None]
        *terms, result = self.axis_names(*shapes)
        axes = [(n, d) for names, dims in zip(terms, shapes, strict=True) for n, d in zip(names, dims, strict=True)]
        summed = {n: d for n, d in axes if n not in result}
        return math.prod(node.results[0].dims) * math.prod(summed.values()) if len(terms) > 1 else 0

    def infer(self, *xs: Value) -> Inferred:
        dtype = same_dtype(*xs)
        terms = self.terms.partition("->")[0].split(",")
        check(len(terms) == len(xs), f"equation: expected a term for each of the {len(xs)} inputs, got {self.equation!r}")
        shapes = [x.shape for x in xs if x.shape is not None]
        if len(shapes) < len(xs):
            return [(None, dtype)]
        sizes: dict[str, Dim] = {}
        middle: Shape = ()
        for i, (term, shape) in enumerate(zip(terms, shapes, strict=True)):
            before, dots, after = term.partition("...")
            free = len(shape) - len(before) - len(after)
            check(
                free == 0 or (dots != "" and free > 0),
                f"inputs: expected rank {len(before + after)} for {term!r}, got {shape_text(shape)}",
            )
            middle = broadcast(middle, shape[len(before) : len(before) + free])
            for name, d in zip(before + after, shape[: len(before)] + shape[len(before) + free :], strict=True):
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
        if dtype.kind == "V":  # einsum knows NumPy's own dtypes only
            xs = tuple(x.astype(np.float32) for x in xs)
        *names, result = self.axis_names(*(x.shape for x in xs))
        number = {name: i for i, name in enumerate(dict.fromkeys(n for term in names for n in term))}
        try:
            return _sums(xs, [[number[n] for n in term] for term in names], [number[n] for n in result]).astype(dtype)
        except ValueError as e:
            raise ModelError(f"equation {self.equation!r}: {e}") from None


def _sums(xs: Sequence[Array], names: Sequence[Sequence[int]], result: Sequence[int]) -> Array:
    """The sums of products, in halves of halves: Ctrl-C has to wait for a call of NumPy."""
    sizes: dict[int, int] = {}
    for x, term in zip(xs, names, strict=True):
        for n, d in zip(term, x.shape, strict=True):
            sizes[n] = d if sizes.get(n, 1) == 1 else sizes[n]
    if math.prod(sizes.values()) <= MOST_PRODUCTS:
        y: Array = np.einsum(*(part for pair in zip(xs, names, strict=True) for part in pair), result)
        return y
    longest = max(sizes, key=sizes.__getitem__)
    middle = sizes[longest] // 2
    halves = []
    for half in (slice(middle), slice(middle, None)):
        parts = [
            x[tuple(half if n == longest and d > 1 else slice(None) for n, d in zip(term, x.shape, strict=True))]
            for x, term in zip(xs, names, strict=True)
        ]
        halves.append(_sums(parts, names, result))
    return np.concatenate(halves, result.index(longest)) if longest in result else halves[0] + halves[1]
