"""Sphinx: these pages as HTML. ``tox -e docs`` builds them, and a broken link fails the build.

Nothing is fetched: the theme brings its fonts' names only, and there are no references to the
inventories of other projects.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

from hil import __version__

project = "hil"
author = "the authors of hil"
copyright = f"2026, {author}"  # noqa: A001 - Sphinx's name for it
version = release = __version__

extensions = ["myst_parser", "generated"]
exclude_patterns = ["build"]
nitpicky = True
# An option in a sentence keeps its two hyphens.
smartquotes = False

html_theme = "furo"
html_title = f"hil {release}"
html_copy_source = False
html_show_sphinx = False
html_static_path = ["_static"]
html_css_files = ["tables.css"]

myst_heading_anchors = 4
# One parser for Markdown on a forge and here: nothing that only one of them understands, but for
# the directives {toctree}, {generated} and {literalinclude}.
myst_enable_extensions: list[str] = []
suppress_warnings: list[str] = []
