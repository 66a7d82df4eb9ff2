"""A dossier is made, says what its sources say, and is verified by a process that has nothing of ours."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from afml.dossier.standalone import Check
from afml.dossier.verified import verified
from tests.dossier.pack import Built, enrolment


def test_a_good_one_is_found_good(good: Path) -> None:
    found = verified(good)
    assert not found.findings
    assert len(found.stands) > 100
