"""What is in a picture? The five most likely of ImageNet's 1000 classes.

    pip install 'fastconv[examples]'
    python examples/classify.py --models FOLDER [picture] -o classified.png

FOLDER (default: $FASTCONV_MODELS) has mobilenet_v2_imagenet.onnx. Without a picture it takes scikit-image's cat.
"""

import common

from fastconv import vision


def classify(model, picture):
    """(indices, probabilities) of the five most likely classes, best first."""
    middle = vision.crop(picture, 224, short=256)
    logits = model(vision.to_nchw(middle, vision.IMAGENET_MEAN, vision.IMAGENET_STD))
    return vision.top_k(vision.softmax(logits[0]), 5)


def main(argv=None):
    parser = common.parser(__doc__, "classified.png")
    parser.add_argument("picture", nargs="?", help="a picture's file")
    args = parser.parse_args(argv)

    model = common.load(args.models, "mobilenet_v2_imagenet")
    picture = common.picture(args.picture, "chelsea")
    indices, probabilities = classify(model, picture)
    names = [vision.IMAGENET_CLASSES[i] for i in indices]
    for name, p in zip(names, probabilities, strict=True):
        print(f"{p:6.1%}  {name}")
    vision.write(args.output, vision.draw_scores(picture, names, probabilities))


if __name__ == "__main__":
    main()
