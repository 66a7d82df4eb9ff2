"""Answers of a coordinator: installed whole, or not at all where they answer somebody else."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from afml.consortium import installing, ownkeys, provision
from afml.consortium.nodekit import load_node_kit
from afml.consortium.ownkeys import Party
from afml.consortium.request import REQUEST
from afml.consortium.roster import Member, Roster
from afml.core.errors import InputError, IntegrityError
from tests.crypto.keyfiles import answers, contents


def _substituted(root: Path) -> Path:
    """The coordinator puts a key of its own into the place of node 1's."""
    kits = root / "kits"
    ownkeys.make(root / "forged" / "node-1", Party("node", "node-1"))
    for party in ("node-2", "aggregator", "coordinator"):
        shutil.copytree(kits / party, root / "forged" / party)
    for name in ("roster.json", "roster.sig"):
        (root / "forged" / "coordinator" / name).unlink()  # so that the stranger gets node 1's number
    answers(root, "test", "forged answers", "forged")
    own = Path(shutil.copytree(root / "forged answers" / "node-1", root / "mixed"))
    shutil.copy(root / "answers" / "node-1" / "tls.pem", own)
    return own


def _of_another_coordinator(root: Path) -> Path:
    for party in ("node-1", "node-2", "aggregator"):
        (root / "taken" / party).mkdir(parents=True)
        shutil.copy(root / "kits" / party / REQUEST, root / "taken" / party)
    ownkeys.make(root / "taken" / "coordinator", Party("coordinator", "c"))
    answers(root, "test", "taken answers", "taken")
    return root / "taken answers" / "node-1"


def _edited(root: Path) -> Path:
    path = root / "answers" / "node-1" / "roster.json"
    path.write_text(path.read_text().replace("node-2", "node-3"))
    return path.parent


def _other_authority(root: Path) -> Path:
    answer = _of_another_coordinator(root)
    for name in ("roster.json", "roster.sig", "certificates.json"):
        shutil.copy(root / "answers" / "node-1" / name, answer)
    return answer


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda root: root / "answers" / "node-2", "certificate is not of this kit's TLS key"),
        (_substituted, "the roster does not name node-1 by the keys of this kit"),
        (_of_another_coordinator, "kit belongs to consortium test and its coordinator"),
        (_other_authority, "ca.pem: is not the certificate authority on the roster"),
        (_edited, "signature does not match"),
        (lambda root: root / "nowhere", "roster.json: configuration does not exist"),
    ],
)
def test_an_answer_to_somebody_else_leaves_the_kit_as_it_was(
    root: Path, answer: Callable[[Path], Path], words: str
) -> None:
    folder, kit = answer(root), root / "kits" / "node-1"
    before = contents(kit)
    with pytest.raises((InputError, IntegrityError), match=words):
        installing.install(folder, kit)
    assert contents(kit) == before


@pytest.mark.parametrize("stop", range(1, 13))
def test_an_install_that_was_cut_off_is_repeated(root: Path, stop: int, monkeypatch: pytest.MonkeyPatch) -> None:
    kits, node = root / "kits", root / "kits" / "node-1"
    ownkeys.renew(node)
    provision.renew([node / REQUEST], kits / "coordinator", root / "renewed")
    count = 0

    def cut(name: str) -> Callable[..., None]:
        write = getattr(installing, name)

        def counted(path: Path, data: bytes) -> None:
            nonlocal count
            count += 1
            if count == stop:
                raise KeyboardInterrupt
            write(path, data)

        return counted

    with monkeypatch.context() as patch:
        for name in ("write_bytes", "write_secret"):
            patch.setattr(installing, name, cut(name))
        try:
            installing.install(root / "renewed" / "node-1", node)
        except KeyboardInterrupt:
            assert count == stop
    installing.install(root / "renewed" / "node-1", node)
    load_node_kit(node)
    assert not (node / ownkeys.NEXT_TLS_KEY).exists()
    assert [path.name for path in node.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("name", ["t\nfingerprint of the roster: 0000", "t\x1b[2J", "x" * 81])
def test_no_name_on_a_roster_passes_for_a_fingerprint(name: str) -> None:
    """`afml keys install` prints it above the fingerprint that people compare."""
    members = (Member(node=1, name="a", signing_key="00", sealing_key="00"),)
    for change in ({"consortium": name}, {"members": ({**members[0].model_dump(), "name": name},)}):
        given = {"consortium": "c", "coordinator_key": "00", "aggregator_key": "00", "members": members}
        with pytest.raises(ValidationError, match="printable"):
            Roster.model_validate(given | change)
