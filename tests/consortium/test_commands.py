"""What a coordinator and a member type: what it says, and one line where it is wrong."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from afml.cli.main import cli
from afml.consortium import installing, ownkeys, provision
from afml.consortium.inforce import CERTIFICATES, InForce, load_since
from afml.consortium.kit import CERTIFICATE, load_roster, load_tls
from afml.consortium.nodekit import load_node_kit
from afml.consortium.ownkeys import Party
from afml.consortium.request import REQUEST
from afml.core.errors import AfmlError, InputError, TransportError
from tests.consortium.place import Place, after, answer, end, forged
from tests.crypto.keyfiles import contents


def _do(*arguments: object) -> str:
    done = CliRunner().invoke(cli, list(map(str, arguments)))
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


def _refused(*arguments: object) -> AfmlError:
    done = CliRunner().invoke(cli, list(map(str, arguments)))
    assert isinstance(done.exception, AfmlError), (done.output, done.exception)
    assert "\n" not in str(done.exception)
    return done.exception


def _published(place: Place, proposal: str, by: tuple[int, ...], out: str) -> str:
    words: list[object] = []
    for node in by:
        word = place.root / f"{proposal}-{node}.json"
        _do("consortium", "countersign", place.root / proposal, "--kit", place.kit(node), "--out", word)
        words += ["--countersigned", word]
    folder = place.root / proposal
    return _do("consortium", "publish", folder, *words, "--kit", place.kit("coordinator"), "--out", place.root / out)


def test_names_change_members_go_and_everybody_can_read_it(place: Place) -> None:
    coordinator = ("--kit", place.kit("coordinator"))
    said = _do("consortium", "rename", 2, "Universitetet i Oslo", *coordinator, "--out", place.root / "rename")
    assert "node 2 is called Universitetet i Oslo, no longer Oslo" in said
    assert "for `afml consortium countersign`" in said
    _published(place, "rename", (1, 2), "second")
    said = _do("keys", "install", place.root / "second" / "node-1", "--kit", place.kit(1))
    assert "version 2 of its roster, 3 institutions" in said
    _do("consortium", "remove", 3, *coordinator, "--out", place.root / "remove")
    _do("keys", "install", place.root / "second" / "node-2", "--kit", place.kit(2))
    said = _published(place, "remove", (1, 2), "third")
    assert "node 3 (Turku) goes; it finishes the runs that it is in" in said
    shown = _do("consortium", "show", *coordinator)
    assert [line for line in shown.splitlines() if line.startswith("node ")] == [
        "node 1: Uppsala", "node 2: Universitetet i Oslo",
    ]  # fmt: skip
    assert "countersigned by 2 of 3: 1 (Uppsala), 2 (Universitetet i Oslo)" in shown


def test_a_site_that_wants_all_takes_nothing_less(place: Place) -> None:
    kit = place.kit(3)
    _do("policy", "init", "--kit", kit, "--lifetime", 0.9, "--trust", 1)
    text = (kit / "policy.toml").read_text()
    assert 'countersigned = "majority"' in text
    (kit / "policy.toml").write_text(text.replace('countersigned = "majority"', 'countersigned = "all"'))
    _do("consortium", "rename", 2, "Bergen", "--kit", place.kit("coordinator"), "--out", place.root / "proposal")
    _published(place, "proposal", (1, 2), "second")
    refused = _refused("keys", "install", place.root / "second" / "node-3", "--kit", kit)
    assert "is countersigned by 2 of 3 members, and 3 must; not by 3 (Turku)" in str(refused)
    _published(place, "proposal", (3,), "again")
    _do("keys", "install", place.root / "again" / "node-3", "--kit", kit)
    assert load_roster(kit).version == 2


def test_a_certificate_is_revoked_by_a_word_that_anybody_may_carry(place: Place) -> None:
    roster, before = load_roster(place.kit(2)), load_since(place.kit(2), load_roster(place.kit(2)))
    said = _do("consortium", "revoke", "node/1", "--kit", place.kit("coordinator"), "--out", place.root / "revoked")
    assert "the certificates of node/1 are revoked where this is installed" in said
    assert {path.name for path in (place.root / "revoked").iterdir()} == {"others"}
    _do("keys", "install", place.root / "revoked" / "others", "--kit", place.kit(2))
    now = load_since(place.kit(2), roster)
    assert now["node/1"].since > before["node/1"].since
    assert now["node/2"] == before["node/2"]


@pytest.mark.parametrize("knows", ["nothing", "less than was made"])
def test_a_coordinator_revokes_what_its_kit_does_not_know(place: Place, tmp_path: Path, knows: str) -> None:
    """Its kit is older than the file that says so, or came back from a backup."""
    coordinator, roster = place.kit("coordinator"), load_roster(place.kit(2))
    if knows == "nothing":
        (coordinator / CERTIFICATES).unlink()
    else:
        shutil.copytree(coordinator, tmp_path / "backup")
        for number in range(3):
            ownkeys.renew(place.kit(1))
            out = place.root / f"renewed-{number}"
            provision.renew([place.kit(1) / REQUEST], coordinator, out, days=60)
            installing.install(out / "node-1", place.kit(1))
        shutil.rmtree(coordinator)
        shutil.copytree(tmp_path / "backup", coordinator)
    _do("consortium", "revoke", "node/1", "--kit", coordinator, "--out", place.root / "unknown")
    _do("keys", "install", place.root / "unknown" / "others", "--kit", place.kit(2))
    met = InForce(place.kit(2), roster, tmp_path / "seen.json")
    with pytest.raises(TransportError, match="was renewed or revoked"):
        met.check("node/1", (place.kit(1) / CERTIFICATE).read_bytes())


def test_an_ended_certificate_keeps_nobody_from_what_renews_revokes_and_changes(place: Place) -> None:
    """The coordinator's own, of which no run has any need, as little as a member's."""
    coordinator = place.kit("coordinator")
    for party in ("coordinator", 1):
        end(place, party)
    _do("consortium", "revoke", "node/2", "--kit", coordinator, "--out", place.root / "revoked")
    _do("keys", "install", place.root / "revoked" / "others", "--kit", place.kit(1))
    assert load_since(place.kit(1), load_roster(place.kit(1))) == load_since(coordinator, load_roster(coordinator))
    _do("consortium", "rename", 3, "Åbo", "--kit", coordinator, "--out", place.root / "proposal")
    words = [
        "--countersigned",
        place.word(place.root / "proposal", 3),
        "--countersigned",
        place.word(place.root / "proposal", 2),
    ]
    _do("consortium", "publish", place.root / "proposal", *words, "--kit", coordinator, "--out", place.root / "second")
    _do("keys", "install", place.root / "second" / "node-1", "--kit", place.kit(1))
    assert load_roster(place.kit(1)).version == load_roster(coordinator).version == 2
    for party in ("coordinator", 1):
        _do("keys", "renew", "--kit", place.kit(party))
    asked = [place.kit(party) / REQUEST for party in ("coordinator", 1)]
    _do("consortium", "rotate", *asked, "--kit", coordinator, "--out", place.root / "renewed")
    for party, folder in ((1, "node-1"), ("coordinator", "coordinator")):
        with pytest.raises(InputError, match="certificate expired"):
            load_tls(place.kit(party), load_roster(coordinator), folder.replace("-", "/"))
        _do("keys", "install", place.root / "renewed" / folder, "--kit", place.kit(party))
        load_tls(place.kit(party), load_roster(coordinator), folder.replace("-", "/"))


def test_who_has_left_hears_of_revocations_and_renews(place: Place, tmp_path: Path) -> None:
    """It is still in runs: it must not go on with an aggregator whose kit was stolen, nor end with its certificate."""
    coordinator = place.kit("coordinator")
    _do("consortium", "remove", 3, "--kit", coordinator, "--out", place.root / "proposal")
    _published(place, "proposal", (1, 2), "second")
    _do("consortium", "revoke", "aggregator", "--kit", coordinator, "--out", place.root / "revoked")
    said = _do("keys", "install", place.root / "revoked" / "others", "--kit", place.kit(3))
    assert "this institution is not on version 2 of it any more, and finishes the runs it is in" in said
    assert "version 1 of its roster, 3 institutions" in said
    kit = load_node_kit(place.kit(3))
    met = InForce(place.kit(3), kit.roster, tmp_path / "seen.json")
    with pytest.raises(TransportError, match="was renewed or revoked"):
        met.check("aggregator", (place.kit("aggregator") / CERTIFICATE).read_bytes())
    before = kit.tls.certificate
    _do("keys", "renew", "--kit", place.kit(3))
    said = _do("consortium", "rotate", place.kit(3) / REQUEST, "--kit", coordinator, "--out", place.root / "renewed")
    assert "node/3 has left the consortium: its certificate is for the runs that it is still in" in said
    _do("keys", "install", place.root / "renewed" / "node-3", "--kit", place.kit(3))
    kit = load_node_kit(place.kit(3))
    assert (kit.roster.version, kit.node) == (1, 3)
    assert kit.tls.certificate != before
    _do("consortium", "add", place.kit(3) / REQUEST, "--kit", coordinator, "--out", place.root / "back")
    for node in (1, 2):
        _do("keys", "install", place.root / "second" / f"node-{node}", "--kit", place.kit(node))
    assert "node 3 (Turku) comes back" in _published(place, "back", (1, 2), "third")
    said = _do("keys", "install", place.root / "third" / "node-3", "--kit", place.kit(3))
    assert "version 3 of its roster, 3 institutions" in said


def test_who_has_left_takes_nothing_that_too_few_signed_or_that_is_somebody_elses(place: Place) -> None:
    without, before = after(place, members=load_roster(place.kit(1)).members[:2]), contents(place.kit(3))
    sent = answer(place, forged(place, without, {1: 1, 2: 2}))
    assert "certificate is not of this kit's TLS key" in str(_refused("keys", "install", sent, "--kit", place.kit(3)))
    sent = answer(place, forged(place, without, {1: 1}))
    (sent / CERTIFICATE).unlink()
    assert "by 1 of 3 members, and 2 must" in str(_refused("keys", "install", sent, "--kit", place.kit(3)))
    assert contents(place.kit(3)) == before


def test_a_certificate_that_has_ended_is_installed_by_nobody(place: Place) -> None:
    ownkeys.renew(place.kit(1))
    provision.renew([place.kit(1) / REQUEST], place.kit("coordinator"), place.root / "renewed", days=60)
    answer, before = place.root / "renewed" / "node-1", contents(place.kit(1))
    end(place, 1, answer)
    assert "certificate expired" in str(_refused("keys", "install", answer, "--kit", place.kit(1)))
    assert contents(place.kit(1)) == before


def test_a_kit_that_cannot_say_what_was_revoked_lets_nobody_in(place: Place, tmp_path: Path) -> None:
    (place.kit(2) / CERTIFICATES).write_text("{}")
    with pytest.raises(InputError, match=CERTIFICATES):
        InForce(place.kit(2), load_roster(place.kit(2)), tmp_path / "seen.json")


def test_a_first_installation_is_done_again_wherever_it_was_cut_off(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ownkeys.make(tmp_path / "made", Party("node", "one"))
    asked = [tmp_path / "made" / REQUEST, *(place.kit(party) / REQUEST for party in (2, 3, "aggregator"))]
    ownkeys.make(tmp_path / "coordinator", Party("coordinator", "c"))
    provision.found(asked, tmp_path / "coordinator", tmp_path / "out", consortium="T", days=30)
    write = installing.write_bytes
    for cut in range(9):
        kit, left = tmp_path / f"kit-{cut}", iter(range(cut))
        shutil.copytree(tmp_path / "made", kit)

        def until(path: Path, data: bytes, kit: Path = kit, left: Iterator[int] = left) -> None:
            if path.parent == kit and next(left, None) is None:
                raise KeyboardInterrupt
            write(path, data)

        monkeypatch.setattr(installing, "write_bytes", until)
        with contextlib.suppress(KeyboardInterrupt):
            installing.install(tmp_path / "out" / "node-1", kit)
        monkeypatch.setattr(installing, "write_bytes", write)
        assert installing.install(tmp_path / "out" / "node-1", kit).version == 1
    assert next(left, None) is not None, "the last one was not cut off"


def test_what_is_wrong_is_one_line_and_changes_nothing(place: Place) -> None:
    coordinator, before = place.kit("coordinator"), contents(place.root)
    for arguments, words in (
        (("revoke", "node/9", "--kit", coordinator), "is no party of this consortium"),
        (("revoke", "../x", "--kit", coordinator), "is no party of this consortium"),
        (("revoke", "node/1", "--kit", place.kit(1)), "is the kit of a node"),
        (("remove", 9, "--kit", coordinator), "node 9 is not on the roster"),
        (("rename", 1, "two\nlines", "--kit", coordinator), "printable"),
        (("publish", place.root / "nowhere", "--kit", coordinator), "configuration does not exist"),
        (("countersign", place.root / "nowhere", "--kit", place.kit(1)), "configuration does not exist"),
        (("countersign", place.kit(1), "--kit", place.kit(1)), "is version 1 and does not follow version 1"),
        (("rotate", place.kit(1), "--kit", coordinator), "is not a readable file"),
    ):
        assert words in str(_refused("consortium", *arguments, "--out", place.root / "out")), arguments
    several = str(_refused("keys", "install", place.root / "kits", "--kit", place.kit(1)))
    assert "holds the answers of several: aggregator, coordinator, node-1" in several
    assert f"give your own, as {place.root / 'kits' / 'aggregator'}" in several
    assert isinstance(_refused("keys", "install", place.kit(1) / "roster.json", "--kit", place.kit(1)), InputError)
    assert contents(place.root) == before
