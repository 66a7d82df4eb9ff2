"""An institution's daemon: it takes the runs that its site admits, plays several at once, and outlives being killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from afml.consortium.kit import load_roster
from afml.consortium.nodekit import load_node_kit
from afml.consortium.run import Budget, RunConfig
from afml.core.errors import ProtocolError
from afml.ledger import transcript
from afml.ledger.verify import Evidence, verify
from afml.trial.processes import free_port
from node.serving.offers import Offer, Offers
from tests.core.test_metrics import read
from tests.federation.daemons import Site
from tests.federation.parties import Consortium
from tests.processes import afml, until

NODES = (1, 2, 3)
ROUNDS = 24
"""Of the runs that are looked at, killed and stopped on their way."""


def _many_rounds(config: RunConfig, rounds: int) -> dict[str, Any]:
    return {"phases": tuple(phase.model_copy(update={"rounds": rounds}) for phase in config.phases)}


def _gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    return state in "ZX"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Consortium.build(tmp_path_factory.mktemp("serve"), people=40)
    yield Site(made)
    made.stop()


@pytest.fixture(scope="module")
def played(site: Site) -> dict[str, RunConfig]:
    """Two runs at once under a daemon at each institution, of which one is killed and one is stopped on the way."""
    consortium, names = site.consortium, ("first", "second")
    small = consortium.configure("first", game=False)
    configs = {
        name: consortium.configure(
            name,
            game=False,
            seed=seed,
            reserve_attempts=8,
            budget=Budget(delta=1e-5, ple_sigma=40.0),
            **_many_rounds(small, ROUNDS),
        )
        for seed, name in enumerate(names, 21)
    }
    consortium.configure("greedy", game=False, budget=Budget(delta=1e-5, ple_sigma=200.0))
    site.start_aggregator()
    until(lambda: '"serving many runs"' in consortium.log("aggregator"))
    figures = free_port()
    daemons = {node: site.start(node, *(["--metrics", f"127.0.0.1:{figures}"] if node == 2 else [])) for node in NODES}
    for name in ("first", "greedy", "second"):
        site.submit(name)
    for node in NODES:
        until(lambda node=node: all(site.spends(node, name) for name in names))
    _looked_at(site, figures)

    processes = [site.process(1, name) for name in names]
    daemons[1].kill()
    assert daemons[1].wait(60) == -signal.SIGKILL
    left = {name: len(site.spends(1, name)) for name in names}
    until(lambda: all(_gone(process) for process in processes))
    daemons[1] = site.start(1)

    processes = [site.process(3, name) for name in names]
    daemons[3].terminate()
    assert daemons[3].wait(120) == 0, site.told()
    assert all(_gone(process) for process in processes), "it waits for its runs"
    assert "stops, when 2 runs have finished what was paid for" in site.said(3)
    found = site.standing(3)
    assert found is not None
    assert found.ended == "stopped as it was asked to"
    assert [one.why for one in found.runs if one.work] == ["stopped with the daemon"] * 2
    daemons[3] = site.start(3)

    assert all(0 < count < ROUNDS for count in left.values()), "both runs were under way when the daemon was killed"
    for node in NODES:
        until(lambda node=node: all(f"run {name}: finished\n" in site.said(node) for name in names))
    return configs


def _looked_at(site: Site, figures: int) -> None:
    """What an operator sees meanwhile."""
    shown = afml("status", site.state(2), "--json")
    assert shown.returncode == 0, shown.stderr
    found = json.loads(shown.stdout)
    states = {one["run"]: one["state"] for one in found["standing"]["runs"]}
    assert states == {"first": "running", "second": "running", "greedy": "refused"}
    assert found["state"] == "running"
    assert {part["run"]: part["state"] for part in found["works"][0]["parts"]} == {
        "first": "running", "second": "running",
    }  # fmt: skip
    text = afml("status", site.state(2)).stdout
    assert "2 of 4 places in use; aggregator" in text
    assert "run greedy: was refused (" in text
    with urllib.request.urlopen(f"http://127.0.0.1:{figures}/metrics", timeout=10) as page:
        scraped = {(name, tuple(sorted(labels.items()))): value for name, labels, value in read(page.read().decode())}
    assert scraped["afml_serve_runs", (("state", "running"),)] == 2
    assert scraped["afml_serve_runs", (("state", "refused"),)] == 1
    assert {scraped["afml_run_rounds", (("run", run),)] for run in ("first", "second")} == {ROUNDS}


def test_both_runs_end_with_the_right_models_and_each_spend_once(site: Site, played: dict[str, RunConfig]) -> None:
    roster = load_roster(site.consortium.kit(1))
    for name, config in played.items():
        assert {site.consortium.model_card(node, name)["digest"] for node in NODES} == {
            site.consortium.reference(config).digest()
        }, name
        written = site.data / "runs" / name / "transcript.jsonl"
        rounds = transcript.read(written, bytes.fromhex(roster.aggregator_key))
        assert [one.round for one in rounds] == list(range(1, config.rounds + 1))
        for node in NODES:
            found = site.spends(node, name)
            assert len(found) == len(set(found)), "each once"
            assert {(one.round, one.attempt) for one in rounds} <= set(found)
        key, ledger = bytes.fromhex(roster.member(1).signing_key), site.consortium.work(1) / "ledger"
        result = verify(ledger, key=key, node=1, evidence=Evidence(transcript=rounds))
        assert result.ok, [vars(finding) for finding in result.findings]


def test_a_run_that_the_policy_does_not_allow_is_refused_once_with_its_reason(
    site: Site, played: dict[str, RunConfig]
) -> None:
    line = "run greedy: refused: run greedy: names a budget of 200 sigma, this site's policy allows 100 at most"
    assert site.said(2).count(line) == 1, "one life of the daemon"
    assert site.said(1).count(line) == 2, "two lives"
    for node in NODES:
        assert not (site.consortium.work(node) / "runs" / "greedy").exists()
        assert not (site.state(node) / "runs" / "greedy").exists()


def test_who_is_not_in_a_run_neither_hears_of_it_nor_gets_it(site: Site, played: dict[str, RunConfig]) -> None:
    consortium = site.consortium
    whole = consortium.configure("pair", game=False)
    enrolled = {node: people for node, people in whole.enrolled.items() if node != 3}
    pair = consortium.configure("pair", game=False, enrolled=enrolled, quorum=2, noise="local")
    site.submit("pair")
    for node in (1, 3):
        offers = Offers(f"127.0.0.1:{site.port}", load_node_kit(consortium.kit(node)))
        with contextlib.closing(offers):
            named = {one.run for one in offers.served()}
            if node == 1:
                assert {"pair", "greedy"} <= named
                assert offers.papers(Offer("pair", pair.digest()))[0] == consortium.run_file("pair").read_bytes()
            else:
                assert "pair" not in named
                with pytest.raises(ProtocolError, match="no run of this digest that enrols node 3"):
                    offers.papers(Offer("pair", pair.digest()))


def _sees(site: Site, run: str, state: Path) -> subprocess.Popen[bytes]:
    """Daemon 2, once it has said something of a run: it waits for children of one that was killed."""
    (site.consortium.root / "serve-2.log").unlink()
    daemon = site.start(2, state=state)
    until(lambda: f"run {run}: " in site.said(2) or daemon.poll() is not None)
    assert f"run {run}: " in site.said(2)
    return daemon


def test_a_finished_run_is_not_taken_again(site: Site, played: dict[str, RunConfig]) -> None:
    """Offered anew by an aggregator that has lost its memory, to a daemon with its own and to one without."""
    consortium, again = site.consortium, Site(site.consortium)
    consortium.stop()
    before = {name: site.spends(2, name) for name in played}
    consortium.configure("third", game=False)
    again.start_aggregator(consortium.root / "forgetful")
    until(lambda: consortium.log("aggregator").count('"serving many runs"') == 2)
    consortium.run_file("first").write_bytes((site.state(1) / "runs" / "first" / "run.json").read_bytes())
    consortium.run_file("first").with_suffix(".sig").write_bytes(
        (site.state(1) / "runs" / "first" / "run.sig").read_bytes()
    )
    for name in ("first", "third"):
        assert "is served" in again.submit(name)
    for state, refusals in ((site.state(2), 0), (consortium.root / "fresh", 1)):
        daemon = _sees(again, "third", state)
        daemon.terminate()
        assert daemon.wait(120) == 0, again.told()
        assert again.said(2).count("run first: refused: run first: is over here (finished)") == refusals
        assert "run first: taken" not in again.said(2)
    assert {name: site.spends(2, name) for name in played} == before
