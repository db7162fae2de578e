"""How the documentation is built: `make docs`, warnings as errors, nothing from the network."""

from __future__ import annotations

from c2cotel._version import VERSION

project = "c2cotel"
copyright = "the c2cotel developers"  # noqa: A001  # Sphinx's name
version = release = VERSION

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["images/*.py"]
html_theme = "furo"
html_title = "c2cotel"

myst_heading_anchors = 3
napoleon_use_ivar = True

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
python_maximum_signature_line_length = 100
