"""Which pictures look like this one? The nearest of a gallery, by the cosine of their embeddings.

    pip install 'fastconv[onnx,vision]' scikit-image
    python examples/retrieve.py --models FOLDER [--gallery FOLDER] [picture ...] -o retrieved.png

FOLDER (default: $FASTCONV_MODELS) has mobilenet_v2_embed1280.onnx. The gallery is a folder of pictures, by default some of
scikit-image's; without pictures to look for it takes four of the gallery, mirrored, turned, cropped and made grey.
"""

import argparse
import os
from pathlib import Path

import numpy as np
import skimage.data

import fastconv
from fastconv import vision

NAMES = (
    "astronaut chelsea coffee rocket retina hubble_deep_field immunohistochemistry brick grass gravel coins moon camera page"
)
NEIGHBOURS = 5


def embed(model, pictures):
    """A vector of 1280 numbers for each picture: n×1280."""
    middles = [vision.crop(p, 224, short=256) for p in pictures]
    return model(vision.to_nchw(middles, vision.IMAGENET_MEAN, vision.IMAGENET_STD))


def samples():
    """scikit-image's pictures by name, and changed ones to look for."""
    found = {name: getattr(skimage.data, name)() for name in NAMES.split()}
    gallery = {name: p if p.ndim == 3 else np.stack([p] * 3, axis=-1) for name, p in found.items()}
    h, w = gallery["rocket"].shape[:2]
    grey = np.rint(gallery["coffee"].mean(axis=2, keepdims=True)).astype(np.uint8).repeat(3, axis=2)
    changed = {"mirrored": gallery["chelsea"][:, ::-1], "turned": np.rot90(gallery["astronaut"])}
    return gallery, changed | {"cropped": gallery["rocket"][h // 4 :, w // 4 : -w // 4], "grey": grey}


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    models = os.environ.get("FASTCONV_MODELS")
    parser.add_argument("--models", type=Path, default=models, required=not models, metavar="FOLDER", help="the networks")
    parser.add_argument("--gallery", type=Path, metavar="FOLDER", help="the pictures to look among")
    parser.add_argument("pictures", nargs="*", type=Path, help="the pictures to look for")
    parser.add_argument("-o", "--output", default="retrieved.png", help="the file to write; default: retrieved.png")
    args = parser.parse_args(argv)

    gallery, queries = samples()
    if args.gallery:
        files = sorted(p for p in args.gallery.iterdir() if p.suffix.lower() in (".png", ".jpg", ".jpeg"))
        gallery = {p.stem: vision.read(p) for p in files}
    if args.pictures:
        queries = {p.stem: vision.read(p) for p in args.pictures}

    model = fastconv.load(args.models / "mobilenet_v2_embed1280.onnx")
    names, pictures = list(gallery), list(gallery.values())
    indices, cosines = vision.nearest(embed(model, queries.values()), embed(model, pictures), NEIGHBOURS)
    shown, captions = [], []
    for (query, picture), row, near in zip(queries.items(), indices, cosines, strict=True):
        shown += [picture, *(pictures[i] for i in row)]
        captions += [query, *(f"{names[i]} {c:.2f}" for i, c in zip(row, near, strict=True))]
        print(f"{query}: {', '.join(captions[-len(row) :])}")
    vision.write(args.output, vision.tiles(shown, captions, columns=1 + indices.shape[1]))


if __name__ == "__main__":
    main()
