"""A doctor finds what is wrong, says what to do about it, and changes nothing."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from afml.consortium import installing, provision
from afml.consortium.kit import CERTIFICATE
from afml.consortium.nodekit import load_node_kit
from afml.core.errors import InputError
from afml.operate import machine
from afml.operate.checked import Checked
from afml.operate.doctor import examine
from afml.operate.papers import Subject, folder
from afml.trial.processes import free_port
from node.guard import begin_ledger
from tests.aggregator.machine import small_run
from tests.cli.institution import listing
from tests.cli.zygote import Zygote
from tests.federation.served import Served
from tests.operate import counterparts


def found(kit: Path, **subject: object) -> dict[str, Checked]:
    """The worst of each look at a party; every failure has its cure, and nothing was changed."""
    before = listing(kit.parent)
    looks: dict[str, Checked] = {}
    for checked in examine(Subject(kit, **subject)):  # type: ignore[arg-type]
        assert checked.cure or checked.state in ("ok", "skipped")
        if checked.what not in looks or checked.state == "failed":
            looks[checked.what] = checked
    assert listing(kit.parent) == before
    return looks


def failures(looks: dict[str, Checked]) -> list[str]:
    return [what for what, checked in looks.items() if checked.state == "failed"]


def test_a_party_in_order(kits: Path, tmp_path: Path) -> None:
    node = found(kits / "node-1")
    assert not failures(node)
    assert node["kit"].told == "node 1 (node-1) of consortium test"
    assert node["certificate"].told.endswith("730 days left")
    assert node["aggregator"].state == "skipped"
    aggregator = found(kits / "aggregator", data=tmp_path / "state", address=f"127.0.0.1:{free_port()}")
    assert not failures(aggregator)
    assert "GPU" in node
    assert "GPU" not in aggregator
    assert not failures(found(kits / "coordinator"))


def test_a_certificate_that_was_revoked(kits: Path, tmp_path: Path) -> None:
    """Each party's own, by the word that lies in its kit; and where it does not, by what the aggregator answers."""
    for party in ("node/1", "aggregator"):
        out = tmp_path / party.replace("/", "-")
        provision.revoke(party, kits / "coordinator", out)
        installing.install(out / "others", kits / party.replace("/", "-"))
        looks = found(kits / party.replace("/", "-"))
        assert failures(looks) == ["revocation"]
        assert f"the certificate of {party} that began on" in looks["revocation"].told
        assert "`afml keys renew`" in looks["revocation"].cure
    assert found(kits / "node-2")["revocation"].state == "ok"


def test_a_node_that_the_aggregator_has_heard_of_before_it_did(tmp_path: Path) -> None:
    made = Served(tmp_path)
    try:
        provision.revoke("node/1", tmp_path / "kits" / "coordinator", tmp_path / "revoked")
        installing.install(tmp_path / "revoked" / "others", tmp_path / "kits" / "aggregator")
        looks = list(examine(Subject(tmp_path / "kits" / "node-1", made.address)))
        clock = next(checked for checked in looks if checked.what == "clock")
        assert clock.state == "failed"
        assert clock.told.startswith("the aggregator refuses: the certificate of node/1 that began on")
    finally:
        made.close()


def test_no_kit_at_all(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="kit does not exist; make it with `afml keys init`"):
        list(examine(Subject(tmp_path / "kit")))


def test_a_key_that_others_may_read(kits: Path) -> None:
    (kits / "node-1" / "tls.key").chmod(0o644)
    (kits / "node-1").chmod(0o755)
    looks = found(kits / "node-1")
    assert failures(looks) == ["kit"]
    assert looks["kit"].cure == f"chmod 600 '{kits / 'node-1' / 'tls.key'}'"
    assert looks["kit folder"].state == "warning"


def _certificate(days: int) -> bytes:
    """Of nobody, valid until so many days from now."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    until = dt.datetime.now(dt.UTC) + dt.timedelta(days=days, minutes=5)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(until - dt.timedelta(days=100)).not_valid_after(until)
    return made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


@pytest.mark.parametrize(("days", "state"), [(-3, "failed"), (12, "warning"), (40, "ok")])
def test_certificates_that_end(kits: Path, days: int, state: str) -> None:
    (kits / "node-1" / CERTIFICATE).write_bytes(_certificate(days))
    looked = found(kits / "node-1")["certificate"]
    assert looked.state == state
    assert (f"{days} days left" in looked.told) != (days < 0)
    assert state == "ok" or "afml keys renew" in looked.cure


def test_no_policy(kits: Path) -> None:
    (kits / "node-1" / "policy.toml").unlink()
    looks = found(kits / "node-1")
    assert failures(looks) == ["policy"]
    assert looks["policy"].cure == "write one with `afml policy init`"


def test_a_policy_that_others_may_change(kits: Path) -> None:
    (kits / "node-1" / "policy.toml").chmod(0o666)
    assert found(kits / "node-1")["policy"].state == "warning"


def test_a_run_of_another_coordinator(kits: Path, tmp_path: Path) -> None:
    run = tmp_path / "run.json"
    run.write_text(small_run().model_dump_json())
    run.with_suffix(".sig").write_bytes(bytes(64))
    assert failures(found(kits / "node-1", run=run)) == ["run"]


def test_a_folder_that_is_open_to_others(kits: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o755)
    looks = found(kits / "aggregator", data=state)
    assert failures(looks) == ["data folder"]
    assert looks["data folder"].cure == f"chmod 700 '{state}'"


def test_a_folder_that_is_a_file_or_cannot_be_made(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for path, told in ((file, "is a file"), (file / "work", "cannot be made")):
        looked = folder("work folder", path)
        assert looked.state == "failed"
        assert told in looked.told
    assert folder("work folder", tmp_path / "new" / "work").state == "ok"


def test_a_work_folder_that_nobody_prepared(kits: Path, tmp_path: Path) -> None:
    assert failures(found(kits / "node-1", work=tmp_path / "work")) == ["data"]


def test_a_ledger_of_somebody_else(kits: Path, tmp_path: Path) -> None:
    begin_ledger(tmp_path / "ledger", load_node_kit(kits / "node-2"))
    assert failures(found(kits / "node-1", ledger=tmp_path / "ledger")) == ["ledger"]
    assert not failures(found(kits / "node-2", ledger=tmp_path / "ledger"))


def test_a_port_that_is_taken(kits: Path) -> None:
    with counterparts.listener(counterparts.hangs_up) as port:
        looks = found(kits / "aggregator", address=f"127.0.0.1:{port}")
    assert failures(looks) == ["port"]


def test_too_little_room(tmp_path: Path) -> None:
    assert machine.disk("disk", tmp_path / "not" / "there", 1 << 60).state == "failed"
    assert machine.disk("disk", tmp_path).told.endswith("free")


# -- the command -------------------------------------------------------------------------------------


def test_the_command_tells_cures_and_fails(kits: Path, afml: Zygote) -> None:
    (kits / "node-1" / "tls.key").chmod(0o644)
    done = afml("doctor", "--kit", kits / "node-1")
    assert done.code == 2
    assert done.complaint().endswith("looks failed; follow the cures above")
    assert f"cure: chmod 600 '{kits / 'node-1' / 'tls.key'}'" in done.out
    done = afml("doctor", "--kit", kits / "node-2", "--json")
    assert done.code == 0, done.err
    assert {one["state"] for one in json.loads(done.out)} <= {"ok", "warning", "skipped"}
    assert {one["what"] for one in json.loads(done.out)} >= {"kit", "versions", "memory", "open files", "policy"}
