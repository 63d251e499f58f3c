"""The error of fastconv's results against float64: the tables of docs/accuracy.md.

    python bench/accuracy.py layers                             every algorithm of convolution, by channels
    python bench/accuracy.py networks [resnet50 net.onnx …]     whole networks, beside onnxruntime

`--write` puts the table into the page, too.

Errors are root mean squares in units of u = 2^-24, the most by which one rounding to float32 is off, relative to the number.
For a layer they are relative to rms(x) · rms(w) · √n, where n products make an output: the size of the result where signs are
random. For a network they are relative to the RMS of its result, as Model.reference has it.
"""

import argparse
import math
import tempfile
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import numpy as np
import report
import zoo

import fastconv
from fastconv import onnx_json
from fastconv.bench import tables
from fastconv.implementations.panels import K_BLOCK, k_block
from fastconv.kernels import load as load_kernels
from fastconv.ops import REGISTRY

PAGE = Path(__file__).parents[1] / "docs" / "accuracy.md"
LAYERS_TABLE, NETWORKS_TABLE = "accuracy of layers", "accuracy of networks"

U = 2.0**-24
#: the RMS of a rounding, in u: an error evenly spread within half a unit in the last place of numbers whose mantissas have the
#: density 1 / (m ln 2), for m between 1 and 2
ROUNDING = math.sqrt(1 / 8 / math.log(2))

#: algorithms, each with the width of its kernel and, where it is Winograd's, of its tile
ALGORITHMS = (
    ("direct", 3, 0),
    ("im2col", 3, 0),
    ("winograd", 3, 4),
    ("winograd", 3, 2),
    ("direct", 5, 0),
    ("winograd", 5, 2),
    ("pointwise", 1, 0),
)
CHANNELS = (16, 32, 64, 128, 256, 512, 1024)
#: by window: the points of pyx/isa/conv_winograd.pyx, but for infinity, and the transforms' roundings (as measured)
POINTS = {4: (0, 1, -1), 6: (0, math.sqrt(0.5), -math.sqrt(0.5), math.sqrt(2), -math.sqrt(2))}
TRANSFORMS = {4: 4, 6: 7}


def rms(a: np.ndarray) -> float:
    return math.sqrt(np.mean(np.square(a, dtype=np.float64)))


# ---- layers


@lru_cache(maxsize=len(CHANNELS))
def layer(kernel: int, size: int, channels: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Normal numbers as input and weights of a convolution, and its result in float64."""
    rng = np.random.default_rng(channels)
    x = rng.standard_normal((1, channels, size, size), np.float32)
    w = rng.standard_normal((32, channels, kernel, kernel), np.float32)
    return x, w, REGISTRY["Conv"](pads=(kernel // 2,) * 4).reference(x.astype(np.float64), w.astype(np.float64))


def layer_error(algorithm: str, kernel: int, tile: int, channels: int) -> float:
    """The RMS error of a convolution of normal numbers, in u, with the instruction set of FASTCONV_ISA."""
    size = 8 if (kernel, tile) == (3, 2) else 16  # tiles of 2x2 are for small images
    x, w, exact = layer(kernel, size, channels)
    y = fastconv.conv2d(x, w, padding=kernel // 2, algorithm=algorithm)
    return rms(y - exact) / (rms(x) * rms(w) * math.sqrt(channels * kernel**2)) / U


def expected_error(algorithm: str, kernel: int, tile: int, channels: int) -> float:
    """What theory says to layer_error, for sums that add one product after the other, in K blocks of r that are then added.

    The k-th addition's rounding is relative to a sum of k products, whose size is √k: the r additions of a K block have
    the variance r² / 2 roundings of one product, and the n / r K blocks r / 2 relative to the result. Adding them has n / 2r
    likewise. One more is the product's own, on machines without multiply-add. Winograd's sums are as long as there are
    channels, and its transforms let their errors grow.
    """
    if algorithm == "winograd":
        return ROUNDING * winograd_growth(tile, kernel) * math.sqrt(channels / 2 + TRANSFORMS[tile + kernel - 1])
    n, r = channels * kernel**2, K_BLOCK if algorithm == "im2col" else k_block(kernel**2)
    return ROUNDING * math.sqrt(min(n, r) / 2 + max(n / r, 1) / 2 + 1)


def winograd_growth(tile: int, kernel: int) -> float:
    """The factor by which two-dimensional F(tile, kernel) magnifies errors relative to the products it sums."""
    # y = A [(G g) * (B d)] for a filter g of so many taps and a window d, infinity last
    window = tile + kernel - 1
    points = POINTS[window]
    A, B, G = np.zeros((tile, window)), np.zeros((window, window)), np.zeros((window, kernel))
    for i, p in enumerate(points):
        others = [q for q in points if q != p]
        A[:, i] = np.power(p, range(tile))
        B[i, :-1] = np.poly(others)[::-1]
        G[i] = np.power(p, range(kernel)) / np.prod(np.subtract(p, others))
    A[-1, -1] = G[-1, -1] = 1
    B[-1] = np.poly(points)[::-1]
    # of each pixel of a row
    variance = np.square(A) @ (np.square(G).sum(axis=1) * np.square(B).sum(axis=1)) / kernel
    return float(variance.mean())  # a tile's pixels have the products of their rows' and columns' variances


def layers_table() -> str:
    """One line for each number of channels, one column for each algorithm: the measured error, and that of theory."""
    heading = ["channels", *(f">{name}{f' F({tile}×{tile})' if tile else ''} {k}×{k}" for name, k, tile in ALGORITHMS)]
    lines = [(str(C), *(f"{layer_error(*way, C):.1f} ({expected_error(*way, C):.1f})" for way in ALGORITHMS)) for C in CHANNELS]
    return tables.table(" | ".join(heading), lines)


# ---- networks


def network_errors(path: Path) -> dict[str, float]:
    """The RMS error of each engine on a network in a `.json` or `.onnx` file, in u, over all its outputs."""
    import onnxruntime

    from fastconv.convert import convert

    model = fastconv.load(path)
    rng = np.random.default_rng(0)
    shapes = {i.name: tuple(d if isinstance(d, int) else 1 for d in i.shape or ()) for i in model.inputs}
    inputs = {name: rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}
    with tempfile.TemporaryDirectory() as folder:
        onnx = path
        if path.suffix == ".json":
            convert(path, onnx := Path(folder, "model.onnx"))
        session = onnxruntime.InferenceSession(onnx, providers=["CPUExecutionProvider"])
        results = {
            "default": list(model.run(inputs)),
            "exact": list(fastconv.load(path, accuracy="exact").run(inputs)),
            "onnxruntime": session.run([o.name for o in model.outputs], inputs),
        }
    exact = model.reference(inputs)
    exact = [exact] if len(model.outputs) == 1 else list(exact)

    def error(ys: list[np.ndarray]) -> float:
        return math.sqrt(np.mean([(rms(y - e) / rms(e)) ** 2 for y, e in zip(ys, exact, strict=True)])) / U

    return {engine: error(ys) for engine, ys in results.items()}


def networks_table(names: Iterable[str]) -> str:
    """One line for each network of bench/zoo.py or file."""
    lines = []
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(name)
            if name in zoo.ZOO:
                onnx_json.write(zoo.build(name), path := Path(folder, f"{name}.json"))
            e = network_errors(path)
        ratios = (e[engine] / e["onnxruntime"] for engine in ("default", "exact"))
        lines.append((path.stem, *(f"{x:.1f}" for x in e.values()), *(f"{r:.2f}" for r in ratios)))
    return tables.table("network | >default | >exact | >onnxruntime | >default / ort | >exact / ort", lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("layers", "networks"))
    parser.add_argument("names", nargs="*", default=zoo.COMPARED, help="networks of bench/zoo.py, or files; default: the seven")
    parser.add_argument("--write", action="store_true", help="replace the table in docs/accuracy.md")
    args = parser.parse_args()
    if args.what == "layers":
        name, text = LAYERS_TABLE, layers_table()
    else:
        name, text = NETWORKS_TABLE, networks_table(args.names)
    text = f"{report.machine()}, {load_kernels().isa}.\n\n{text}"
    print(text)
    if args.write:
        report.replace_table(PAGE, name, text)


if __name__ == "__main__":
    main()
