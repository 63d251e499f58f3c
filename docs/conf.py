"""The documentation site: `sphinx-build -nW --keep-going docs build/site` (extra: fastconv[docs]).

The pages are Markdown, which the forge shows as well; docs/reference/ has the reference, from docstrings. In a docstring a
public name in backticks becomes a link, and all else stays code.
"""

import builtins
import os
import re
from pathlib import Path

from docutils import nodes
from sphinx.addnodes import pending_xref

import fastconv

ROOT = Path(__file__).parents[1]
#: files outside of docs/ that are pages of the site -> the page
PAGES = {
    "CHANGELOG.md": "changes.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "bench/README.md": "benchmarks.md",
}
#: where files are that are no pages of the site; CI knows
REPOSITORY = os.environ.get("GITHUB_REPOSITORY") and f"https://github.com/{os.environ['GITHUB_REPOSITORY']}"

project = "fastconv"
author = "The fastconv developers"
copyright = author  # noqa: A001
version = release = fastconv.__version__
extensions = [
    "myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode", "sphinx_copybutton", "sphinx_design",
]  # fmt: skip

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

default_role = "py:obj"
add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_google_docstring = False
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

html_theme = "furo"
html_title = f"fastconv {version}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_theme_options = {"top_of_page_buttons": []}
if REPOSITORY:
    html_theme_options = {"source_repository": f"{REPOSITORY}/", "source_branch": "main", "source_directory": "docs/"}
pygments_style, pygments_dark_style = "friendly", "github-dark"


def rewrite_links(content, path):
    """Links of a file to files outside of docs/: to their pages, or to the repository; where that is not known, their text."""

    def link(match):
        text, target, anchor = match.groups()
        named = os.path.relpath(path.parent / target, ROOT)
        if not (ROOT / named).exists():
            return match[0]
        if named in PAGES or named.startswith("docs/"):
            return f"[{text}](/{PAGES.get(named) or named.removeprefix('docs/')}{anchor or ''})"
        return f"[{text}]({REPOSITORY}/blob/main/{named})" if REPOSITORY else text

    content[0] = re.sub(r"(?<!!)\[([^]]+)\]\(([^():#\s]+)(#[^()\s]*)?\)", link, content[0])


def types_of_python(app, doctree):
    """Do not take `bytes` in a list of parameters for a member of that name."""
    for node in doctree.findall(pending_xref):
        if node["reftarget"] in dir(builtins):
            node.attributes.pop("refspecific", None)


def no_public_name(app, env, node, contnode):
    """Show as code what is in backticks, or is a type, and is no public name of fastconv."""
    if node.get("refdomain") != "py" or node["reftarget"].startswith("fastconv."):
        return None
    source = contnode.rawsource if isinstance(contnode, nodes.literal) else ""
    # the whole of it: the role has stripped the dot of `.onnx`
    return nodes.literal(source, source.strip("`")) if source.startswith("`") else contnode


def setup(app):
    """Called by Sphinx."""
    docs = ROOT / "docs"
    app.connect("source-read", lambda app, page, content: rewrite_links(content, docs / page))
    app.connect("include-read", lambda app, path, page, content: rewrite_links(content, docs / path))
    app.connect("doctree-read", types_of_python)
    app.connect("missing-reference", no_public_name)
