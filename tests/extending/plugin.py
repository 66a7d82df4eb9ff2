"""Makes a section of docs/EXTENDING.md part of the process that imports this, as `python -m pytest -p` does.

AFML_EXTENDING names the section and the folder that its file was written to.
"""

from __future__ import annotations

import os
from pathlib import Path

from tests.extending.page import add_for_good

_title, _, _folder = os.environ["AFML_EXTENDING"].partition(":")
add_for_good(_title, Path(_folder))
