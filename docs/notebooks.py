"""Run the notebooks of examples/notebooks, from the first cell to the last.

    python docs/notebooks.py [--write]      # extra: fastconv[notebooks]

Those that need trained networks run if FASTCONV_MODELS names a folder with them. --write writes the pictures of
docs/notebooks.md from what the notebooks show.
"""

import argparse
import base64
import io
import os
from pathlib import Path

import jupytext
from nbclient import NotebookClient
from PIL import Image

DOCS = Path(__file__).parent
FOLDER = DOCS.parent / "examples" / "notebooks"
#: the pictures that each shows and the page has, counted from 0
PICTURES = {"lecture": (1, 3), "classify": (2,), "detect": (1,), "segment": (1,), "pose": (0,), "retrieve": (1,)}
WIDTH = 700


def run(name):
    """The pictures that a notebook shows; nbclient's CellExecutionError if a cell fails."""
    notebook = jupytext.read(FOLDER / f"{name}.py")
    NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": str(FOLDER)}}).execute()
    outputs = (output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", ()))
    return [base64.b64decode(data["image/png"]) for data in outputs if "image/png" in data]


def write(path, png):
    """A picture as a small JPEG."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    picture.thumbnail((WIDTH, 4 * WIDTH))
    picture.save(path, quality=75, optimize=True)


def main():
    """Run them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the pictures of docs/notebooks.md")
    args = parser.parse_args()
    names = list(PICTURES) if os.environ.get("FASTCONV_MODELS") else ["lecture"]
    for name in names:
        shown = run(name)
        print(f"{name}: {len(shown)} pictures", flush=True)
        for i in PICTURES[name] if args.write else ():
            write(DOCS / "notebooks" / f"{name}-{i}.jpg", shown[i])
    if len(names) < len(PICTURES):
        print(f"left out: {', '.join(n for n in PICTURES if n not in names)}: FASTCONV_MODELS names no folder of networks")


if __name__ == "__main__":
    main()
