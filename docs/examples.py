"""The strip of pictures in docs/models.md: what the five programs of examples/ make of scikit-image's pictures.

python docs/examples.py --models FOLDER       # writes docs/examples.jpg
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from fastconv import vision

DOCS = Path(__file__).parent
PROGRAMS = {
    "classification": "classify.py", "retrieval": "retrieve.py", "detection": "detect.py", "segmentation": "segment.py",
    "pose": "pose.py",
}  # fmt: skip
HEIGHT = 240


def main():
    """Run the programs and write the strip."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    models = os.environ.get("FASTCONV_MODELS")
    parser.add_argument("--models", default=models, required=not models, metavar="FOLDER", help="the networks")
    args = parser.parse_args()

    pictures = []
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "made.png")
        for program in PROGRAMS.values():
            command = [sys.executable, DOCS.parent / "examples" / program, "--models", args.models, "-o", target]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            pictures.append(vision.read(target))
    vision.write(DOCS / "examples.jpg", vision.tiles(pictures, list(PROGRAMS), columns=len(PROGRAMS), size=HEIGHT))


if __name__ == "__main__":
    main()
