#!/usr/bin/env python
"""Write the map of docs/ARCHITECTURE.md: every file of the product and the first sentence of what it says it is.

python tools/map.py            # writes the part between <!-- map --> and <!-- /map -->
python tools/map.py --check    # fails where the page is not the tree on disk
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "ARCHITECTURE.md"
PACKAGES = ("afml", "crypto", "node", "aggregator")
GENERATED = "afml/wire"
_PLACE = re.compile(r"(<!-- map -->\n).*?(<!-- /map -->)", re.S)


def sentence(path: Path) -> str:
    """The first sentence of a module's docstring, on one line."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    first = docstring.split("\n\n")[0].replace("\n", " ")
    return re.split(r"\.\s+(?=[A-Z`])", first)[0].rstrip(".:")


def rooms() -> dict[Path, list[Path]]:
    """Folder -> its modules, parents before children."""
    found: dict[Path, list[Path]] = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if GENERATED not in path.as_posix():
                found.setdefault(path.parent, []).append(path)
    return found


def text() -> str:
    """The map."""
    lines: list[str] = []
    for folder, modules in sorted(rooms().items()):
        name = folder.relative_to(ROOT).as_posix()
        about = sentence(folder / "__init__.py") if folder / "__init__.py" in modules else ""
        lines += [f"**`{name}/`** {about}" if about else f"**`{name}/`**", ""]
        lines += [f"- `{path.name}` {sentence(path)}" for path in modules if path.name != "__init__.py"]
        if lines[-1]:
            lines.append("")
    return "\n".join(lines)


def main() -> None:
    page = PAGE.read_text(encoding="utf-8")
    made = _PLACE.sub(lambda match: f"{match[1]}{text()}{match[2]}", page)
    if "--check" in sys.argv and made != page:
        sys.exit("docs/ARCHITECTURE.md is not the tree on disk: run `make map`")
    PAGE.write_text(made, encoding="utf-8")


if __name__ == "__main__":
    main()
