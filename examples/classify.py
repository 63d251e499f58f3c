"""What is in a picture? The five likeliest of ImageNet's 1000 classes.

    pip install 'fastconv[onnx,vision]' scikit-image
    python examples/classify.py --models FOLDER [picture] -o classified.png

FOLDER (default: $FASTCONV_MODELS) has mobilenet_v2_imagenet.onnx. Without a picture it looks at scikit-image's cat.
"""

import argparse
import os
from pathlib import Path

import skimage.data

import fastconv
from fastconv import vision


def classify(model, picture):
    """(indices, probabilities) of the five likeliest classes, best first."""
    middle = vision.crop(picture, 224, short=256)
    logits = model(vision.to_nchw(middle, vision.IMAGENET_MEAN, vision.IMAGENET_STD))
    return vision.top_k(vision.softmax(logits[0]), 5)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    models = os.environ.get("FASTCONV_MODELS")
    parser.add_argument("--models", type=Path, default=models, required=not models, metavar="FOLDER", help="the networks")
    parser.add_argument("picture", nargs="?", help="a picture's file")
    parser.add_argument("-o", "--output", default="classified.png", help="the file to write; default: classified.png")
    args = parser.parse_args(argv)

    model = fastconv.load(args.models / "mobilenet_v2_imagenet.onnx")
    picture = vision.read(args.picture) if args.picture else skimage.data.chelsea()
    indices, probabilities = classify(model, picture)
    names = [vision.IMAGENET_CLASSES[i] for i in indices]
    for name, p in zip(names, probabilities, strict=True):
        print(f"{p:6.1%}  {name}")
    vision.write(args.output, vision.draw_scores(picture, names, probabilities))


if __name__ == "__main__":
    main()
