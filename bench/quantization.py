"""How far quantized networks are from float ones: fastconv.quantize beside onnxruntime.quantization, as a table.

    FASTCONV_MODELS=models python bench/quantization.py        all networks of docs/models.md that are there
    python bench/quantization.py --networks mobilenet_v2_imagenet --pictures 500 --write

The pictures are crops of scikit-image's, mirrored and with changed brightness. Calibration and evaluation have crops of their
own, by another seed, but of the same 20 pictures: figures compare quantizers, and do not say what other pictures would lose.

All quantized networks run on fastconv, with the same kernels. onnxruntime.quantization's are QDQ, uint8 activations and int8
weights for each channel, after its own preprocessing; MinMax, Percentile and Entropy are its calibration methods. `--write`
puts the rows into the table of docs/quantization.md, in place of those of the same networks.
"""

import argparse
import contextlib
import io
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import report
import skimage.data

import fastconv
from fastconv import vision

PAGE = Path(__file__).parents[1] / "docs" / "quantization.md"
TABLE = "agreement of quantized networks"
PICTURES = (
    "astronaut.png", "brick.png", "camera.png", "cell.png", "chelsea.png", "clock_motion.png", "coffee.png", "coins.png",
    "grass.png", "gravel.png", "horse.png", "hubble_deep_field.jpg", "ihc.png", "microaneurysms.png", "moon.png",
    "motorcycle_left.png", "page.png", "retina.jpg", "rocket.jpg", "text.png",
)  # fmt: skip

Answers = Sequence[dict[str, np.ndarray]]


def augmented(count: int, seed: int) -> list[np.ndarray]:
    """Crops of 1/4 to all of the pictures in turn, half of them mirrored, at 0.7 to 1.3 of the brightness."""
    folder, rng = Path(skimage.data.__file__).parent, np.random.default_rng(seed)
    sources, made = [vision.read(folder / name) for name in PICTURES], []
    for i in range(count):
        picture = sources[i % len(sources)]
        H, W = picture.shape[:2]
        area, ratio = rng.uniform(0.25, 1) * H * W, np.exp(rng.uniform(np.log(0.75), np.log(1.33)))
        h, w = min(H, int(np.sqrt(area / ratio))), min(W, int(np.sqrt(area * ratio)))
        top, left = rng.integers(H - h + 1), rng.integers(W - w + 1)
        crop = picture[top : top + h, left : left + w, :]
        crop = crop[:, ::-1] if rng.random() < 0.5 else crop
        made.append(np.clip(crop * rng.uniform(0.7, 1.3), 0, 255).astype(np.uint8))
    return made


# ---- how answers are compared: float's, then the quantized network's


def top(k: int) -> Callable[[Answers, Answers], float]:
    """The share of float's first k classes that are among the other's first k."""

    def share(exact: Answers, other: Answers) -> float:
        found = [[set(np.argsort(-next(iter(a.values()))[0])[:k]) for a in answers] for answers in (exact, other)]
        return float(np.mean([len(a & b) / k for a, b in zip(*found, strict=True)]))

    return share


def decibels(exact: Answers, other: Answers) -> float:
    """The least signal-to-noise ratio of an output."""
    ratios = []
    for name in exact[0]:
        signal = sum(float((a[name].astype(float) ** 2).sum()) for a in exact)
        noise = sum(float(((a[name].astype(float) - b[name]) ** 2).sum()) for a, b in zip(exact, other, strict=True))
        ratios.append(10 * np.log10(max(signal, 1e-30) / max(noise, 1e-30)))
    return min(ratios)


def cosine(exact: Answers, other: Answers) -> float:
    """The mean cosine of two vectors."""
    pairs = [(a[n].reshape(-1), b[n].reshape(-1)) for a, b in zip(exact, other, strict=True) for n in a]
    return float(np.mean([x @ y / np.linalg.norm(x) / np.linalg.norm(y) for x, y in pairs]))


def mask_iou(exact: Answers, other: Answers) -> float:
    """Intersection over union of the masks above 0.5, of all pictures together."""
    masks = [[next(iter(a.values())) > 0.5 for a in answers] for answers in (exact, other)]
    both, either = (sum(int(f(a, b).sum()) for a, b in zip(*masks, strict=True)) for f in (np.logical_and, np.logical_or))
    return both / max(either, 1)


def pixels(exact: Answers, other: Answers) -> float:
    """The share of pixels with the same answer: above 0.5 or not."""
    return float(
        np.mean(
            [
                np.mean((next(iter(a.values())) > 0.5) == (next(iter(b.values())) > 0.5))
                for a, b in zip(exact, other, strict=True)
            ]
        )
    )


def _boxes(answer: dict[str, np.ndarray]) -> np.ndarray:
    """CenterNet's boxes of the peaks above 0.3, in pixels of the input."""
    found, cell = vision.peaks(answer["heatmap"][0], 0.3), 512 // answer["heatmap"].shape[-1]
    left, up, right, down = answer["wh"][0][:, found.rows, found.columns]
    x, y = cell * found.columns, cell * found.rows
    return np.column_stack([x - left, y - up, x + right, y + down])


def box_iou(exact: Answers, other: Answers) -> float:
    """The mean intersection over union of each of float's boxes with the nearest other; 0 if there is none."""
    best: list[float] = []
    for a, b in zip(exact, other, strict=True):
        ours, theirs = _boxes(a), _boxes(b)
        best += list(vision.iou(ours, theirs).max(axis=1)) if len(ours) and len(theirs) else [0.0] * len(ours)
    return float(np.mean(best)) if best else float("nan")


def keypoints(exact: Answers, other: Answers) -> float:
    """The mean distance of landmarks (x, y, x, y …) in percent of the picture's size."""
    distances = [
        np.hypot(*(next(iter(a.values())) - next(iter(b.values()))).reshape(-1, 2).T).mean()
        for a, b in zip(exact, other, strict=True)
    ]
    return 100 * float(np.mean(distances))


def peak_distance(exact: Answers, other: Answers) -> float:
    """The mean distance of the peaks of a pose's heatmaps, in percent of their size."""

    def places(answer: dict[str, np.ndarray]) -> np.ndarray:
        maps = answer["heatmap"][0]
        return np.stack(np.unravel_index(maps.reshape(len(maps), -1).argmax(axis=1), maps.shape[1:]))

    return 100 * float(
        np.mean([np.hypot(*(places(a) - places(b))).mean() / a["heatmap"].shape[-1] for a, b in zip(exact, other, strict=True)])
    )


#: network -> how its pixels are taken, how the picture is fitted, the measures
CLASSES = {"top-1": top(1), "top-5": top(5)}
NETWORKS = {
    "mobilenet_v2_imagenet": ("imagenet", "crop", CLASSES),
    "squeezenet1_1_imagenet": ("caffe", "crop", CLASSES),
    "mobilenet_v2_embed1280": ("imagenet", "crop", {"cosine": cosine}),
    "centernet_mbv3_coco_512_heads": ("raw", "stretch", {"box IoU": box_iou}),
    "selfie_segmentation_256_nchw": ("0..1", "stretch", {"mask IoU": mask_iou, "pixels": pixels}),
    "movenet_lightning_192_heads": ("-1..1", "letterbox", {"keypoints, % of size": peak_distance}),
    "face_landmark68_112": ("0..1", "crop", {"landmarks, % of size": keypoints}),
    "emotion_64": ("0..1", "crop", {"top-1": top(1)}),
}  # fmt: skip
METHODS = ("MinMax", "Percentile", "Entropy")


def inputs(model: fastconv.Model, pictures: Sequence[np.ndarray], how: str, by: str) -> list[np.ndarray]:
    return [vision.preprocess(picture, model.inputs[0], how, by) for picture in pictures]


def answers(model: fastconv.Model, xs: Sequence[np.ndarray]) -> Answers:
    return [dict(model.run(x).items()) for x in xs]


def by_onnxruntime(source: Path, folder: str, name: str, xs: Sequence[np.ndarray], method: str) -> fastconv.Model:
    """The network as onnxruntime.quantization makes it."""
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(quantization.CalibrationDataReader):
        def __init__(self):
            self.left = iter(xs)

        def get_next(self):
            return None if (x := next(self.left, None)) is None else {name: x}

    prepared, made = Path(folder, "prepared.onnx"), Path(folder, f"{method}.onnx")
    with contextlib.redirect_stdout(io.StringIO()):
        if not prepared.exists():
            quant_pre_process(source, prepared, skip_symbolic_shape=True)
        quantization.quantize_static(
            prepared, made, Reader(), quant_format=quantization.QuantFormat.QDQ, per_channel=True,
            activation_type=quantization.QuantType.QUInt8, weight_type=quantization.QuantType.QInt8,
            calibrate_method=quantization.CalibrationMethod[method],
        )  # fmt: skip
    return fastconv.load(made)


def rows_of(network: str, source: Path, args: argparse.Namespace) -> list[list[str]]:
    """A row for each quantizer: its name, and its figures."""
    how, by, measures = NETWORKS[network]
    model = fastconv.load(source)
    many = args.pictures if len(model.outputs) == 1 else min(args.pictures, args.large)
    calibration = inputs(model, augmented(args.calibrate, 1), how, by)
    evaluation = inputs(model, augmented(many, 2), how, by)
    exact = answers(model, evaluation)
    rows = []

    def add(quantizer: str, made: fastconv.Model) -> None:
        found = answers(made, evaluation)
        figures = [f"{name} {measure(exact, found):.3f}" for name, measure in measures.items()]
        rows.append([network, str(many), quantizer, *[f"{decibels(exact, found):.1f}"], ", ".join(figures)])
        print(" | ".join(rows[-1]), flush=True)

    for ranges in ("mse", "percentile"):
        add(f"fastconv, {ranges}", fastconv.quantize(model, calibration, ranges=ranges))
    for target in args.fallback:
        made = fastconv.quantize(model, calibration, fallback=target)
        floats = sum(not x.quantized for x in made.quantization.layers)
        add(f"fastconv, fallback {target:g} dB: {floats} of {len(made.quantization.layers)} layers float", made)
    with tempfile.TemporaryDirectory() as folder:
        for method in args.methods:
            try:
                add(f"onnxruntime, {method}", by_onnxruntime(source, folder, model.inputs[0].name, calibration, method))
            except Exception as e:
                rows.append([network, str(many), f"onnxruntime, {method}", "", f"{type(e).__name__}"])
    return rows


HEAD = ["network", "pictures", "quantized by", "outputs, dB", "agreement with float"]


def written(rows: list[list[str]]) -> list[list[str]]:
    """The rows of the page's table, those of these networks replaced; in the order of NETWORKS."""
    _, _, text = PAGE.read_text(encoding="utf-8").partition(f"<!-- table: {TABLE} -->\n")
    lines = text.partition("<!-- end -->")[0].splitlines()[2:]  # without the head
    others = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    measured = {row[0] for row in rows}
    return sorted([*rows, *(row for row in others if row[0] not in measured)], key=lambda row: list(NETWORKS).index(row[0]))


def write(rows: list[list[str]]) -> None:
    """Put rows into the page's table."""
    lines = ["| " + " | ".join(row) + " |" for row in (HEAD, ["---", "---:", "---", "---:", "---"], *written(rows))]
    report.replace_table(PAGE, TABLE, "\n".join(lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=lambda text: text.split(","), default=list(NETWORKS))
    parser.add_argument("--pictures", type=int, default=500, help="to evaluate on; default: 500")
    parser.add_argument("--large", type=int, default=100, help="the same for networks with several outputs; default: 100")
    parser.add_argument("--calibrate", type=int, default=100, help="to calibrate on; default: 100")
    parser.add_argument("--fallback", type=float, nargs="*", default=[20.0, 25.0], help="dB, of a row each; default: 20 25")
    parser.add_argument("--methods", type=lambda text: text.split(","), default=METHODS, help="of onnxruntime.quantization")
    parser.add_argument("--write", action="store_true", help="put the rows into docs/quantization.md")
    args = parser.parse_args()
    folder = Path(os.environ.get("FASTCONV_MODELS", "models"))
    rows = []
    for network in args.networks:
        if not (source := folder / f"{network}.onnx").exists():
            print(f"{source} is not there")
            continue
        rows += rows_of(network, source, args)
    if args.write:
        write(rows)


if __name__ == "__main__":
    main()
