"""What the five programs share: their command line, and pictures of scikit-image as samples."""

import argparse
import importlib
import os
from pathlib import Path

import numpy as np

import fastconv
from fastconv import vision


def parser(description, output):
    """The arguments of every program: where the networks are, and the picture to write."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    models = os.environ.get("FASTCONV_MODELS")
    parser.add_argument(
        "--models", type=Path, default=models, required=not models, metavar="FOLDER",
        help="the folder of the networks; default: $FASTCONV_MODELS",
    )  # fmt: skip
    parser.add_argument("-o", "--output", default=output, help=f"the file to write; default: {output}")
    return parser


def load(folder, name):
    """The network NAME.onnx of a folder."""
    path = folder / f"{name}.onnx"
    if not path.exists():
        raise SystemExit(f"there is no {path}: docs/models.md says where to get networks")
    return fastconv.load(path)


def picture(path, sample):
    """The picture in a file, uint8 of H×W×3; without a path one of scikit-image's, by its name."""
    return vision.read(path) if path else samples([sample])[sample]


def samples(names):
    """Pictures of scikit-image by their names, uint8 of H×W×3."""
    data = skimage("data")
    found = {name: getattr(data, name)() for name in names}
    return {name: p if p.ndim == 3 else np.stack([p] * 3, axis=-1) for name, p in found.items()}


def skimage(module):
    """A module of scikit-image, which a program needs only without a picture, or for text."""
    try:
        return importlib.import_module(f"skimage.{module}")
    except ImportError:
        raise SystemExit("this needs scikit-image: pip install 'fastconv[examples]', or name a picture of yours") from None
