"""Secrets leave no trace: not in a log, not in an error, not in a file that the aggregator or an auditor holds."""

from __future__ import annotations

import base64
import contextlib
import time
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from afml.masking.enrolled import Enrolled
from afml.trial.processes import free_port
from crypto.secret import kem
from node.workspace import Workspace, load_holdings
from tests.federation.parties import Consortium

NODES = (1, 2, 3)
WINDOW, SITES_SHOWN = 18, 20
NAME = "CANARY-PERSON-"


def spellings(secret: bytes) -> set[bytes]:
    """How a piece of a secret could be written: raw, hex, base64 in its three alignments, a Python list."""
    found = {secret, secret.hex().encode(), secret.hex().upper().encode()}
    for shift in range(3):
        coded = base64.b64encode(bytes(shift) + secret)
        found.add(coded[4 if shift else 0 : -4])  # what does not depend on the neighbours
        found.add(base64.urlsafe_b64encode(bytes(shift) + secret)[4 if shift else 0 : -4])
    return found | {repr(list(secret))[1:-1].encode(), repr(secret)[2:-1].encode()}


def windows(secret: bytes) -> set[bytes]:
    """Pieces from the beginning, the middle and the end of a secret, in every spelling."""
    starts = {0, len(secret) // 3, len(secret) // 2, max(0, len(secret) - WINDOW)}
    return set().union(*(spellings(secret[start : start + WINDOW]) for start in starts))


def rows(values: Sequence[int]) -> set[bytes]:
    """A row of genotypes or phenotypes as bytes or text."""
    part = [int(value) for value in values][:SITES_SHOWN]
    texts = [separator.join(map(str, part)) for separator in ("", " ", ",", ", ", "\t", "\n")]
    calls = "\t".join({0: "0/0", 1: "0/1", 2: "1/1", -1: "./."}[value] for value in part)
    return {np.array(part, dtype=np.int8).tobytes(), *(text.encode() for text in [*texts, calls])}


def test_the_search_finds_what_is_planted() -> None:
    secret = np.random.default_rng(0).bytes(64)
    for text in (secret, secret.hex().encode(), base64.b64encode(b"x" + secret), str(list(secret)).encode()):
        assert any(piece in b"noise" + text + b"noise" for piece in windows(secret))
    genotypes = [0, 1, 2, -1] * 10
    assert any(piece in str(genotypes).encode() for piece in rows(genotypes))


class Watched:
    """A run that has ended, its secrets as they were, and everything that others got to see."""

    def __init__(self, consortium: Consortium) -> None:
        self.consortium = consortium
        self.secrets: dict[str, bytes] = {}
        self._went: dict[str, bytes] = {}
        self.config = consortium.configure()
        port = free_port()
        processes = [consortium.start_aggregator(port), *(consortium.start_node(n, port) for n in NODES)]
        deadline = time.monotonic() + 240
        while any(process.poll() is None for process in processes):
            assert time.monotonic() < deadline, consortium.log("aggregator")
            self._look()
            time.sleep(0.02)
        assert [process.returncode for process in processes] == [0] * 4, consortium.log("node-1")
        self._kits()

    def _look(self) -> None:
        """Run keys exist only while the run does, and so do sums and long letters at the aggregator."""
        for folder in ("sums", "letters"):
            for path in (self.consortium.data() / folder).glob("[!.]*"):
                name = str(path.relative_to(self.consortium.root))
                if name not in self._went:
                    with contextlib.suppress(OSError):
                        self._went[name] = path.read_bytes()
        for node in NODES:
            for path in (self.consortium.work(node) / "runs" / "run").glob("*.key"):
                with contextlib.suppress(OSError):
                    if not path.name.startswith("."):
                        self._see(f"{path.stem} key of node {node}", path.read_bytes())

    def _see(self, name: str, key: bytes) -> None:
        if name.startswith("pairs"):  # secrets of pairs beside the ciphertexts that told them: those go over the wire
            for peer, one in kem.from_bytes(key, where=name).items():
                self.secrets[f"{name} for node {peer}"] = one.secret
        else:
            self.secrets[name] = key

    def _kits(self) -> None:
        for party in (*NODES, "aggregator", "coordinator"):
            for path in self.consortium.kit(party).glob("*.key"):
                key = load_pem_private_key(path.read_bytes(), password=None)
                if isinstance(key, EllipticCurvePrivateKey):
                    raw = key.private_numbers().private_value.to_bytes(32, "big")
                else:
                    raw = key.private_bytes_raw()  # type: ignore[union-attr]
                self.secrets[f"{path.name} of {party}"] = raw

    def seen(self) -> dict[str, bytes]:
        """Logs of all parties, and every byte that the aggregator keeps or has kept."""
        root = self.consortium.root
        logs = {path.name: path.read_bytes() for path in root.glob("*.log")}
        files = [path for path in self.consortium.data().rglob("*") if path.is_file()]
        return logs | self._went | {str(path.relative_to(root)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    made = Consortium.build(tmp_path_factory.mktemp("canary"), people=40, prefix=NAME)
    yield Watched(made)
    made.stop()


def _leaks(pieces: set[bytes], seen: dict[str, bytes]) -> list[str]:
    return [name for name, data in seen.items() if any(piece in data for piece in pieces)]


def test_there_is_something_to_search(watched: Watched) -> None:
    names = set(watched.secrets)
    assert {f"{kind} key of node {node}" for kind in ("pad", "ckks") for node in NODES} <= names
    assert {"signing.key of 1", "sealing.key of 2", "tls.key of 3", "ca.key of coordinator"} <= names
    assert len({watched.secrets[f"ckks key of node {node}"] for node in NODES}) == 1
    seen = watched.seen()
    assert {"aggregator.log", "node-1.log", "aggregator-run/transcript.jsonl", "aggregator-run/run.sqlite"} <= set(seen)
    assert any(name.startswith("aggregator-run/sums/") for name in seen)
    assert any(name.startswith("aggregator-run/letters/") for name in seen)


def test_no_key_is_written_down_anywhere(watched: Watched) -> None:
    seen = watched.seen()
    for name, secret in watched.secrets.items():
        assert len(secret) >= 32, name
        assert _leaks(windows(secret), seen) == [], name


def test_no_person_is_named_and_no_genotype_or_phenotype_is_shown(watched: Watched) -> None:
    seen = watched.seen()
    assert _leaks({NAME.encode(), *spellings(NAME.encode())}, seen) == []
    for node in NODES:
        enrolled = load_holdings(Workspace(watched.consortium.work(node)), watched.config).enrolled
        assert isinstance(enrolled, Enrolled)
        for person, dosage in enumerate(enrolled.dosage):
            assert _leaks(rows(dosage.tolist()), seen) == [], f"node {node}, row {person}"
        assert _leaks(rows(enrolled.phenotype.tolist()), seen) == [], f"phenotypes of node {node}"


def test_keys_die_with_the_run(watched: Watched) -> None:
    for node in NODES:
        folder = watched.consortium.work(node) / "runs" / "run"
        assert list(folder.rglob("*.key")) == []
        assert not (folder / "outbox").exists()
    assert list((watched.consortium.data() / "uploads").rglob("*")) == [], "ciphertexts outlived their sum"
