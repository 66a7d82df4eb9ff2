"""Whose report a dossier takes: of its own run, and an institution's own from nobody else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from afml.core.config import canonical_json
from afml.dossier.together import require_report
from afml.evaluation.report import read_json
from afml.ledger.summary import summarise
from node.workspace import Workspace
from tests.dossier.histories import again, refused
from tests.dossier.pack import Built


def test_a_report_of_another_run_or_of_one_institution_alone_is_refused(plain: Built, tmp_path: Path) -> None:
    own = again(plain, tmp_path / "consortium")
    path = own.root / "report.json"
    report = json.loads(path.read_bytes())
    about = {
        "consortium": "walk", "run": "other", "made": "2026-01-01", "command": "afml evaluate",
        "configuration": "0" * 64, "model": "0" * 64,
    }  # fmt: skip
    path.write_bytes(canonical_json({**report, "about": about}))
    refused(own, own.sources, "is of run other, not of this one")
    path.write_bytes(canonical_json({**report, "scope": "own"}))
    refused(own, own.sources, "is an institution's own report, which stays with it")
    alone = replace(own.sources, works=own.sources.works[:1])
    first, second = (summarise(Workspace(work).ledger).origin for work in own.sources.works[:2])
    about |= {"run": own.run.run, "configuration": own.run.digest().hex()}
    path.write_bytes(canonical_json({**report, "scope": "own", "about": about | {"institution": second}}))
    refused(own, alone, "is the own report of .*, and --work is of another institution")
    path.write_bytes(canonical_json({**report, "scope": "own", "about": about | {"institution": first}}))
    require_report(read_json(path), path, own.run, {alone.works[0]: summarise(Workspace(alone.works[0]).ledger)})
