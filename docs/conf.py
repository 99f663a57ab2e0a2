"""How Sphinx makes a site of the pages: ``make docs``.

The whole repository is the source folder, so that links between its pages are the same here and on the forge; a link or
anchor of ours that leads nowhere is a warning, and a warning is an error. Links to other sites: ``make links``.
"""

from __future__ import annotations

import re

from pygments.lexers import TextLexer
from sphinx.application import Sphinx

import ddb_export

project = "ddb_export"
author = "the ddb_export authors"
project_copyright = f"{author}, Apache License 2.0"
release = ddb_export.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
root_doc = "docs/index"
include_patterns = ["docs/**.md", "*.md", "local_aws/README.md", "tests/fixtures/*/NOTICE.md"]
exclude_patterns = [
    ".*",
    "build",
    "constraints",
    "plugins",
    "benchmarks",
    "demo",
    "scripts",
    "dags",
    "local_aws/*/**",
]

myst_heading_anchors = 4
myst_enable_extensions = ["attrs_inline", "deflist"]

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100

# The addresses of services that run on the reader's machine.
linkcheck_ignore = [r"https?://(127\.0\.0\.1|localhost)\b"]
# Sites write anchors with scripts; whether the page is there is what is asked.
linkcheck_anchors = False
linkcheck_timeout = 30
linkcheck_retries = 3

html_theme = "furo"
html_title = "ddb_export"
html_extra_path = ["site"]
html_copy_source = False
html_show_sourcelink = False
html_static_path: list[str] = []
pygments_style = "friendly"
pygments_dark_style = "monokai"
# Whether a page is in the navigation is asked by a test, which also says what to do.
suppress_warnings = ["config.cache", "toc.not_included"]


def name_anchors(_app: Sphinx, _page: str, source: list[str]) -> None:
    """Write anchors inside of tables, which the forge knows as HTML, as MyST knows them, so that links to them are checked."""
    source[0] = re.sub(r'<a id="([^"]+)"></a>', r"[]{#\1}", source[0])


def setup(app: Sphinx) -> None:
    """Adapt what is written for the forge; Mermaid's text is shown as it is, for drawing it would load a script from elsewhere."""
    app.add_lexer("mermaid", TextLexer)
    app.connect("source-read", name_anchors)
