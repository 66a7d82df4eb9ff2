"""docs/OPERATIONS.md: its commands exist, its figures for Prometheus are the code's."""

from __future__ import annotations

import re
import time
from pathlib import Path

from afml.consortium.stage import Stage
from afml.core.progress import Kind
from aggregator.metrics import of_aggregator
from aggregator.standing import NodeStanding, RunStanding
from node.metrics import of_daemon, of_node
from node.serving.standing import RunHere, ServeStanding
from node.standing import PartStanding
from tests.cli.test_cures import problem

PAGE = (Path(__file__).parents[2] / "docs" / "OPERATIONS.md").read_text(encoding="utf-8")
METRIC = re.compile(r"`((?:afml|process)_[a-z_]+)`")


def _commands() -> list[str]:
    """What the page tells its reader to type: in blocks a line each, in running text between backticks."""
    blocks = [line.split("#")[0] for block in re.findall(r"```sh\n(.*?)```", PAGE, re.S) for line in block.splitlines()]
    text = re.sub(r"```.*?```", "", PAGE, flags=re.S)
    quoted = [" ".join(found.split()) for found in re.findall(r"`([^`]+)`", text)]
    return [line for line in [*blocks, *quoted] if line.startswith("afml ")]


def test_every_command_exists() -> None:
    found = _commands()
    assert len(found) > 30
    assert [wrong for command in found if (wrong := problem(command))] == []


def test_no_two_commands_of_the_coordinator_write_into_one_folder() -> None:
    outs = [found[1] for line in _commands() if (found := re.search(r"afml consortium .*--out ([\w-]+)", line))]
    assert {"answers-2", "renewed", "revoked"} <= set(outs)
    assert len(outs) == len(set(outs)), outs


def test_every_figure_is_on_the_page_and_no_other(tmp_path: Path) -> None:
    now = time.time()
    common = {"run": "r", "consortium": "c", "version": "0", "started": now, "written": now, "certificate_expires": now}
    node = NodeStanding(node=1, name="a", state="ready")
    RunStanding(
        **common, address="a:1", stage=Stage.OPEN, since=now, round=1, attempt=1, rounds=2, phase="p", published=0,
        quorum=2, reason="", nodes=(node,), round_seconds=1.0, update_bytes=1, parameters=1,
    ).keep(tmp_path)  # fmt: skip
    part = PartStanding(**common, node=1, address="a:1", since=now, rounds=2)
    serve = ServeStanding(
        **{name: value for name, value in common.items() if name != "run"}, node=1, address="a:1", at_once=1, ledger="",
        works=(str(tmp_path),), runs=(RunHere(run="r", state="running", why="", work=str(tmp_path)),),
    )  # fmt: skip
    part.keep(_made(tmp_path / "runs" / "r"))
    rows = {name: row for row in PAGE.splitlines() if row.startswith("| `") for name in METRIC.findall(row)}
    for who, metrics in (("aggregator", of_aggregator(tmp_path)), ("node", of_node(part, tmp_path))):
        made = {metric.name for metric in metrics}
        assert made == {name for name, row in rows.items() if row.split("|")[3].strip() in (who, "both")}
    made = {metric.name for metric in of_daemon(serve, tmp_path)}
    assert made == {name for name, row in rows.items() if row.split("|")[3].strip() in ("daemon", "node", "both")}


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def test_kinds_and_labels_are_named() -> None:
    kinds = next(row for row in PAGE.splitlines() if row.startswith("| `afml_node_doing`"))
    assert set(Kind.__args__) <= set(re.findall(r"[a-z]+", kinds.split("label `kind`")[1]))
