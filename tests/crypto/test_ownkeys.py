"""Keys that parties make themselves: none is sent, they can be renewed, used elsewhere, and changed."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner

from afml.cli.main import cli
from afml.consortium import installing, ownkeys, provision
from afml.consortium.kit import load_aggregator_kit
from afml.consortium.nodekit import load_node_kit
from afml.consortium.ownkeys import Party
from afml.consortium.request import REQUEST, read_request
from afml.core.errors import InputError
from tests.crypto.keyfiles import PARTIES, answers, contents, holders, private, spellings


def test_no_private_key_ever_reaches_the_coordinator(tmp_path: Path) -> None:
    """The commands that a real consortium types, every party in a place of its own."""

    def afml(*arguments: object) -> str:
        done = CliRunner().invoke(cli, list(map(str, arguments)))
        assert done.exit_code == 0, (done.output, done.exception)
        return done.output

    site = {party: tmp_path / f"at-{party}" / "kit" for party in (*PARTIES, "coordinator")}
    for party, kit in site.items():
        said = afml("keys", "init", "--out", kit, "--role", party.split("-")[0], "--name", f"Institute of {party}")
        assert read_request(kit / REQUEST).fingerprint in said
    post = tmp_path / "at-coordinator" / "post"
    for party in PARTIES:
        post.mkdir(exist_ok=True)
        shutil.copy(site[party] / REQUEST, post / f"{party}.json")
    sent, outbox = [post / f"{party}.json" for party in PARTIES], tmp_path / "at-coordinator" / "answers"
    said = afml("consortium", "found", *sent, "--kit", site["coordinator"], "--consortium", "north", "--out", outbox)
    for party in PARTIES:
        assert read_request(site[party] / REQUEST).fingerprint in said
        afml("keys", "install", outbox / party, "--kit", site[party])
    assert [load_node_kit(site[f"node-{n}"]).node for n in (1, 2)] == [1, 2]
    load_aggregator_kit(site["aggregator"])
    afml("keys", "renew", "--kit", site["node-1"])
    shutil.copy(site["node-1"] / REQUEST, post / "again.json")
    renewed = tmp_path / "at-coordinator" / "renewed"
    afml("consortium", "rotate", post / "again.json", "--kit", site["coordinator"], "--out", renewed)
    keys = [path for party in PARTIES for path in site[party].glob("*.key")]
    assert len(keys) == 3 + 3 + 2 + 1  # the renewed TLS key too
    assert holders([tmp_path / "at-coordinator"], keys) == []
    own = [site["coordinator"] / name for name in ("signing.key", "ca.key")]
    everybody = [site[party] for party in PARTIES]
    assert holders([*everybody, outbox, renewed], own) == []
    assert {path.name for path in outbox.rglob("*") if path.is_file()} == {
        "roster.json", "roster.sig", "ca.pem", "tls.pem", "certificates.json",
    }  # fmt: skip
    for path in (*keys, *own):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("spelling", range(8))
def test_the_search_would_find_a_key(root: Path, tmp_path: Path, spelling: int) -> None:
    key = root / "kits" / "node-1" / "signing.key"
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "x").write_bytes(b"--" + list(spellings(private(key), key.read_bytes()))[spelling])
    assert holders([tmp_path / "kept"], [key]) == [("x", str(key))]


def test_renewal_changes_one_party_and_works_on_until_the_answer_is_there(root: Path) -> None:
    kits, node = root / "kits", root / "kits" / "node-2"
    before = contents(kits)
    ownkeys.renew(node)
    assert load_node_kit(node).tls.certificate == before["node-2/tls.pem"]
    provision.renew([node / REQUEST], kits / "coordinator", root / "renewed", days=10)
    assert {path.name for path in (root / "renewed").iterdir()} == {"node-2", "others"}
    installing.install(root / "renewed" / "node-2", node)
    changed = {name for name, data in contents(kits).items() if before.get(name) != data}
    assert changed == {
        "node-2/tls.pem", "node-2/tls.key", "node-2/request.json", "node-2/certificates.json",
        "coordinator/certificates.json",
    }  # fmt: skip
    assert contents(kits).keys() == before.keys()
    load_node_kit(node)
    with pytest.raises(InputError, match="certificate is not of this kit's TLS key"):
        installing.install(root / "answers" / "node-2", node)  # the old one


def test_a_coordinator_and_an_aggregator_renew_in_the_same_way(root: Path) -> None:
    kits = root / "kits"
    for party in ("coordinator", "aggregator"):
        ownkeys.renew(kits / party, ["sum.example"] if party == "aggregator" else [])
    asked = [kits / party / REQUEST for party in ("coordinator", "aggregator")]
    provision.renew(asked, kits / "coordinator", root / "renewed")
    for party in ("coordinator", "aggregator"):
        installing.install(root / "renewed" / party, kits / party)
    assert read_request(kits / "aggregator" / REQUEST).hosts == ("sum.example",)
    load_aggregator_kit(kits / "aggregator")
    with pytest.raises(InputError, match="hosts: are what the aggregator has"):
        ownkeys.renew(kits / "node-1", ["sum.example"])


def test_the_same_institution_is_known_in_another_consortium(root: Path) -> None:
    """One ledger, whatever the consortium is called and whatever number it gives."""
    first = load_node_kit(root / "kits" / "node-2")
    other = root / "other"
    ownkeys.make_like(other / "node-1", root / "kits" / "node-2")
    ownkeys.make_like(other / "aggregator", root / "kits" / "aggregator")
    ownkeys.make(other / "coordinator", Party("coordinator", "c"))
    answers(root, "renamed", "other answers", "other")
    for party in ("node-1", "aggregator"):
        installing.install(root / "other answers" / party, other / party)
    second = load_node_kit(other / "node-1")
    assert (first.node, second.node) == (2, 1)
    assert first.origin == second.origin
    assert first.signing_key.private_bytes_raw() == second.signing_key.private_bytes_raw()
    assert private(root / "kits" / "node-2" / "tls.key") != private(other / "node-1" / "tls.key")
    with pytest.raises(InputError, match="kit belongs to consortium test"):
        installing.install(root / "other answers" / "node-1", root / "kits" / "node-2")


def test_changed_keys_keep_the_name_of_the_ledger_and_the_number(root: Path) -> None:
    kits = root / "kits"
    before = load_node_kit(kits / "node-1")
    for old, new in (("node-1", "second"), ("second", "third")):
        ownkeys.make_successor(root / new if new == "second" else kits / new, (root if old == "second" else kits) / old)
    shutil.rmtree(kits / "node-1")
    (kits / "third").rename(kits / "node-1")
    for name in ("roster.json", "roster.sig"):
        (kits / "coordinator" / name).unlink()  # as in another consortium; in the same one a version brings them in
    roster = answers(root, "test", "new answers")
    installing.install(root / "new answers" / "node-1", kits / "node-1")
    after = load_node_kit(kits / "node-1")
    assert (after.node, after.origin) == (before.node, before.origin)
    assert len(roster.member(1).lineage) == 2
    assert roster.member(1).founder == before.roster.member(1).signing_key
    assert roster.member(1).signing_key != before.roster.member(1).signing_key
    with pytest.raises(InputError, match="is the kit of the aggregator"):
        ownkeys.make_successor(root / "x", kits / "aggregator")


def test_keys_are_never_made_over_others(root: Path) -> None:
    kit = root / "kits" / "node-1"
    before = contents(kit)
    for make in (
        lambda: ownkeys.make(kit, Party("node", "x")),
        lambda: ownkeys.make_like(kit, root / "kits" / "node-2"),
        lambda: ownkeys.make_successor(kit, root / "kits" / "node-2"),
    ):
        with pytest.raises(InputError, match="already exists; its keys would be lost"):
            make()
    assert contents(kit) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--role", "node"], "--name: is missing"),
        (["--name", " "], "printable characters"),
        (["--name", "x" * 81], "printable characters"),
        (
            ["--role", "aggregator", "--host", "sum.example:7443"],
            "hosts: sum.example:7443 is no DNS name or address, without a scheme and without a port",
        ),
        (["--name", "x", "--host", "sum.example"], "hosts: are what the aggregator has"),
        (["--like", "a", "--succeed", "b"], "contradict each other"),
        (["--like", "a", "--name", "x"], "leave them out"),
    ],
)
def test_bad_options_make_no_kit(tmp_path: Path, arguments: list[str], words: str) -> None:
    done = CliRunner().invoke(cli, ["keys", "init", "--out", str(tmp_path / "kit"), *arguments])
    assert isinstance(done.exception, InputError)
    assert words in str(done.exception)
    assert not (tmp_path / "kit").exists()
