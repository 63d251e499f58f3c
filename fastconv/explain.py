"""The arithmetic of a layer, as textbooks write it, with its numbers in place: `(227 − 11 + 2·0)/4 + 1 = 55`.

An operator is asked for its windows (`Op.window`), the factors of its multiply-adds (`Op.products`) and its parameters
(`Op.parameters`). The lines about a layer follow from these.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from .graph import Node, shape_text
from .ops.products import Products
from .ops.windows import Windows

AXES = ("depth", "height", "width")


def explain(node: Node, images: int = 1) -> tuple[str, ...]:
    """The arithmetic of a node, for `images` images of its shape; empty if there is nothing to say.

    Each line is `what: equation`, perhaps with words after the number. What depends on unknown sizes is left out.
    """
    known = all(v.known for v in (*node.operands, *node.results))
    windows = node.op.window(node) if known else None
    products = node.op.products(node) if known else None
    lines: list[str] = []
    if windows:
        lines += _sizes(windows, padding=products is not None)
        if not products:
            lines[-1] += ", no parameters"
    elif known:
        lines += _flattened(node)
    lines += _parameters(node, windows, products)
    if products:
        lines += _multiply_adds(node, windows, products, images)
    return tuple(lines)


def equation(left: str, result: int) -> str:
    """`left = result`, or the result alone if that is all.

    >>> equation("3072·10 + 10", 30730), equation("96", 96)
    ('3072·10 + 10 = 30,730', '96')
    """
    return f"{result:,}" if left == str(result) else f"{left} = {result:,}"


def _sizes(w: Windows, padding: bool) -> Iterator[str]:
    """The size of the result along each axis, once if all axes have the same numbers; `padding`: also a padding of 0."""
    axes = list(zip(w.kernel, w.strides, w.dilations, w.begin, w.end, w.size, w.out, strict=True))
    if len(set(axes)) == 1:
        whats = [shape_text(w.kernel)]
    else:
        names = AXES[-len(axes) :] if len(axes) <= len(AXES) else [f"axis {i + 2}" for i in range(len(axes))]
        whats = [f"{name}, {k}" for name, k in zip(names, w.kernel, strict=True)]
    for what, (k, s, d, begin, end, size, out) in zip(whats, axes, strict=False):
        extent = (k - 1) * d + 1
        if d > 1:
            yield f"{what} at dilation {d}: ({k} − 1)·{d} + 1 = {extent}"
        if w.transposed:
            more = out - ((size - 1) * s + extent - begin - end)  # output_padding
            cut = _border("−", begin, end) + (f" + {more}" if more else "")
            left = f"({size} − 1)·{s} + {extent}{cut}"
        else:
            if w.auto_pad.startswith("SAME") and begin + end:
                total = equation(f"({out} − 1)·{s} + {extent} − {size}", begin + end)
                yield f"{what} padded as {w.auto_pad}: {total}, {begin} before and {end} after"
            room = size - extent + begin + end
            opening, closing = ("", "") if room % s == 0 else "⌊⌋" if room // s + 1 == out else "⌈⌉"
            border = _border("+", begin, end) if padding or begin or end else ""
            left = f"{opening}({size} − {extent}{border})/{s}{closing} + 1"
        yield f"{what} at stride {s}: {equation(left, out)}"


def _flattened(node: Node) -> Iterator[str]:
    """The number of elements of each image that the node puts in one row."""
    given, result = node.operands[0].dims if node.operands else (), node.results[0].dims
    if len(given) > 2 and result == (given[0], math.prod(given[1:])):
        yield f"{shape_text(given[1:])} in a row: {equation(_product(given[1:]), result[1])}"


def _border(sign: str, begin: int, end: int) -> str:
    """The padding before and after, as terms of a sum; a transposed convolution may cut off less than nothing at the end."""
    if begin == end:
        return f" {sign} 2·{begin}"
    return f" {sign} {begin} " + (f"{sign} {end}" if end >= 0 else f"+ {-end}")


def _parameters(node: Node, windows: Windows | None, products: Products | None) -> Iterator[str]:
    """The number of parameters: weights and biases as a textbook counts them, all others by their shapes."""
    what, unit, first = "parameters", "", _shapes(node)
    if products and (biases := _biases(node, products)) is not None:
        weights, channels = _weights(products), products.channels
        if windows:
            first = f"({weights} + 1)·{channels}" if biases else f"{weights}·{channels}"
        else:
            first = f"{weights}·{channels} + {channels}" if biases else f"{weights}·{channels}"
            what, unit = f"{weights} → {channels}", " parameters"
    fused = node.chain[len(node.prologue) :]
    if terms := list(filter(None, [first, *map(_shapes, fused[1:])])):
        yield f"{what}: {equation(' + '.join(terms), sum(size for n in fused for size in _counts(n)))}{unit}"


def _multiply_adds(node: Node, windows: Windows | None, products: Products, images: int) -> Iterator[str]:
    """The number of multiply-adds, and that of the parameters if every place had weights of its own."""
    weights, channels, places = _weights(products), products.channels, products.places[1:]
    N = images * math.prod(products.places[:1])
    at = (N, *places) if N > 1 else places
    factors = [_product((*at, channels)), weights] if windows else [_product(at), f"{weights}·{channels}"]
    yield f"multiply-adds: {equation(' · '.join(filter(None, factors)), images * products.total)}"
    biases = _biases(node, products)
    if windows and not windows.transposed and biases is not None and math.prod(places) > 1:
        outputs, each = (*places, channels), products.each + biases
        yield f"without sharing weights: {equation(f'{_product(outputs)} · {each}', math.prod(outputs) * each)} parameters"


def _counts(node: Node) -> tuple[int, ...]:
    """The sizes of a node's parameters, without those of the nodes fused into it."""
    return tuple(v.constant.size for v in node.op.parameters(node) if v.constant is not None)


def _shapes(node: Node) -> str:
    """The same as a sum of products of dimensions."""
    return " + ".join(_product([d for d in v.dims if d != 1]) or "1" for v in node.op.parameters(node))


def _biases(node: Node, products: Products) -> int | None:
    """The number of biases of each channel of the products; None if the parameters are not their weights, then biases."""
    weights = products.each * products.channels
    return {(weights,): 0, (weights, products.channels): 1}.get(_counts(node))


def _weights(products: Products) -> str:
    """The number of weights of each channel."""
    return _product(products.weights) + (f"/{products.groups}" if products.groups > 1 else "")


def _product(factors: Iterable[int]) -> str:
    return "·".join(map(str, factors))


__all__ = ["equation", "explain"]
