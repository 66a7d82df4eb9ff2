"""What a command writes is its account's alone, and a folder that others reach is not worked in."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

from tests.cli.institution import Institution
from tests.cli.zygote import Zygote


def test_everything_that_a_command_writes_is_private(good: Institution) -> None:
    work = good.root / "work-1"
    open_to_others = [
        str(path.relative_to(work)) for path in (work, *work.rglob("*")) if stat.S_IMODE(path.stat().st_mode) & 0o077
    ]
    assert not open_to_others


def test_a_work_folder_that_others_reach_is_refused_by_every_verb(
    good: Institution, scratch: Path, afml: Zygote
) -> None:
    work = shutil.copytree(good.root / "work-1", scratch / "work")
    work.chmod(0o750)
    kit = good.root / "kits" / "node-1"
    shared = ("--kit", kit, "--work", work, "--run", scratch / "run.json")
    for done in (
        good.prepare(work=work), afml("node", *shared, "--aggregator", "127.0.0.1:9"), afml("mask", *shared),
        afml("aggregator", "--kit", kit, "--run", scratch / "run.json", "--data", work, "--listen", "127.0.0.1:9"),
    ):  # fmt: skip
        assert done.complaint() == f"{work}: folder is open to others (mode 0750); chmod 700 '{work}'"
