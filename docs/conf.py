"""Sphinx configuration: ``tox -e docs``."""

from __future__ import annotations

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "pytest-grpc-pipeline"
author = "The pytest-grpc-pipeline authors"
project_copyright = author
release = version_of(project)
version = release

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "generated_reference",
]
exclude_patterns = ["_build", "_ext"]

# Nothing is fetched: names of other projects are not linked, see generated_reference.
nitpicky = True

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
# Annotations such as ``Batch`` need not be importable from where they are documented.
autodoc_class_signature = "mixed"

# Option names begin with two hyphens, which must not become a dash.
smartquotes = False

html_theme = "furo"
html_title = project
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
