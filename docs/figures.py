"""The figures of docs/inspect.md: what SqueezeNet makes of scikit-image's cat.

python docs/figures.py --models FOLDER       # writes docs/activations.jpg and docs/hierarchy.jpg
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

import skimage.data

from fastconv import vision
from fastconv.cli import main as fastconv

DOCS = Path(__file__).parent
#: the options and the width of each figure
FIGURES = {"activations": ([], 1020), "hierarchy": (["--hierarchy"], 740)}


def main():
    """Draw the figures, and write them in the width of the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    models = os.environ.get("FASTCONV_MODELS")
    parser.add_argument("--models", default=models, required=not models, metavar="FOLDER", help="the networks")
    args = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        cat, figure = Path(folder, "cat.png"), Path(folder, "figure.png")
        vision.write(cat, skimage.data.chelsea())
        for name, (options, width) in FIGURES.items():
            model = Path(args.models, "squeezenet1_1_imagenet.onnx")
            if code := fastconv(["activations", str(model), "--image", str(cat), *options, "-o", str(figure)]):
                sys.exit(code)
            picture = vision.read(figure)
            vision.write(DOCS / f"{name}.jpg", vision.resize(picture, (width * picture.shape[0] // picture.shape[1], width)))


if __name__ == "__main__":
    main()
