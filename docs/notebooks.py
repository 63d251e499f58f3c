"""Run the notebooks of examples/notebooks, from the first cell to the last.

    python docs/notebooks.py [--write]      # extra: fastconv[notebooks]

Those that need trained networks run if FASTCONV_MODELS names a folder with them. --write writes a page of each to
docs/notebooks: its text, its code, and what it prints and shows.
"""

import argparse
import base64
import io
import os
from pathlib import Path

import jupytext
from nbclient import NotebookClient
from PIL import Image

PAGES = Path(__file__).parent / "notebooks"
FOLDER = PAGES.parents[1] / "examples" / "notebooks"
#: in the order of docs/notebooks.md; all but the first need trained networks
NAMES = ("lecture", "classify", "detect", "segment", "pose", "retrieve")
WIDTH = 700


def run(name):
    """A notebook with its outputs; nbclient's CellExecutionError if a cell fails."""
    notebook = jupytext.read(FOLDER / f"{name}.py")
    options = {"kernel_name": "python3", "coalesce_streams": True, "resources": {"metadata": {"path": str(FOLDER)}}}
    NotebookClient(notebook, **options).execute()
    return notebook


def parts(cells):
    """What a page has of cells, in turn: Markdown, code, text that was printed or is the result, and PNG files as bytes."""
    for cell in cells:
        yield ("markdown" if cell.cell_type == "markdown" else "python"), cell.source
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if "image/png" in data:
                yield "png", base64.b64decode(data["image/png"])
            elif text := output.get("text") or data.get("text/plain"):
                yield "text", text.rstrip()


def page(name, notebook):
    """The page of a notebook, and its pictures by their files' names."""
    blocks, pictures = [], {}
    for kind, content in parts(notebook.cells):
        if kind == "png":
            file = f"{name}-{len(pictures)}.jpg"
            pictures[file] = content
            blocks.append(f"![What the cell above shows]({file})")
        else:
            blocks.append(content if kind == "markdown" else f"```{kind}\n{content}\n```")
    source = f"[{name}.py](../../examples/notebooks/{name}.py)"
    blocks.insert(1, f"This page is the notebook {source}, run by `docs/notebooks.py`.")
    return "\n\n".join(blocks) + "\n", pictures


def write(path, png):
    """A picture as a small JPEG."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    picture.thumbnail((WIDTH, 4 * WIDTH))
    picture.save(path, quality=75, optimize=True)


def main():
    """Run them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the pages of docs/notebooks")
    args = parser.parse_args()
    names = NAMES if os.environ.get("FASTCONV_MODELS") else NAMES[:1]
    for name in names:
        text, pictures = page(name, run(name))
        print(f"{name}: {len(pictures)} pictures", flush=True)
        if args.write:
            (PAGES / f"{name}.md").write_text(text, encoding="utf-8")
            for file, png in pictures.items():
                write(PAGES / file, png)
    if len(names) < len(NAMES):
        print(f"left out: {', '.join(NAMES[len(names) :])}: FASTCONV_MODELS names no folder of networks")


if __name__ == "__main__":
    main()
