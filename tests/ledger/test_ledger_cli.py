"""`afml ledger` and `afml withdraw`, as an institution uses them."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from afml.cli.audit import audit
from afml.cli.ledger import ledger
from afml.cli.withdraw import withdraw
from afml.consortium.kit import SIGNING_KEY, load_private_key
from afml.consortium.nodekit import load_node_kit
from afml.consortium.ownkeys import make_successor
from afml.core.errors import AfmlError, BudgetError, InputError, IntegrityError
from afml.ledger.checkpoint import parse
from afml.ledger.releases import ReleaseRecord
from afml.ledger.store import Ledger
from afml.ledger.witness import Witness
from afml.trial.kits import make_kits
from crypto.public.signing import public_bytes
from node.guard import open_ledger
from node.workspace import Workspace
from tests.ledger.helpers import PEOPLE, config, sigma, spend

NODES = (1, 2, 3)


class Place:
    """Three institutions that have met."""

    def __init__(self, root: Path) -> None:
        self.root = root
        make_kits(root / "kits", "test", 3)
        self.kits = {node: load_node_kit(root / "kits" / f"node-{node}") for node in NODES}
        for node in NODES:
            with self.open(node) as own:
                spend(own, config("one"), 1)
        for node in NODES:
            with self.open(node) as own:
                for peer in set(NODES) - {node}:
                    with self.open(peer) as other:
                        one = self.kits[node].roster.member(peer)
                        key = bytes.fromhex(one.signing_key)
                        Witness(own).countersign(one.origin, other.checkpoint(), [], key)

    def kit(self, node: int) -> str:
        return str(self.root / "kits" / f"node-{node}")

    def folder(self, node: int) -> str:
        return str(self.root / f"ledger-{node}")

    def open(self, node: int) -> Ledger:
        kit = self.kits[node]
        return Ledger.open(Path(self.folder(node)), kit.signing_key, origin=kit.origin)


@pytest.fixture(scope="module")
def met(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("met"))


def call(command: object, *arguments: object) -> str:
    done: Result = CliRunner().invoke(command, [*map(str, arguments)])  # type: ignore[arg-type]
    if isinstance(done.exception, AfmlError):
        assert "\n" not in str(done.exception)
        raise done.exception
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


def test_heads_backup_and_restore(met: Place, tmp_path: Path) -> None:
    handed = call(ledger, "heads", met.folder(2), "--out", tmp_path / "heads")
    origin = met.kits[1].roster.member(1).origin
    head = tmp_path / "heads" / f"{origin.removeprefix('afml/')}.txt"
    assert head.read_text().startswith(origin)
    told = parse(head.read_text()).told
    assert re.fullmatch(r"over \d+ entries, fingerprint [0-9a-f]{4}( [0-9a-f]{4}){7}", told)
    assert f"{origin}: head {told}; {head}\n" in handed
    assert told in call(audit, "show", met.folder(1)), "both read the same aloud"
    assert told in call(audit, "verify", met.folder(1), "--key", public_bytes(met.kits[1].signing_key).hex())
    assert "entries are in" in call(ledger, "backup", met.folder(1), "--out", tmp_path / "saved")
    told = call(
        ledger, "restore", tmp_path / "saved", "--ledger", tmp_path / "back", "--kit", met.kit(1), "--head", head
    )
    assert "entries are back" in told
    assert f"not asked: {met.kits[1].roster.member(3).origin}" in told
    with pytest.raises(InputError, match="afml ledger heads"):
        call(ledger, "restore", tmp_path / "saved", "--ledger", tmp_path / "more", "--kit", met.kit(1))
    found = call(
        audit, "verify", met.folder(1), "--roster", met.root / "kits" / "node-1" / "roster.json", "--head", head
    )
    assert "nothing found" in found


def test_a_folder_of_heads_does_for_the_head_in_it(met: Place, tmp_path: Path) -> None:
    call(ledger, "heads", met.folder(2), "--out", tmp_path / "heads")
    call(ledger, "backup", met.folder(1), "--out", tmp_path / "saved")
    given = ["--ledger", tmp_path / "back", "--kit", met.kit(1), "--head", tmp_path / "heads"]
    assert "entries are back" in call(ledger, "restore", tmp_path / "saved", *given)
    roster = ["--roster", met.root / "kits" / "node-1" / "roster.json"]
    found = call(audit, "verify", met.folder(1), *roster, "--head", tmp_path / "heads")
    assert "1 foreign heads" in found
    assert "not checked: no transcript was given: hidden runs cannot be seen" in found
    call(audit, "export", met.folder(1), *roster, "--head", tmp_path / "heads", "--out", tmp_path / "proof")
    assert "hidden runs cannot be seen" in (tmp_path / "proof" / "ledger.html").read_text()
    for asked in (tmp_path, tmp_path / "none"):
        with pytest.raises(InputError, match=r"holds no head of afml/|does not exist"):
            call(audit, "verify", met.folder(1), *roster, "--head", asked)


def test_a_copy_that_forgets_a_withdrawal_is_refused(met: Place, tmp_path: Path) -> None:
    """Nobody else knows of it before the next run; the kit does."""
    call(ledger, "heads", met.folder(1), "--out", tmp_path / "heads")
    call(ledger, "backup", met.folder(2), "--out", tmp_path / "before")
    assert "1 person has withdrawn" in call(
        withdraw, "--ledger", met.folder(2), "--kit", met.kit(2), "--person", PEOPLE[0]
    )
    call(ledger, "backup", met.folder(2), "--out", tmp_path / "after")
    given = ["--kit", met.kit(2), "--head", tmp_path / "heads"]
    with pytest.raises(IntegrityError, match=r"a head of \d that it signed is kept elsewhere.*newer backup"):
        call(ledger, "restore", tmp_path / "before", "--ledger", tmp_path / "back", *given)
    with pytest.raises(IntegrityError, match=r"holds no ledger, and the kit .* knows of one"):
        call(ledger, "begin", tmp_path / "anew", "--kit", met.kit(2))
    work = Workspace(tmp_path / "work")  # of another machine: it has taken part in nothing
    shutil.copytree(tmp_path / "before", work.ledger)
    with pytest.raises(IntegrityError, match=r"a head of \d that it signed is kept elsewhere"):
        open_ledger(work, met.kits[2])
    assert "entries are back" in call(ledger, "restore", tmp_path / "after", "--ledger", tmp_path / "back", *given)


def test_a_first_ledger_is_begun_once(met: Place, tmp_path: Path) -> None:
    make_kits(tmp_path / "kits", "test", 2)
    given = ["--kit", tmp_path / "kits" / "node-1"]
    assert "a ledger is begun in" in call(ledger, "begin", tmp_path / "books", *given)
    with pytest.raises(InputError, match="holds a ledger already"):
        call(ledger, "begin", tmp_path / "books", *given)
    assert (tmp_path / "books").stat().st_mode & 0o777 == 0o700


def test_the_page_is_titled_with_the_institutions_name(met: Place, tmp_path: Path) -> None:
    roster = met.root / "kits" / "node-1" / "roster.json"
    call(audit, "export", met.folder(1), "--roster", roster, "--out", tmp_path / "proof")
    page = (tmp_path / "proof" / "ledger.html").read_text()
    assert "<title>Privacy ledger of node-1</title>" in page
    assert f"{met.kits[1].origin}; " in page


def test_people_take_their_consent_back(met: Place, tmp_path: Path) -> None:
    with met.open(3) as own:
        release = ReleaseRecord(run="one", file_digest="ab" * 32, model_digest="cd" * 32, min_group_size=2)
        own.releases.record(release, dict.fromkeys(PEOPLE, "same"))
    listed = tmp_path / "people.txt"
    listed.write_text(f"{PEOPLE[1]}\n\n{PEOPLE[2]}\nnobody-here\n")
    given = ["--ledger", met.folder(3), "--kit", met.kit(3)]
    told = call(withdraw, *given, "--person", PEOPLE[0], "--file", listed, "--force")
    assert "4 people have withdrawn" in told
    assert "1 of them was never spent on or released here: check their ids, and give those under which" in told
    assert "cannot be undone: sums and models of 1 run they took part in: one" in told
    assert "cannot be undone: 1 file they are in" in told
    assert "person-" not in told
    with met.open(3) as own:
        assert own.enrollable(PEOPLE) == PEOPLE[3:]
        with pytest.raises(BudgetError, match="3 of 12 people have withdrawn"):
            spend(own, config("one"), 2)
        size = len(own)
    assert "0 people have withdrawn, 1 had before" in call(withdraw, *given, "--person", PEOPLE[0])
    with met.open(3) as own:
        assert len(own) == size
    shown = call(audit, "show", met.folder(3))
    assert "4 people withdrawn" in shown
    assert "4 people withdrew consent" in shown
    assert json.loads(call(audit, "show", met.folder(3), "--json"))["withdrawals"] == 4
    with pytest.raises(InputError, match="names nobody"):
        call(withdraw, *given)
    listed.write_text("one\nt\x07wo\n")
    with pytest.raises(InputError, match="line 2 is not the name of a person"):
        call(withdraw, *given, "--file", listed)
    with pytest.raises(InputError, match=r"holds no ledger\.db"):
        call(withdraw, "--ledger", tmp_path / "none", "--kit", met.kit(3), "--person", "x")
    assert not (tmp_path / "none").exists()


def test_an_id_that_nobody_has_is_refused_before_anything_is_entered(met: Place, tmp_path: Path) -> None:
    given = ["--ledger", met.folder(3), "--kit", met.kit(3)]
    work = tmp_path / "elsewhere"
    work.mkdir(mode=0o700)
    with pytest.raises(InputError, match="people table does not exist; name a folder that `afml prepare` made"):
        call(withdraw, *given, "--person", "tpyo", "--work", work)
    (work / "people.tsv").write_text("sample\tphenotype\trole\nprepared\t1\ttrain\nkept-out\t0\tholdout\n")
    with met.open(3) as own:
        size = len(own)
    typed = ["--person", "prepared", "--person", PEOPLE[4], "--person", "tpyo"]
    for words, said in (
        (typed, "2 of 3 ids are of nobody whom the ledger or a prepared work folder has met; nothing is entered"),
        ([*typed, "--work", work], "1 of 3 ids is of nobody whom"),
        (["--person", "kept-out"], "1 of 1 id is of nobody whom"),
    ):
        with pytest.raises(InputError, match=said) as refused:
            call(withdraw, *given, *words)
        assert not any(name in str(refused.value) for name in ("tpyo", PEOPLE[4], "kept-out"))
        assert "give --force for people who may still come under these ids" in str(refused.value)
    with met.open(3) as own:
        assert len(own) == size
    told = call(withdraw, *given, "--person", "prepared", "--person", "kept-out", "--person", PEOPLE[4], "--work", work)
    assert "3 people have withdrawn, 0 had before" in told
    assert "2 of them were never spent on or released here" in told
    # The folder that the ledger lies in is looked into unasked.
    (Path(met.folder(3)).parent / "people.tsv").write_text("sample\trole\nbeside\ttrain\n")
    assert "1 person has withdrawn" in call(withdraw, *given, "--person", "beside")
    # Who has withdrawn is known, also where it was of nobody; that it is said again changes nothing.
    assert "1 person has withdrawn" in call(withdraw, *given, "--person", "to-come", "--force")
    assert "0 people have withdrawn, 1 had before" in call(withdraw, *given, "--person", "to-come")


def test_a_key_is_succeeded(met: Place, tmp_path: Path) -> None:
    proposal, new = tmp_path / "proposal.json", tmp_path / "new"
    make_successor(new, Path(met.kit(1)))
    given = ["--kit", met.kit(1), "--to", new]
    call(ledger, "propose", met.folder(1), *given, "--out", proposal)
    words: list[object] = []
    for node in (2, 3):
        out = tmp_path / f"vouch-{node}.json"
        call(ledger, "vouch", proposal, "--ledger", met.folder(node), "--kit", met.kit(node), "--out", out)
        words += ["--vouch", out]
    with pytest.raises(IntegrityError, match="1 of 2 other institutions vouch"):
        call(ledger, "succeed", proposal, "--ledger", met.folder(1), *given, *words[:2])
    assert "passes it on" in call(ledger, "succeed", proposal, "--ledger", met.folder(1), *given, *words)
    key = load_private_key((new / SIGNING_KEY).read_bytes(), new)
    assert isinstance(key, Ed25519PrivateKey)
    with Ledger.open(Path(met.folder(1)), key, origin=met.kits[1].origin) as own:
        assert sigma(own, PEOPLE) == pytest.approx(1 / 8)
    assert "nothing found" in call(audit, "verify", met.folder(1), "--key", public_bytes(key).hex())


def test_files_of_another_kind_and_ids_of_nobody(met: Place, tmp_path: Path) -> None:
    rubbish, roster = tmp_path / "rubbish", met.root / "kits" / "node-1" / "roster.json"
    rubbish.write_bytes(b"\xff\xfe\x00")
    given = ["--ledger", met.folder(2), "--kit", met.kit(2)]
    with met.open(2) as own:
        size = len(own)
    with pytest.raises(InputError, match="list of people is not text"):
        call(withdraw, *given, "--file", rubbish)
    for nobody in ("", " ", "a\x1b[1m", "\udcff"):
        with pytest.raises(InputError, match="is not the id of a person"):
            call(withdraw, *given, "--person", nobody)
    call(ledger, "backup", met.folder(2), "--out", tmp_path / "saved")
    with pytest.raises(InputError, match="signed head is not text"):
        call(ledger, "restore", tmp_path / "saved", "--ledger", tmp_path / "back", *given[2:], "--head", rubbish)
    with pytest.raises(InputError, match="signed head is not text"):
        call(audit, "verify", met.folder(2), "--roster", roster, "--head", rubbish)
    with met.open(2) as own:
        assert len(own) == size


def test_a_folder_without_a_ledger_does_not_get_one(met: Place, tmp_path: Path) -> None:
    proposal, new, none = tmp_path / "proposal.json", tmp_path / "new", tmp_path / "none"
    make_successor(new, Path(met.kit(2)))
    call(ledger, "propose", met.folder(2), "--kit", met.kit(2), "--to", new, "--out", proposal)
    given = ["--ledger", none, "--kit", met.kit(2)]
    (tmp_path / "cut").mkdir(mode=0o700)
    (tmp_path / "cut" / "ledger.db").touch()
    for arguments in (
        ["propose", none, "--kit", met.kit(2), "--to", new, "--out", tmp_path / "other.json"],
        ["propose", tmp_path / "cut", "--kit", met.kit(2), "--to", new, "--out", tmp_path / "other.json"],
        ["vouch", proposal, *given, "--out", tmp_path / "vouch.json"],
        ["succeed", proposal, *given, "--to", new],
    ):
        with pytest.raises(InputError, match=r"holds no ledger\.db"):
            call(ledger, *arguments)
    with pytest.raises(InputError, match=r"holds no ledger\.db"):
        call(withdraw, "--ledger", tmp_path / "cut", "--kit", met.kit(2), "--person", "x")
    with pytest.raises(IntegrityError, match="cannot be read"):
        call(ledger, "heads", tmp_path / "cut", "--out", tmp_path / "heads")
    assert not none.exists()
    assert [path.name for path in (tmp_path / "cut").iterdir()] == ["ledger.db"]
