"""The page on paper, by a Chromium that is there; a dossier is whole without."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from afml.dossier.page import PAGE

PAPER = "dossier.pdf"
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_PATIENCE_S = 120


def print_page(folder: Path) -> bool:
    """Write dossier.pdf beside the page; whether a Chromium was there and did."""
    browser = next((found for name in _NAMES if (found := shutil.which(name))), None)
    if browser is None:
        return False
    with tempfile.TemporaryDirectory() as profile:
        # The page is ours, without a script and without a network, so no sandbox is asked for where none can be had.
        command = [
            browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer", "--disable-extensions",
            f"--user-data-dir={profile}", f"--print-to-pdf={(folder / PAPER).resolve()}",
            (folder / PAGE).resolve().as_uri(),
        ]  # fmt: skip
        try:
            subprocess.run(command, check=True, timeout=_PATIENCE_S, capture_output=True)
        except (OSError, subprocess.SubprocessError):
            return False
    return (folder / PAPER).is_file()
