"""Two runs that each fit into a site's budget and do not fit together: processes that race, then daemons."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.policy import load
from tests.federation.daemons import Site
from tests.federation.parties import Consortium
from tests.processes import afml, until

LIFETIME, RUNS = 0.6, ("one", "two")
"""In sigma. A run here has three rounds and one in reserve at noise 4: 0.5 by itself, 0.71 twice."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Consortium.build(tmp_path_factory.mktemp("budget"), nodes=2, people=40)
    policy = made.kit(1) / "policy.toml"
    policy.write_text(policy.read_text().replace("ple_sigma = 100.0", f"ple_sigma = {LIFETIME}", 1))
    assert load(made.kit(1)).lifetime.ple_sigma == LIFETIME
    for name in RUNS:
        made.configure(name, game=False, seed=None, noise="local", deadline_s=600.0)
    yield Site(made, simulation=False)
    made.stop()


def _entries(ledger: Path) -> Counter[tuple[str, str]]:
    """(kind, run) of every entry about a run."""
    with contextlib.closing(sqlite3.connect(ledger / "ledger.db")) as opened:
        return Counter(opened.execute("SELECT kind, run FROM entries WHERE run IS NOT NULL"))


def test_runs_that_are_admitted_at_once_do_not_overspend_together(site: Site) -> None:
    consortium = site.consortium
    site.start_aggregator()
    until(lambda: '"serving many runs"' in consortium.log("aggregator"))
    for name in RUNS:
        site.submit(name)
    racing = {
        name: consortium.start(
            f"racing-{name}", "node", "--kit", consortium.kit(1), "--work", consortium.work(1),
            "--run", consortium.run_file(name), "--aggregator", f"127.0.0.1:{site.port}",
        )
        for name in RUNS
    }  # fmt: skip
    until(lambda: any(process.poll() is not None for process in racing.values()))
    (lost,) = (name for name, process in racing.items() if process.poll() is not None)
    (won,) = set(RUNS) - {lost}
    assert racing[lost].wait() == 3, consortium.log(f"racing-{lost}")
    assert "this site's lifetime budget" in consortium.log(f"racing-{lost}")
    until(lambda: "enrolled" in consortium.log(f"racing-{won}"))
    racing[won].kill()
    racing[won].wait()

    daemons = {node: site.start(node) for node in (1, 2)}
    until(lambda: f"run {won}: finished\n" in site.said(1))
    until(lambda: f"run {won}: finished\n" in site.said(2))
    assert f"run {won}: taken" in site.said(1), "as by hand, so under the daemon"
    assert site.said(1).count(f"run {lost}: refused: run {lost}: the plan would bring the charge to ") >= 1
    assert f"run {lost}: taken" not in site.said(1)
    assert f"run {lost}: taken" in site.said(2), "which has budget for both"
    ledger = consortium.work(1) / "ledger"
    assert _entries(ledger) == {("reservation", won): 1, ("spend", won): 3, ("closing", won): 1}
    budget = json.loads(afml("status", site.state(1), "--json").stdout)["works"][0]["budget"]
    assert 0.4 < budget["spent"] < LIFETIME
    for daemon in daemons.values():
        daemon.terminate()
    for daemon in daemons.values():
        assert daemon.wait(120) == 0, site.told()


def test_a_run_is_taken_once_a_person_has_approved_it(site: Site) -> None:
    """Both institutions have their say; the second one's policy asks a person."""
    consortium = site.consortium
    consortium.stop()
    policy = consortium.kit(2) / "policy.toml"
    policy.write_text(policy.read_text().replace("approval = false", "approval = true", 1))
    again = Site(consortium, simulation=False)
    consortium.configure("asked", game=False, seed=None, noise="local")
    again.start_aggregator(consortium.root / "anew")
    until(lambda: consortium.log("aggregator").count('"serving many runs"') == 2)
    again.submit("asked")
    state = consortium.root / "asking"
    daemon = again.start(2, state=state)
    until(lambda: "run asked: refused: run asked: nobody at this site has approved it" in again.said(2))
    (offered,) = state.glob("offered/*/run.json")
    told = afml("run", "approve", offered, "--kit", consortium.kit(2), "--work", consortium.work(2))
    assert told.returncode == 0, told.stderr
    until(lambda: "run asked: taken" in again.said(2))
    policy.unlink()
    until(lambda: "no further run is taken" in again.said(2))
    daemon.terminate()
    assert daemon.wait(120) == 0, again.told()
    none = again.start(2, state=state)
    assert none.wait(60) == 2
    assert "this site has no policy, so nothing is allowed" in again.said(2)
