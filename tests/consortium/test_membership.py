"""Versions of a roster: who stays keeps keys, number, ledger and spends; nobody comes in behind members' backs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from afml.consortium import installing, ownkeys, proposal, provision
from afml.consortium.answers import member_of
from afml.consortium.history import HISTORY, History, load_history, load_roster
from afml.consortium.kit import load_aggregator_kit
from afml.consortium.nodekit import load_node_kit
from afml.consortium.ownkeys import Party
from afml.consortium.proposal import Changes, Countersignature
from afml.consortium.request import REQUEST
from afml.consortium.runfile import load_run, write_run
from afml.core.errors import AfmlError, ConfigError, InputError, IntegrityError
from afml.ledger.store import Ledger
from tests.consortium.place import Place, after, answer, forged
from tests.crypto.keyfiles import contents
from tests.ledger.helpers import config, spend


def test_a_fourth_institution_joins_and_everybody_keeps_keys_ledger_and_spends(place: Place) -> None:
    """The run that is under way keeps its roster, whatever is installed meanwhile; people's accounts go on."""
    coordinator = provision.load_coordinator_key(place.kit("coordinator"))
    own, first = load_node_kit(place.kit(1)), load_roster(place.kit(1))
    before, run = (
        contents(place.kit(1)),
        config("first").model_copy(update={"consortium": "north", "roster": first.digest().hex()}),
    )
    write_run(place.root / "run.json", run, coordinator)
    with Ledger.open(place.root / "ledger", own.signing_key, origin=own.origin) as ledger:
        spend(ledger, run, 1)
        entries, head = len(ledger), ledger.checkpoint()
    offered = place.propose(requests=[place.ask("Tartu")])
    answers = place.publish(offered, [1, 3])
    place.installed(answers, 1, 2, 3, "aggregator")
    installing.install(answers / "node-4", place.kit("Tartu"))

    now = contents(place.kit(1))
    assert {name for name in now if now[name] != before.get(name)} == {
        "roster.json", "roster.sig", HISTORY, proposal.COUNTERSIGNED, "certificates.json",
    }  # fmt: skip
    kit = load_node_kit(place.kit(1))
    assert [member.node for member in kit.roster.members] == [1, 2, 3, 4]
    assert kit.roster.version == 2
    assert load_node_kit(place.kit("Tartu")).node == 4
    assert {load_roster(place.kit(party)).digest() for party in (1, 2, 3, "Tartu", "aggregator", "coordinator")} == {
        kit.roster.digest()
    }
    with Ledger.open(place.root / "ledger", kit.signing_key, origin=kit.origin) as ledger:
        assert (len(ledger), ledger.checkpoint()) == (entries, head)
        spend(ledger, run, 2)
        assert len(ledger) == entries + 1

    found = load_run(place.root / "run.json", kit.history)
    for one in (kit, load_aggregator_kit(place.kit("aggregator"))):
        assert one.under(found).roster == first
    with pytest.raises(InputError, match="version 1 of the roster, which does not name this kit's keys"):
        load_node_kit(place.kit("Tartu")).under(found)
    later = run.model_copy(update={"run": "second", "roster": kit.roster.digest().hex()})
    write_run(place.root / "later.json", later, coordinator)
    assert load_node_kit(place.kit("Tartu")).under(load_run(place.root / "later.json", kit.history)).roster.version == 2
    with pytest.raises(InputError, match=r"which this kit does not have.*`afml keys install`"):
        load_run(place.root / "later.json", History(kit.history.versions[:1]))


def test_who_went_finishes_its_runs_and_gets_its_number_back(place: Place) -> None:
    second = place.propose(leaving=[2], names={3: "Åbo"})
    with pytest.raises(IntegrityError, match=r"changes the entry of node 3 \(Turku\), which has not countersigned"):
        place.publish(second, [1, 2])
    answers = place.publish(second, [1, 2, 3])
    assert not (answers / "node-2").exists()
    place.installed(answers, 1, 3)
    kit = load_node_kit(place.kit(3))
    assert [member.name for member in kit.roster.members] == ["Uppsala", "Åbo"]
    ownkeys.renew(place.kit(3))  # by its old name, which is still on its request
    provision.renew([place.kit(3) / REQUEST], place.kit("coordinator"), place.root / "renewed")
    place.installed(place.root / "renewed", 3)
    run = config("first").model_copy(update={"consortium": "north"})
    assert load_node_kit(place.kit(2)).under(run).roster.version == 1, "none named: the first"
    assert kit.under(run).roster.member(2).name == "Oslo"
    begun = kit.under(run)
    with pytest.raises(ConfigError, match=r"of version 1 of the roster; nodes \[2\] have gone or changed"):
        begun.require_unchanged(run)
    begun.require_unchanged(run.model_copy(update={"enrolled": {1: 12, 3: 12}}))
    third = place.propose("third", requests=[place.ask("Tartu"), place.kit(2) / REQUEST])
    place.installed(place.publish(third, [1, 3], "third answers"), 1, 2, 3)
    numbers = {member.name: member.node for member in load_roster(place.kit(2)).members}
    assert numbers == {"Uppsala": 1, "Oslo": 2, "Åbo": 3, "Tartu": 4}
    assert [version.roster.version for version in load_history(place.kit(2)).versions] == [1, 2, 3]


def test_new_keys_that_the_old_one_names_come_in_by_a_version(place: Place) -> None:
    ownkeys.make_successor(place.kit("successor"), place.kit(2))
    offered = place.propose(requests=[place.kit("successor") / REQUEST])
    with pytest.raises(IntegrityError, match="changes the entry of node 2"):
        place.publish(offered, [1, 3])
    answers = place.publish(offered, [1, 2])
    installing.install(answers / "node-2", place.kit("successor"))
    assert load_node_kit(place.kit("successor")).origin == load_node_kit(place.kit(2)).origin
    (answers / "node-2" / "tls.pem").unlink()
    with pytest.raises(InputError, match="does not name Oslo by the keys of this kit"):
        installing.install(answers / "node-2", place.kit(2))
    with pytest.raises(InputError, match="finish it with the kit of that time"):
        load_node_kit(place.kit("successor")).under(config("first"))


def test_who_comes_back_goes_on_from_its_last_keys(place: Place) -> None:
    """Not from those that it gave up: whoever has them may be the reason why it did."""
    ownkeys.make_successor(place.kit("successor"), place.kit(2))
    changed = place.publish(place.propose("changed", requests=[place.kit("successor") / REQUEST]), [1, 2], "second")
    place.installed(changed, 1, 3)
    gone = place.publish(place.propose("gone", leaving=[2]), [1, 3], "third")
    place.installed(gone, 1, 3)
    with pytest.raises(IntegrityError, match="gives node 2 keys that do not continue those it had"):
        place.propose("old", requests=[place.kit(2) / REQUEST])
    old = load_history(place.kit("coordinator")).versions[0].roster.member(2)
    members = (*load_roster(place.kit(1)).members, old)
    sent = answer(place, forged(place, after(place, members=members), {1: 1, 3: 3}))
    with pytest.raises(IntegrityError, match="gives node 2 keys that do not continue those it had"):
        installing.install(sent, place.kit(1))
    ownkeys.make_successor(place.kit("third"), place.kit("successor"))
    offered = place.propose("back", requests=[place.kit("third") / REQUEST])
    history = load_history(place.kit(1))
    said = list(proposal.differences(history, proposal.read_proposal(offered, history).roster))
    assert said[0].startswith("node 2 (Oslo) comes back; fingerprint of its key ")
    assert said[1] == "node 2 (Oslo) has a new signing key, named by the one before"
    place.installed(place.publish(offered, [1, 3], "fourth"), 1)
    installing.install(place.root / "fourth" / "node-2", place.kit("third"))
    assert load_node_kit(place.kit("third")).node == 2


def test_a_version_needs_the_members_that_a_site_demands(place: Place) -> None:
    offered = place.propose(requests=[place.ask("Tartu")])
    with pytest.raises(IntegrityError, match=r"by 1 of 3 members, and 2 must; not by 2 \(Oslo\), 3 \(Turku\)"):
        place.publish(offered, [1])
    answers, before = place.publish(offered, [1, 2]), contents(place.kit(3))
    with pytest.raises(IntegrityError, match=r"by 2 of 3 members, and 3 must"):
        place.installed(answers, 3, demand="all")
    assert contents(place.kit(3)) == before
    again = place.publish(offered, [3], "again")
    place.installed(again, 3, demand="all")
    place.installed(answers, 1)
    assert load_roster(place.kit(1)) == load_roster(place.kit(3))


@pytest.mark.parametrize(
    ("change", "signed", "words"),
    [
        ({}, {}, "countersigned by 0 of 3 members, and 2 must"),
        ({}, {1: 1, 2: 1}, "signature does not match"),
        ({}, {1: 1, 2: 2, 9: 1}, "countersigned by node 9, which was no member"),
        ({"version": 3}, {1: 1, 2: 2}, "is version 3 and does not follow version 1"),
        ({"previous": "00" * 32}, {1: 1, 2: 2}, "does not follow version 1"),
        ({"consortium": "south"}, {1: 1, 2: 2}, "is not of consortium north"),
        ({"sealing": 3}, {1: 1, 2: 2}, "changes the entry of node 3"),
        ({"swap": True}, {1: 1, 2: 2}, "gives number 3 to another institution"),
        ({"stranger": 3}, {1: 1, 2: 2}, "gives number 3 to another institution"),
        ({"unlinked": True}, {1: 1, 2: 2}, "do not continue those it had"),
    ],
)
def test_what_a_coordinator_writes_by_hand_is_refused(
    place: Place, change: dict[str, object], signed: dict[int, int], words: str
) -> None:
    """Roster and signature are right, and yet nobody's key, number or seat is the coordinator's to give away."""
    first, *rest = (members := list(load_roster(place.kit(1)).members))
    stranger = ownkeys.make(place.kit("stranger"), Party("node", "Turku"))
    if change.pop("swap", None):
        change["members"] = (first, *(m.model_copy(update={"node": 5 - m.node}) for m in rest))
    if change.pop("sealing", None):
        change["members"] = (*members[:2], members[2].model_copy(update={"sealing_key": stranger.sealing_key}))
    if change.pop("stranger", None):
        change["members"] = (*members[:2], member_of(3, stranger))
    if change.pop("unlinked", None):  # node 3 changed its keys once; now it is said to have its first one still
        moved = ownkeys.make_successor(place.kit("moved"), place.kit(3))
        offered = place.propose(requests=[place.kit("moved") / REQUEST])
        place.installed(place.publish(offered, [1, 3]), 1)
        assert moved.lineage
        change["members"] = tuple(members)
    kit = place.kit(1)
    before, sent = contents(kit), answer(place, forged(place, after(place, **change), signed))
    with pytest.raises(IntegrityError, match=words):
        installing.install(sent, kit)
    assert contents(kit) == before


def test_a_member_agrees_to_one_successor_and_an_older_version_changes_nothing(place: Place) -> None:
    one = place.propose("one", requests=[place.ask("Tartu")])
    other = place.propose("other", requests=[place.ask("Sybil")])
    place.word(one, 1)
    with pytest.raises(IntegrityError, match="has countersigned another version 2"):
        place.word(other, 1)
    place.word(one, 1)
    with pytest.raises(InputError, match="is of another proposal"):
        proposal.publish(other, [place.word(one, 2)], place.kit("coordinator"), place.root / "x", 30)
    old = Path(shutil.copytree(place.kit(3), place.root / "old"))
    place.installed(place.publish(one, [1, 2]), 3)
    installing.install(old, place.kit(3))
    assert load_roster(place.kit(3)).version == 2
    fork = forged(place, after(place, version=2, previous=load_roster(old).digest().hex(), aggregator_key="11" * 32))
    lines = load_history(old).lines() + fork.canonical() + b"\n"
    (old / HISTORY).write_bytes(lines)
    (old / "roster.json").write_bytes(fork.roster.canonical())
    with pytest.raises(IntegrityError, match="is another history than the one of version 2"):
        installing.install(old, place.kit(3))


@pytest.mark.parametrize("stop", range(1, 7))
def test_an_install_that_was_cut_off_leaves_a_kit_that_loads(
    place: Place, stop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = place.publish(place.propose(requests=[place.ask("Tartu")]), [1, 2])
    write, count = installing.write_bytes, 0

    def counted(path: Path, data: bytes) -> None:
        nonlocal count
        count += path.parent == place.kit(1)
        if count == stop:
            raise KeyboardInterrupt
        write(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(installing, "write_bytes", counted)
        try:
            place.installed(answers, 1)
        except KeyboardInterrupt:
            assert load_node_kit(place.kit(1)).roster.version in (1, 2)
    place.installed(answers, 1)
    assert load_node_kit(place.kit(1)).roster.version == 2


def test_what_cannot_be_proposed_leaves_nothing(place: Place) -> None:
    before = contents(place.root)
    for changes, words in (
        ({}, "would change nothing"),
        ({"leaving": [7]}, "node 7 is not on the roster"),
        ({"leaving": [1, 2, 3]}, "would have no members"),
        ({"names": {1: "Oslo"}}, "two institutions of one name"),
        ({"names": {1: "a\nb"}}, "printable"),
        ({"requests": [place.kit("coordinator") / REQUEST]}, "a coordinator's request"),
        ({"requests": [place.kit(1) / REQUEST]}, "would change nothing"),
    ):
        with pytest.raises(InputError, match=words):
            place.propose(**changes)
    with pytest.raises(InputError, match="is the kit of a node"):
        proposal.propose(Changes(leaving=[1]), place.kit(2), place.root / "x")
    assert contents(place.root) == before


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_a_history_that_was_touched_anywhere_is_refused_or_the_same(
    made: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("touched")
    ready = made / "ready"
    if not ready.exists():
        place = Place(Path(shutil.copytree(made, made.parent / "to-be-ready")))
        shutil.copytree(place.publish(place.propose(leaving=[3]), [1, 2]) / "node-1", ready)
    shutil.copytree(ready, folder, dirs_exist_ok=True)
    text = (ready / HISTORY).read_bytes()
    at = data.draw(st.integers(0, len(text) - 1))
    (folder / HISTORY).write_bytes(text[:at] + bytes([text[at] ^ data.draw(st.integers(1, 255))]) + text[at + 1 :])
    try:
        found = load_history(folder)
        found.require_countersigned(1, "majority", folder)
    except AfmlError:
        return
    assert [version.roster for version in found.versions] == [one.roster for one in load_history(ready).versions]


def test_rubbish_is_no_countersignature(place: Place) -> None:
    path = place.root / "word.json"
    for text in ("", "[]", '{"roster": "00", "node": 1, "signature": ""}'):
        path.write_text(text)
        with pytest.raises(InputError):
            Countersignature.load(path)
