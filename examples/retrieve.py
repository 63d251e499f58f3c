"""Which pictures look like this one? The nearest of a gallery, by the cosine of their embeddings.

    pip install 'fastconv[examples]'
    python examples/retrieve.py --models FOLDER [--gallery FOLDER] [picture ...] -o retrieved.png

FOLDER (default: $FASTCONV_MODELS) has mobilenet_v2_embed1280.onnx. The gallery is a folder of pictures, by default some of
scikit-image's. Without pictures to look for it takes four of the gallery, mirrored, turned, cropped and made grey.
"""

from pathlib import Path

import common
import numpy as np

from fastconv import vision

NAMES = (
    "astronaut chelsea coffee rocket retina hubble_deep_field immunohistochemistry brick grass gravel coins moon camera page"
)
NEIGHBOURS = 5


def embed(model, pictures):
    """A vector of 1280 numbers for each picture: n×1280."""
    return np.array([vision.embed(model, picture, preprocess="imagenet").vector for picture in pictures])


def pictures_in(folder):
    """The files of a folder whose names end as those of pictures do."""
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in (".png", ".jpg", ".jpeg"))


def changed(gallery):
    """Four of scikit-image's pictures as one might look for them."""
    h, w = gallery["rocket"].shape[:2]
    grey = np.rint(gallery["coffee"].mean(axis=2, keepdims=True)).astype(np.uint8).repeat(3, axis=2)
    turned = {"mirrored": gallery["chelsea"][:, ::-1], "turned": np.rot90(gallery["astronaut"])}
    return turned | {"cropped": gallery["rocket"][h // 4 :, w // 4 : -w // 4], "grey": grey}


def main(argv=None):
    parser = common.parser(__doc__, "retrieved.png")
    parser.add_argument("--gallery", type=Path, metavar="FOLDER", help="the pictures to look among")
    parser.add_argument("pictures", nargs="*", type=Path, help="the pictures to look for")
    args = parser.parse_args(argv)

    samples = {} if args.gallery and args.pictures else common.samples(NAMES.split())
    gallery = {p.stem: vision.read(p) for p in pictures_in(args.gallery)} if args.gallery else samples
    queries = {p.stem: vision.read(p) for p in args.pictures} or changed(samples)

    model = common.load(args.models, "mobilenet_v2_embed1280")
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
