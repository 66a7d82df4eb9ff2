from pathlib import Path

from afml.dossier.statements import Statements


def write_page(statements: Statements, folder: Path) -> None:
    pass
