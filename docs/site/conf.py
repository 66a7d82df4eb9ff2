"""The site of the documents: `make docs`. Sphinx reads the repository's own pages where they lie.

What `tools/reference.py` makes of the code stands beside them. The pages read as well without the site.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # `docstrings` and `notebooks` beside this file

project = "AFML"
author = "the AFML authors"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "docstrings", "notebooks"]
include_patterns = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/**",
    "results/**.md",
    "deploy/*.md",
    "examples/*/*.md",
]
exclude_patterns = ["docs/site/**"]
root_doc = "docs/index"
myst_heading_anchors = 4
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"  # a type alone says nothing of a parameter
autoclass_content = "both"  # what is given to a class stands below its `__init__`
default_role = "code"  # of docstrings; pages are Markdown
smartquotes = False  # what is copied can be typed
autodoc_member_order = "bysource"
html_theme = "furo"
html_title = "AFML"
html_show_sourcelink = False
html_copy_source = False
