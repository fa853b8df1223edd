"""How `make docs` builds this folder as a site. What is generated is made by scripts/reference,
of the code as it stands; no network is needed.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "clients" / "python")]

from admission import __version__  # noqa: E402
from scripts.reference import filled  # noqa: E402

project = "admission"
version = release = __version__
copyright = "the authors of admission"
language = "en"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["images", "grafana"]
myst_heading_anchors = 4
autodoc_member_order = "bysource"
autodoc_typehints = "signature"

html_theme = "furo"
html_title = f"admission {__version__}"
html_show_sourcelink = False
html_copy_source = False

_OUTWARD = re.compile(r"(?<!!)\[([^]]+)\]\((\.\./[^)#]*|grafana/[^)]*)(?:#[^)]*)?\)")


def _complete(app: object, docname: str, source: list[str]) -> None:
    """What is generated, in its place; and links to files that are no pages as their names."""
    folder = Path(__file__).parent / Path(docname).parent

    def named(match: re.Match[str]) -> str:
        target = (folder / match[2]).resolve()
        if target.suffix == ".md" and target.is_relative_to(Path(__file__).parent):
            return match[0]
        return f"{match[1]} (`{target.relative_to(ROOT)}`)"

    source[0] = filled(_OUTWARD.sub(named, source[0]))


def setup(app: object) -> None:
    app.connect("source-read", _complete)
