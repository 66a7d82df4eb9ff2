"""A copy of a ledger is put back only if nobody holds more of it."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from afml.core.errors import InputError, IntegrityError
from afml.core.files import hold_alone
from afml.ledger import checkpoint as notes
from afml.ledger.backup import ASIDE, back_up, restore
from afml.ledger.checkpoint import origin_of
from afml.ledger.store import Ledger
from afml.ledger.verify import verify
from afml.ledger.witness import NEVER, Witness
from crypto.public.signing import generate_signing_key, public_bytes
from tests.ledger.helpers import KEY, ORIGIN, PEOPLE, PUBLIC, config, open_ledger, reserve, sigma, spend

PEER = generate_signing_key()
PEER_NAME = origin_of(public_bytes(PEER))


def see(own: Ledger, root: Path) -> str:
    """The peer countersigns this ledger and this ledger the peer; what the peer keeps of it."""
    with open_ledger(root / "peer", key=PEER) as peer:
        if not len(peer):
            spend(peer, config("theirs"), 1)
        known = Witness(peer).known(ORIGIN)
        since = known.head if known else NEVER
        Witness(peer).countersign(ORIGIN, own.checkpoint(), Witness(own).proof(since.size), PUBLIC, since)
        if Witness(own).known(PEER_NAME) is None:
            Witness(own).countersign(PEER_NAME, peer.checkpoint(), [], public_bytes(PEER))
        kept = Witness(peer).known(ORIGIN)
        assert kept is not None
        return kept.note


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(tmp_path / "ledger") as ledger:
        spend(ledger, config(), 1)
        ledger.withdraw([PEOPLE[0]])
        see(ledger, tmp_path)
        yield ledger


def test_a_backup_of_a_ledger_in_use_is_whole_and_secret(own: Ledger, tmp_path: Path) -> None:
    head = back_up(own.folder, tmp_path / "saved")
    assert head.size == len(own)
    assert stat.S_IMODE((tmp_path / "saved").stat().st_mode) == 0o700
    assert {path.name for path in (tmp_path / "saved").iterdir()} == {"ledger.db", "person.key"}
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in (tmp_path / "saved").iterdir())
    assert verify(tmp_path / "saved", key=PUBLIC).ok
    with pytest.raises(InputError, match="exists already"):
        back_up(own.folder, tmp_path / "saved")
    with open_ledger(tmp_path / "empty"), pytest.raises(IntegrityError, match="is empty"):
        back_up(tmp_path / "empty", tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


def test_the_newest_backup_brings_everything_back(own: Ledger, tmp_path: Path) -> None:
    head = back_up(own.folder, tmp_path / "saved")
    kept = see(own, tmp_path)
    own.close()
    done = restore(tmp_path / "saved", tmp_path / "ledger", KEY, ORIGIN, [kept])
    assert (done.head.size, done.asked, done.unasked) == (head.size, (PEER_NAME,), ())
    assert (tmp_path / f"ledger{ASIDE}").is_dir()
    with open_ledger(tmp_path / "ledger") as ledger:
        assert (ledger.plans.closed("run-1"), done.lost) == ("lost", ("run-1",))
        whole = config().rounds + config().reserve_attempts
        assert sigma(ledger, PEOPLE) == pytest.approx(whole**0.5 / 8), "what was spent since, nobody knows"
        assert ledger.enrollable(PEOPLE) == PEOPLE[1:]
    with pytest.raises(InputError, match="set aside by an earlier restore"):
        restore(tmp_path / "saved", tmp_path / "ledger", KEY, ORIGIN, [kept])


def test_a_backup_that_forgets_is_refused(own: Ledger, tmp_path: Path) -> None:
    back_up(own.folder, tmp_path / "saved")
    first = see(own, tmp_path)
    spend(own, config("more"), 1, people=PEOPLE[1:])
    later = see(own, tmp_path)
    own.close()
    folder = tmp_path / "ledger"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(IntegrityError, match=r"holds \d entries, and a head of \d that it signed is kept"):
        restore(tmp_path / "saved", folder, KEY, ORIGIN, [first, later])
    with pytest.raises(
        IntegrityError, match=r"lacks 1 entries of .*the first is a spend.*newer backup"
    ):  # the folder itself knows more
        restore(tmp_path / "saved", folder, KEY, ORIGIN, [first])
    with pytest.raises(InputError, match="1 institutions have seen this ledger"):
        restore(tmp_path / "saved", tmp_path / "elsewhere", KEY, ORIGIN, [])
    with pytest.raises(IntegrityError):
        restore(tmp_path / "saved", tmp_path / "elsewhere", PEER, PEER_NAME, [first])
    with pytest.raises(InputError, match=r"holds no ledger\.db"):
        restore(tmp_path / "peer" / "none", tmp_path / "elsewhere", KEY, ORIGIN, [first])
    assert before == {path.name: path.read_bytes() for path in folder.iterdir()}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ledger", "peer", "saved"]


def test_a_backup_from_inside_a_run_is_refused_once_that_run_has_ended(own: Ledger, tmp_path: Path) -> None:
    """Whatever is there instead is in the page on operating, which the line names; no other ledger is begun of it."""
    back_up(own.folder, tmp_path / "saved")
    own.plans.close("run-1", config().digest().hex(), "finished")
    after = see(own, tmp_path)
    own.close()
    with pytest.raises(IntegrityError, match=r"kept elsewhere.*cannot go on \(docs/OPERATIONS\.md, Restore\)"):
        restore(tmp_path / "saved", tmp_path / "elsewhere", KEY, ORIGIN, [after])
    page = (Path(__file__).parents[2] / "docs" / "OPERATIONS.md").read_text(encoding="utf-8")
    assert "No backup is new enough" in page.split("\n## Restore\n")[1].split("\n## ")[0]
    assert restore(tmp_path / "ledger", tmp_path / "again", KEY, ORIGIN, [after]).lost == (), "any whole copy will do"


def test_what_was_begun_anew_and_stopped_before_it_spent_is_replaced(own: Ledger, tmp_path: Path) -> None:
    back_up(own.folder, tmp_path / "saved")
    kept = see(own, tmp_path)
    own.close()
    (tmp_path / "ledger").rename(tmp_path / "lost")
    with open_ledger(tmp_path / "ledger") as anew:
        reserve(anew, config("next"))
    restore(tmp_path / "saved", tmp_path / "ledger", KEY, ORIGIN, [kept])
    with open_ledger(tmp_path / "ledger") as ledger:
        assert ledger.enrollable(PEOPLE) == PEOPLE[1:]


def test_a_ledger_that_somebody_has_open_is_not_replaced(own: Ledger, tmp_path: Path) -> None:
    """What a running node enters meanwhile would be in the folder that is set aside."""
    back_up(own.folder, tmp_path / "saved")
    kept = see(own, tmp_path)
    with pytest.raises(InputError, match=r"another command .*works in this folder; stop it first"):
        restore(tmp_path / "saved", own.folder, KEY, ORIGIN, [kept])
    with open_ledger(own.folder):  # several may have it open
        assert not (tmp_path / f"ledger{ASIDE}").exists()
    own.close()
    assert restore(tmp_path / "saved", own.folder, KEY, ORIGIN, [kept]).asked == (PEER_NAME,)


def test_nobody_opens_a_ledger_while_it_is_replaced(
    own: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(own.folder, tmp_path / "saved")
    kept, entries = see(own, tmp_path), len(own)
    own.close()
    refused = []

    def meanwhile(*_: object) -> None:
        with pytest.raises(InputError, match="a backup is being put back") as error:
            open_ledger(tmp_path / "ledger")
        refused.append(error)

    monkeypatch.setattr("afml.ledger.backup._require_all_of", meanwhile)
    restore(tmp_path / "saved", tmp_path / "ledger", KEY, ORIGIN, [kept])
    assert refused
    with open_ledger(tmp_path / "ledger") as ledger:  # the one that was put back, held anew
        with pytest.raises(InputError, match="works in this folder"):
            hold_alone(tmp_path / "ledger", "test")
        assert len(ledger) == entries + 1


def test_a_link_keeps_pointing_to_the_ledger(own: Ledger, tmp_path: Path) -> None:
    """Everybody else uses the folder that the link leads to."""
    back_up(own.folder, tmp_path / "saved")
    kept = see(own, tmp_path)
    own.close()
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "link"
    link.symlink_to(tmp_path / "ledger")
    restore(tmp_path / "saved", link, KEY, ORIGIN, [kept])
    assert link.is_symlink()
    assert link.resolve() == tmp_path / "ledger"
    assert (tmp_path / f"ledger{ASIDE}").is_dir()
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["link"]
    with open_ledger(tmp_path / "ledger") as ledger:
        assert ledger.enrollable(PEOPLE) == PEOPLE[1:]


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.sampled_from(["spend", "see", "save"]), min_size=1, max_size=8), st.data())
def test_a_restored_ledger_never_knows_less_than_a_peer(
    tmp_path_factory: pytest.TempPathFactory, moves: list[str], data: st.DataObject
) -> None:
    root = tmp_path_factory.mktemp("history")
    seen, saved, kept = 0, dict[str, int](), ""
    with open_ledger(root / "ledger") as ledger:
        spend(ledger, config("r0"), 1)
        for number, move in enumerate(moves, start=1):
            if move == "spend":
                spend(ledger, config(f"r{number}"), 1)
            elif move == "see":
                kept, seen = see(ledger, root), len(ledger)
            else:
                saved[f"saved-{number}"] = back_up(root / "ledger", root / f"saved-{number}").size
    if not saved:
        return
    chosen = data.draw(st.sampled_from(sorted(saved)))
    try:
        done = restore(root / chosen, root / "new", KEY, ORIGIN, [kept] if kept else [])
    except IntegrityError:
        assert saved[chosen] < seen
        return
    assert done.head.size == saved[chosen] >= seen


def test_the_institutions_own_head_does_not_say_what_others_saw(own: Ledger, tmp_path: Path) -> None:
    back_up(own.folder, tmp_path / "saved")
    alone = own.checkpoint()
    spend(own, config("more"), 1, people=PEOPLE[1:])
    kept = see(own, tmp_path)
    with pytest.raises(InputError, match=r"no head that was given is signed by .* `afml ledger heads`"):
        restore(tmp_path / "saved", tmp_path / "elsewhere", KEY, ORIGIN, [alone])
    back_up(own.folder, tmp_path / "newer")
    done = restore(tmp_path / "newer", tmp_path / "elsewhere", KEY, ORIGIN, [kept])
    assert done.asked == (PEER_NAME,)


def test_a_peer_may_have_another_key_since(own: Ledger, tmp_path: Path) -> None:
    back_up(own.folder, tmp_path / "saved")
    later = generate_signing_key()
    kept = notes.cosign(note := own.checkpoint().split("\n\u2014 " + PEER_NAME)[0], PEER_NAME, later, 1)
    with pytest.raises(InputError, match="no head that was given"):
        restore(tmp_path / "saved", tmp_path / "elsewhere", KEY, ORIGIN, [note + kept])
    members = {PEER_NAME: public_bytes(later)}
    assert restore(tmp_path / "saved", tmp_path / "elsewhere", KEY, ORIGIN, [note + kept], members).asked == (
        PEER_NAME,
    )


def test_what_cannot_be_a_backup_is_named_as_it_was_given(
    own: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, saved = see(own, tmp_path), tmp_path / "saved"
    back_up(own.folder, saved)
    (saved / "person.key").rename(tmp_path / "person.key")
    with pytest.raises(InputError, match=rf"{saved}: holds no person\.key"):
        restore(saved, tmp_path / "elsewhere", KEY, ORIGIN, [kept])
    with pytest.raises(IntegrityError, match=r"has lost its person\.key"):
        back_up(saved, tmp_path / "again")
    assert not (tmp_path / "again").exists()
    (tmp_path / "person.key").rename(saved / "person.key")
    good = (saved / "ledger.db").read_bytes()
    (saved / "ledger.db").write_bytes(b"\xff" * 5000)
    with pytest.raises(IntegrityError, match=rf"{saved}: cannot be read"):
        restore(saved, tmp_path / "elsewhere", KEY, ORIGIN, [kept])
    with pytest.raises(IntegrityError, match=r"cannot be read.*`afml ledger restore`"):
        back_up(saved, tmp_path / "again")
    (saved / "ledger.db").write_bytes(good)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert restore(saved, Path(), KEY, ORIGIN, [kept]).asked == (PEER_NAME,)
