"""The one thing that a console changes: it enters what `afml run approve` enters, and nothing by any other way."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from afml.consortium.nodekit import load_node_kit
from afml.consortium.runfile import load_run
from afml.ledger.summary import summarise
from node.memory import KIT_HEAD
from tests.console import made
from tests.console.conftest import Served, Start
from tests.console.test_door import csrf
from tests.processes import afml


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An institution without a ledger, and a run that waits for a person."""
    root = tmp_path_factory.mktemp("place")
    made.kits(root)
    made.work_folder(root)
    made.signed(root, "autumn", 0.3)
    return root


@pytest.fixture
def asked(place: Path, start: Start, tmp_path: Path) -> tuple[Path, Served]:
    root = shutil.copytree(place, tmp_path / "place")
    return root, start(root / "work", "--kit", root / "kits" / "node-1", "--run", root / "signed")


def digest(root: Path) -> str:
    kit = load_node_kit(root / "kits" / "node-1")
    return load_run(root / "signed" / "autumn.json", kit.history).digest().hex()


def entries(root: Path) -> list[dict[str, Any]]:
    """What stands in a ledger, but for the times and what follows from them."""
    if not (root / "work" / "ledger" / "ledger.db").exists():
        return []
    bodies = summarise(root / "work" / "ledger").bodies
    return [{name: value for name, value in body.items() if name != "time_ms"} for body in bodies]


def test_it_enters_what_the_command_enters(asked: tuple[Path, Served], place: Path, tmp_path: Path) -> None:
    root, served = asked
    other = shutil.copytree(place, tmp_path / "other")
    done = afml(
        "run", "approve", other / "signed" / "autumn.json", "--kit", other / "kits" / "node-1", "--work", other / "work"
    )
    assert done.returncode == 0, done.stderr
    shown = afml(
        "run", "show", root / "signed" / "autumn.json", "--kit", root / "kits" / "node-1", "--work", root / "work"
    ).stdout.splitlines()

    cookie, path = served.sign_in(), f"/approve/{digest(root)}"
    assert "waits for a person" in served.ask("/", Cookie=cookie).text
    page = served.ask(path, Cookie=cookie)
    assert page.code == 200
    for line in shown:
        assert line.replace("'", "&#39;") in page.text
    assert entries(root) == []  # reading enters nothing
    answer = served.ask(path, "POST", {"csrf": csrf(page.text)}, Cookie=cookie, Origin=served.origin)
    assert (answer.code, answer.headers["location"]) == (303, path)
    assert entries(root) == entries(other)
    assert [one["kind"] for one in entries(root)] == ["policy", "approval"]
    assert (root / "kits" / "node-1" / KIT_HEAD).is_file()
    after = served.ask(path, Cookie=cookie).text
    assert "has approved it" in after
    assert '<button class="strong"' not in after
    again = served.ask(path, "POST", {"csrf": csrf(page.text)}, Cookie=cookie)
    assert again.code == 303
    assert entries(root) == entries(other)


def test_a_form_of_another_page_approves_nothing(asked: tuple[Path, Served]) -> None:
    root, served = asked
    mine, others, path = served.sign_in(), served.sign_in(), f"/approve/{digest(root)}"
    word, foreign = (csrf(served.ask(path, Cookie=cookie).text) for cookie in (mine, others))
    assert served.ask(path, "POST", {}, Cookie=mine).code == 403
    assert served.ask(path, "POST", {"csrf": foreign}, Cookie=mine).code == 403
    assert served.ask(path, "POST", {"csrf": word}, Cookie=mine, Origin="http://evil.example").code == 403
    assert served.ask(path, "POST", {"csrf": word}, Cookie=mine, Origin="null").code == 403
    assert (
        served.ask(path, "POST", {"csrf": word}, Cookie=mine, Origin=f"http://127.0.0.1:{served.port + 1}").code == 403
    )
    assert served.ask(path, "POST", {"csrf": word, "more": "x" * 9000}, Cookie=mine).code == 403
    assert served.ask(path, "POST", {"csrf": word}).code == 401
    assert served.ask(f"{path}?csrf={word}", Cookie=mine).code == 200
    assert served.ask(path, "PUT", {"csrf": word}, Cookie=mine).code == 405
    assert entries(root) == []


def test_what_policy_refuses_is_refused_here_in_the_same_words(asked: tuple[Path, Served]) -> None:
    root, served = asked
    policy = root / "kits" / "node-1" / "policy.toml"
    policy.write_text(policy.read_text().replace("rounds = 500", "rounds = 2"))
    told = afml(
        "run", "approve", root / "signed" / "autumn.json", "--kit", root / "kits" / "node-1", "--work", root / "work"
    ).stderr
    reason = told.removeprefix("afml: ").strip().replace("'", "&#39;")
    cookie, path = served.sign_in(), f"/approve/{digest(root)}"
    first = served.ask("/", Cookie=cookie).text
    (line,) = re.findall(rf"<li>(?:(?!</li>).)*{path}.*?</li>", first, re.DOTALL)
    assert "refused by this site&#39;s policy" in line
    assert reason in line
    assert not re.search("Read and approve|waits for a person|button", line)
    page = served.ask(path, Cookie=cookie).text
    assert (reason in page, 'class="strong"' in page, "waits for a person" in page) == (True, False, False)
    answer = served.ask(path, "POST", {"csrf": csrf(first)}, Cookie=cookie)
    assert answer.code == 409
    assert reason in answer.text
    assert entries(root) == []


def test_without_a_policy_nothing_waits_for_a_person(asked: tuple[Path, Served]) -> None:
    root, served = asked
    (root / "kits" / "node-1" / "policy.toml").unlink()
    first = served.ask("/", Cookie=served.sign_in()).text
    assert "this site has no policy, so nothing is allowed" in first
    assert "Read and approve" not in first


def test_what_the_budget_has_no_room_for_has_no_button(asked: tuple[Path, Served]) -> None:
    root, served = asked
    policy = root / "kits" / "node-1" / "policy.toml"
    policy.write_text(re.sub(r"(\[lifetime\]\n(?:.*\n)*?ple_sigma = )[\d.]+", r"\g<1>0.2", policy.read_text()))
    cookie, path = served.sign_in(), f"/approve/{digest(root)}"
    page = served.ask(path, Cookie=cookie).text
    assert "this site&#39;s lifetime budget" in page
    assert "Nobody can approve it" in page
    assert 'class="strong"' not in page


def test_only_the_very_run_that_was_read_is_approved(asked: tuple[Path, Served]) -> None:
    """The file is replaced between reading and pressing the button."""
    root, served = asked
    cookie, read = served.sign_in(), digest(root)
    word = csrf(served.ask(f"/approve/{read}", Cookie=cookie).text)
    made.signed(root, "autumn", 0.6)
    answer = served.ask(f"/approve/{read}", "POST", {"csrf": word}, Cookie=cookie)
    assert answer.code == 409
    assert "no signed run of this digest lies here" in answer.text
    (root / "signed" / "autumn.sig").write_bytes(bytes(64))
    assert "refused" in served.ask("/", Cookie=cookie).text
    assert entries(root) == []
