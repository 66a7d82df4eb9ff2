"""`afml overlap` over real processes: one institution finds whom another one has too, nobody else finds anything."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from afml.consortium.card import NodeCard
from afml.consortium.kit import load_roster
from afml.consortium.overlap import order, size_of
from afml.consortium.run import RunConfig
from afml.core.config import Settings
from afml.genomics.phenotypes import write_phenotypes
from afml.ledger.verify import verify
from afml.trial.kits import make_kits
from afml.trial.processes import free_port
from node.policy import OverlapRules
from node.policyfile import init, trial_policy
from tests.federation.parties import Consortium
from tests.genomics.test_kinship import read_again
from tests.processes import afml, listening
from tests.simulated import simulate_dosage, write_vcf

SITES, PANEL, PEOPLE, NODES = 1500, 120, 24, 3
#: Rows of everybody in one simulated population: node -> who it has enrolled. 0-2 at 1 and 2, 3-4 at 2 and 3, 5 at all.
ENROLLED = {
    1: [0, 1, 2, 5, *range(10, 30)],
    2: [0, 1, 2, 3, 4, 5, *range(30, 48)],
    3: [3, 4, 5, *range(48, 69)],
}


class Report(Settings):
    """overlap.json as its reader needs it."""

    run: str
    config_digest: str
    people: int
    shared: dict[int, int]
    left_out: int
    answered: tuple[int, ...]
    note: str


def allow(consortium: Consortium, node: int, rules: OverlapRules) -> None:
    kit = consortium.kit(node)
    (kit / "policy.toml").unlink(missing_ok=True)
    roster = load_roster(kit)
    init(kit, trial_policy(roster).model_copy(update={"overlap": rules}), roster)


def build(root: Path, sites: int = SITES) -> Consortium:
    made = Consortium(root, NODES, PEOPLE)
    dosage = simulate_dosage(PANEL + 70, sites, seed=8)
    write_vcf(root / "panel.vcf.gz", dosage[:PANEL], samples=[f"P{i}" for i in range(PANEL)])
    make_kits(root / "kits", "test", NODES)
    for node, rows in ENROLLED.items():
        allow(made, node, OverlapRules(allowed=True))
        names = [f"n{node}-{row}" for row in rows]
        read = read_again(dosage[PANEL:][rows], seed=node)
        write_vcf(root / f"node-{node}.vcf.gz", read, samples=names)
        write_phenotypes(root / f"node-{node}.tsv", names, dosage[PANEL:][rows][:, 0] % 2, ["phenotype"])
        done = made.prepare(node, **{"--sites": sites, "--holdout": "0"})
        assert done.returncode == 0, done.stderr
    return made


@pytest.fixture(scope="module")
def consortium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consortium]:
    made = build(tmp_path_factory.mktemp("overlap"))
    yield made
    made.stop()


def serve(consortium: Consortium, name: str) -> tuple[RunConfig, int]:
    config, port = consortium.configure(name, game=False, seed=None, deadline_s=600.0), free_port()
    consortium.start_aggregator(port, name)
    listening(port)
    return config, port


def arguments(consortium: Consortium, node: int, name: str, port: int, wait: float = 300) -> list[object]:
    return ["overlap", "--kit", consortium.kit(node), "--work", consortium.work(node), "--run",
            consortium.run_file(name), "--aggregator", f"127.0.0.1:{port}", "--wait", wait]  # fmt: skip


def everybody(consortium: Consortium, name: str, port: int) -> None:
    running = [consortium.start(f"{name}-{node}", *arguments(consortium, node, name, port)) for node in ENROLLED]
    for node, process in zip(ENROLLED, running, strict=True):
        assert process.wait(timeout=600) == 0, consortium.log(f"{name}-{node}")


def report(consortium: Consortium, node: int, name: str) -> Report:
    return Report.load(consortium.work(node) / "overlap" / name / "overlap.json")


def entries(consortium: Consortium, node: int, kind: str) -> list[dict[str, object]]:
    path = consortium.work(node) / "ledger" / "ledger.db"
    if not path.exists():
        return []
    with closing(sqlite3.connect(path)) as ledger:
        rows = ledger.execute("SELECT body FROM entries WHERE kind = ? ORDER BY idx", (kind,)).fetchall()
    return [json.loads(body) for (body,) in rows]


def letters(consortium: Consortium, name: str) -> set[tuple[int, str]]:
    with closing(sqlite3.connect(consortium.data(name) / "run.sqlite")) as store:
        return set(store.execute("SELECT sender, subject FROM letters"))


def sound(consortium: Consortium, node: int) -> None:
    roster = load_roster(consortium.kit(node))
    key = bytes.fromhex(roster.member(node).signing_key)
    found = verify(consortium.work(node) / "ledger", key=key, node=node)
    assert found.ok, [str(one) for one in found.findings]
    assert any("queries for shared people" in line for line in found.checked)


@pytest.fixture(scope="module")
def first(consortium: Consortium) -> tuple[RunConfig, int]:
    """A query that everybody took part in, and the aggregator's port."""
    config, port = serve(consortium, "first")
    everybody(consortium, "first", port)
    return config, port


def test_people_at_two_institutions_are_found_by_the_later_one(
    consortium: Consortium, first: tuple[RunConfig, int]
) -> None:
    config, port = first
    nodes = order(config)
    for place, node in enumerate(nodes):
        earlier = nodes[:place]
        openly = {other: set(ENROLLED[node]) & set(ENROLLED[other]) for other in earlier}
        found = report(consortium, node, "first")
        assert found.shared == {other: len(people) for other, people in openly.items()}
        assert set(found.answered) == set(nodes[place + 1 :])
        folder = consortium.work(node) / "overlap" / "first"
        names = (folder / "without.txt").read_text().split()
        assert names == [f"n{node}-{row}" for row in sorted(set().union(*openly.values()), key=ENROLLED[node].index)]
        assert sorted(path.name for path in folder.iterdir()) == ["overlap.json", "without.txt"]  # and no key
        assert (folder / "without.txt").stat().st_mode & 0o077 == 0
        assert "outside epsilon" in consortium.log(f"first-{node}")
        sound(consortium, node)
        (own,) = entries(consortium, node, "overlap")
        assert (own["people"], set(own["asks"]), set(own["answers"])) == (PEOPLE, set(earlier), set(nodes[place + 1 :]))  # type: ignore[call-overload]
    by_node = {node: entries(consortium, node, "overlap-answer") for node in nodes}
    for place, node in enumerate(nodes):  # what one has asked is what the others have answered
        (own,) = entries(consortium, node, "overlap")
        for other in nodes[:place]:
            (answer,) = [body for body in by_node[other] if body["node"] == node]
            assert answer["ask"] == own["ask"]
            assert answer["people"] == PEOPLE
    for path in (consortium.data("first") / "letters").iterdir():
        assert path.stat().st_size == size_of(PEOPLE)
    again = afml(*arguments(consortium, nodes[-1], "first", port))
    assert again.returncode == 0
    assert re.search(r"people to leave out are listed in", again.stdout)


def test_the_list_is_what_prepare_takes(consortium: Consortium, first: tuple[RunConfig, int], tmp_path: Path) -> None:
    last = order(first[0])[-1]
    without = consortium.work(last) / "overlap" / "first" / "without.txt"
    assert without.read_text()
    options = {"--sites": SITES, "--holdout": "0", "--without": without, "--work": tmp_path / "work"}
    done = consortium.prepare(last, **options)
    assert done.returncode == 0, done.stderr
    left = len(without.read_text().split())
    assert NodeCard.load(tmp_path / "work" / "card.json").enrolled == PEOPLE - left
    assert f"{left} of {left} lines of --without" in done.stdout


def test_nobody_is_told_anything_unless_every_site_allows_it(consortium: Consortium) -> None:
    """And a node that was started again sends what it has sent."""
    config, port = serve(consortium, "second")
    first, second, third = order(config)
    allow(consortium, first, OverlapRules())
    before = {node: len(entries(consortium, node, "overlap-answer")) for node in ENROLLED}
    refused = afml(*arguments(consortium, first, "second", port))
    assert refused.returncode == 3
    assert "overlap.allowed" in refused.stderr
    for node in (third, second):  # the second one has all that it could answer the third one with
        waiting = afml(*arguments(consortium, node, "second", port, wait=1))
        assert waiting.returncode == 4, waiting.stderr
        assert "nothing is lost" in waiting.stderr
    assert {subject for _, subject in letters(consortium, "second")} == {"overlap-own", "overlap-ask"}
    assert before == {node: len(entries(consortium, node, "overlap-answer")) for node in ENROLLED}
    allow(consortium, first, OverlapRules(allowed=True))
    everybody(consortium, "second", port)
    assert sum(report(consortium, third, "second").shared.values()) > 0
    for node in ENROLLED:
        sound(consortium, node)


def test_a_site_answers_about_as_many_people_as_it_allows(consortium: Consortium) -> None:
    config, port = serve(consortium, "third")
    first, *later = order(config)
    asked = sum(int(str(body["people"])) for body in entries(consortium, first, "overlap-answer"))
    allow(consortium, first, OverlapRules(allowed=True, people=asked + PEOPLE))
    running = [
        consortium.start(f"third-{node}", *arguments(consortium, node, "third", port, wait=20)) for node in later
    ]
    done = afml(*arguments(consortium, first, "third", port))
    assert done.returncode == 3
    assert f"this site's policy allows {asked + PEOPLE}" in done.stderr
    answered = {subject for sender, subject in letters(consortium, "third") if sender == first}
    assert answered == {"overlap-own", f"overlap-answer-{min(later)}"}
    for process in running:
        process.kill()
        process.wait()
    sound(consortium, first)


def test_sites_that_tell_nobody_from_anybody_are_refused(tmp_path: Path) -> None:
    made = build(tmp_path, sites=60)
    made.configure("run", game=False, seed=None)
    done = afml(*arguments(made, 1, "run", free_port()))
    assert done.returncode == 2
    assert "too few or too linked" in done.stderr
