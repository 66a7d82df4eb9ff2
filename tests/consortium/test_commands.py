"""What a coordinator and a member type: what it says, and one line where it is wrong."""

from __future__ import annotations

from click.testing import CliRunner

from afml.cli.main import cli
from afml.consortium.inforce import load_since
from afml.consortium.kit import load_roster
from afml.core.errors import AfmlError, InputError
from tests.consortium.place import Place
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
    assert isinstance(_refused("keys", "install", place.kit(1) / "roster.json", "--kit", place.kit(1)), InputError)
    assert contents(place.root) == before
