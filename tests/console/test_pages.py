"""What the pages say is what the command line says, for an institution and for an aggregator; sections arrive live."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Iterator
from functools import partial
from html import unescape
from http.client import HTTPResponse
from pathlib import Path

from afml.console.sections import PAGES
from afml.consortium.nodekit import load_node_kit
from afml.ledger.store import Ledger
from afml.ledger.summary import summarise
from node.policy import Policy
from node.serving.standing import RunHere, ServeStanding
from tests.cli.institution import Institution
from tests.cli.zygote import Zygote
from tests.console import made
from tests.console.conftest import Served, Start
from tests.ledger.case import Case
from tests.ledger.helpers import Clock
from tests.processes import until


def words(html: str) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", html)))


def test_every_page_of_an_institution_is_filled(served: Served, site: Path) -> None:
    cookie = served.sign_in()
    texts = {page.path: served.ask(page.path, Cookie=cookie) for page in PAGES}
    assert {answer.code for answer in texts.values()} == {200}
    said = {path: words(answer.text) for path, answer in texts.items()}
    (enrolment,) = summarise(site / "work" / "ledger").enrolments
    assert enrolment.told in said["/budgets"]
    assert "PLE [not audited, 0.350] sigma" in said["/budgets"]
    assert "sigmas add as squares" in said["/budgets"]
    assert "is right at most 59.3 % of the time" in said["/budgets"]
    assert re.search(r"about \d+ projected end \d{4}-\d\d-\d\d", said["/budgets"])
    assert "k = 20 promised 20" in said["/releases"]
    assert "binned score" in said["/releases"]
    assert "not by differential privacy" in said["/releases"]
    assert "the consortium's authority" in said["/certificates"]
    assert "node 1" in words(served.ask("/runs/summer", Cookie=cookie).text)
    everything = " ".join(answer.text for answer in texts.values())
    for name in made.PEOPLE[10:]:  # s10 and so on: no person is named anywhere
        assert not re.search(rf"\b{name}\b", everything)


def test_a_run_that_is_not_known_is_said_to_be(served: Served) -> None:
    answer = served.ask("/runs/%3Cscript%3E", Cookie=served.sign_in())
    assert "is not known here" in answer.text
    assert "<script>" not in answer.text.replace('<script src="/static/console.js" defer></script>', "")


def test_a_quality_page_is_shown_and_nothing_in_it_runs(tmp_path: Path, start: Start) -> None:
    institution = Institution(tmp_path, Zygote())
    done = institution.prepare(1)
    assert done.code == 0, done.err
    served = start(institution.root / "work-1")
    cookie = served.sign_in()
    page = served.ask("/quality", Cookie=cookie).text
    assert "40 people, 32 sites" in page
    assert "they stay at the institution" in page
    filed = served.ask("/quality/0", Cookie=cookie)
    assert filed.code == 200
    assert "Quality of genotypes" in filed.text
    policy = filed.headers["content-security-policy"]
    assert policy.startswith("sandbox; default-src 'none';")
    assert "script" not in policy
    assert served.ask("/quality/1", Cookie=cookie).code == 404


def test_a_simulation_is_said_to_have_no_bound(tmp_path: Path, start: Start) -> None:
    made.kits(tmp_path)
    work = made.work_folder(tmp_path)
    kit = load_node_kit(tmp_path / "kits" / "node-1")
    with Ledger.open(work / "ledger", kit.signing_key, origin=kit.origin) as ledger:
        ledger.plans.record_policy(Policy().model_dump(mode="json"), ())
        made.play(ledger, made.Clock(0.0), made.signed(tmp_path, "seeded", 0.3, seed=1), 2)
    served = start(work)
    cookie = served.sign_in()
    for path in ("/", "/budgets"):
        assert "no bound" in served.ask(path, Cookie=cookie).text
    assert "insecure: simulation" in served.ask("/budgets", Cookie=cookie).text
    assert "Whoever sees all models" not in served.ask("/budgets", Cookie=cookie).text


def test_a_daemon_shows_its_runs_and_what_is_on_offer_to_it(site: Path, start: Start, tmp_path: Path) -> None:
    serve, now = tmp_path / "serve", time.time()
    (serve / "offered" / "x").mkdir(parents=True)
    for suffix in (".json", ".sig"):
        shutil.copy(site / "signed" / f"autumn{suffix}", serve / "offered" / "x" / f"run{suffix}")
    ServeStanding(
        consortium="lake-study", version="0", started=now, written=now, certificate_expires=now + 9e6, node=1,
        address="aggregator.example.org:7443", at_once=2, ledger="", works=(str(site / "work"),),
        runs=(RunHere(run="autumn", state="refused", why="nobody at this site has approved it", work=""),),
    ).keep(serve)  # fmt: skip
    served = start(serve, "--kit", site / "kits" / "node-1")
    cookie = served.sign_in()
    page = words(served.ask("/", Cookie=cookie).text)
    assert "waits for a person autumn" in page
    assert "refused autumn nobody at this site has approved it" in page
    assert "0.698 of 0.9 sigma" in page
    assert "11 of 30 rounds" in page
    (digest,) = re.findall(r"/approve/([0-9a-f]{64})", served.ask("/", Cookie=cookie).text)
    assert "nothing stands in its way" in served.ask(f"/approve/{digest}", Cookie=cookie).text


def _verified(served: Served, cookie: str) -> bool:
    return "being verified" not in served.ask("/ledger", Cookie=cookie).text


def test_the_ledger_is_verified_and_a_damaged_one_is_found_out(site: Path, start: Start, tmp_path: Path) -> None:
    work = shutil.copytree(site / "work", tmp_path / "work")
    edited = Case(work / "ledger", Path(), [], [], Clock())
    fewer = "CAST(replace(CAST(body AS TEXT), '\"people\":60', '\"people\":59') AS BLOB)"
    edited.edit(f"UPDATE entries SET body = {fewer} WHERE idx = 3;")
    for folder, said in ((site / "work", "nothing found"), (work, "edited-row")):
        served = start(folder, "--kit", site / "kits" / "node-1")
        cookie = served.sign_in()
        until(partial(_verified, served, cookie))
        assert said in served.ask("/ledger", Cookie=cookie).text


def test_an_aggregator_shows_rounds_and_no_people(overseen: Served, summing: Path) -> None:
    cookie = overseen.sign_in()
    made.standing(5, 40, 25).keep(summing / "data")
    page = words(overseen.ask("/runs/summer", Cookie=cookie).text)
    assert "round 26 of 40" in page
    assert "waited for node 1 (Institute 1), node 4 (Institute 4)" in page
    assert "1.23 MB, 300,000 parameters" in page
    assert "left 36.0 s" in page
    assert "All 25 rounds" in page
    whole = overseen.ask("/runs/summer/rounds", Cookie=cookie).text
    assert whole.count('<th scope="row"') == 25
    menu = overseen.ask("/", Cookie=cookie).text
    assert "/budgets" not in menu
    assert "/certificates" in menu


def events(answer: HTTPResponse) -> Iterator[tuple[str, dict[str, str]]]:
    kind = ""
    for raw in answer:
        line = raw.decode().rstrip("\n")
        if line.startswith("event: "):
            kind = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield kind, json.loads(line.removeprefix("data: "))


def test_sections_are_sent_again_when_they_change_and_no_others(overseen: Served, summing: Path) -> None:
    cookie = overseen.sign_in()
    made.standing(5, 40, 25).keep(summing / "data")
    connection = overseen.open("/live?page=/runs/summer", Cookie=cookie)
    answer = connection.getresponse()
    assert answer.headers["content-type"].startswith("text/event-stream")
    found = events(answer)
    first = {told["name"] for _, told in (next(found) for _ in range(3))}
    assert first == {"run", "members", "rounds"}
    config = made.signed(summing, "summer", 0.4, rounds=40)
    made.publish(summing, config, [26])
    made.standing(5, 40, 26, reason="one of five was lost").keep(summing / "data")
    seen = set()
    for kind, told in found:
        assert kind == "section"
        seen.add(told["name"])
        if told["name"] == "run" and "one of five was lost" in told["html"]:
            assert "26 of 40 rounds" in told["html"]
        if told["name"] == "rounds" and ">26</th>" in told["html"]:
            break
    connection.close()
    assert overseen.ask("/live?page=/nothing", Cookie=cookie).code == 404


def test_a_stream_ends_with_its_session(overseen: Served) -> None:
    cookie = overseen.sign_in()
    connection = overseen.open("/live?page=/certificates", Cookie=cookie)
    answer = connection.getresponse()
    found = events(answer)
    assert next(found)[0] == "section"
    word = overseen.ask("/", Cookie=cookie).text.split('name="csrf" value="')[1].split('"')[0]
    overseen.ask("/sign-out", "POST", {"csrf": word}, Cookie=cookie)
    assert [kind for kind, _ in found][-1] == "over"
    connection.close()
