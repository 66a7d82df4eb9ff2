"""No key material in logs, errors or reprs: every secret is searched for in everything the code says."""

from __future__ import annotations

import base64
import contextlib
import io
import logging
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import structlog
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from afml.consortium import ownkeys, provision
from afml.consortium.kit import load_aggregator_kit
from afml.consortium.nodekit import load_node_kit
from afml.consortium.request import REQUEST
from afml.core import logging as afml_logging
from afml.trial.kits import make_kits
from crypto.ckks.codec import UpdateCodec
from crypto.ckks.run_key import RunKey
from crypto.public.params import choose
from crypto.secret.pads import PadKeys, Pads, check_confirmation
from crypto.secret.sealing import open_sealed, seal
from tests.crypto.parties import CONFIG, attempt

PARAMS = choose(2, 16, 10)


def spellings(secret: bytes) -> set[str]:
    """The ways a stretch of 12 bytes could show up in text."""
    found = set()
    for start in range(0, max(1, len(secret) - 12), 12):
        piece = secret[start : start + 12]
        if len(set(piece)) > 6:  # not padding
            found |= {piece.hex(), base64.b64encode(piece).decode()[:15], repr(piece)[2:-1]}
    return found


def test_nothing_secret_is_ever_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = io.StringIO()
    monkeypatch.setattr("sys.stderr", said)
    monkeypatch.setattr("sys.stdout", said)
    afml_logging.configure("canary", level="debug")
    handler = logging.StreamHandler(said)
    logging.getLogger().addHandler(handler)
    log = afml_logging.get_logger()

    kits = tmp_path / "kits"
    make_kits(kits, "canary", 2)
    node, aggregator = load_node_kit(kits / "node-1"), load_aggregator_kit(kits / "aggregator")
    run_key, mine, other = RunKey.generate(PARAMS), PadKeys.generate(), PadKeys.generate()
    shared = mine.shared(other.public)
    pads = Pads(1, CONFIG, {2: shared})
    codec = UpdateCodec(PARAMS, run_key, pads)
    sealed = seal(bytes.fromhex(node.roster.members[0].sealing_key), run_key.serialise(), b"run key")

    for item in (node, aggregator, run_key, mine, pads, codec, node.tls, node.signing_key, node.sealing_key):
        print(repr(item), str(item), f"{item}", vars(item) if isinstance(item, UpdateCodec) else "", file=said)
        log.info("state", key=item, state=item, problem=repr(item))

    total = RunKey.generate(PARAMS)
    (kits / "node-2" / "signing.key").chmod(0o644)
    (kits / "node-2" / "tls.key").write_bytes((kits / "node-1" / "sealing.key").read_bytes()[:-40])
    failures: list[Callable[[], object]] = [
        lambda: RunKey.load(PARAMS, run_key.serialise()[:-3]),
        lambda: RunKey.load(choose(64, 16, 10), run_key.serialise()),
        lambda: run_key.decrypt(b"AFT1"),
        lambda: total.decrypt(as_sum(codec)),
        lambda: codec.encode(np.array([1]), binding=attempt([1, 2, 3])),
        lambda: mine.shared(bytes(32)),
        lambda: check_confirmation(b"no", shared, b"c" * 32, 2, 1),
        lambda: Pads(1, CONFIG, {}).words(attempt([1, 2]), range(1), PARAMS),
        lambda: pads.words(attempt([1, 2, 3]), range(1), PARAMS),
        lambda: Pads(1, b"other", {2: shared}).words(attempt([1, 2]), range(1), PARAMS),
        lambda: open_sealed(node.sealing_key, sealed[:-1], b"run key"),
        lambda: open_sealed(node.sealing_key, sealed, b"other"),
        lambda: load_node_kit(kits / "node-2"),
        lambda: ownkeys.renew(kits / "node-2"),
        lambda: provision.found([kits / "aggregator" / REQUEST], kits / "node-1", kits / "new"),
    ]
    for failure in failures:
        with contextlib.suppress(StopIteration):
            try:
                failure()
            except Exception as error:  # noqa: BLE001
                said.write("".join(traceback.format_exception(error)))
                log.error("refused", problem=str(error))
                continue
        pytest.fail("a bad input was accepted")

    logging.getLogger().removeHandler(handler)
    structlog.reset_defaults()
    monkeypatch.undo()
    secrets = [run_key.serialise()[89:], mine.serialise(), other.serialise(), shared]
    secrets += [
        total.serialise()[89:],
        node.signing_key.private_bytes_raw(),
        node.sealing_key.private_bytes_raw(),
    ]
    for path in kits.rglob("*.key"):
        body = b"".join(path.read_bytes().splitlines()[1:-1])
        if len(body) > 60:  # PEM text inside the private value
            assert body[48:60].decode() not in said.getvalue()
        with contextlib.suppress(ValueError):
            key = load_pem_private_key(path.read_bytes(), None)
            if hasattr(key, "private_bytes_raw"):
                secrets.append(key.private_bytes_raw())
            else:
                secrets.append(key.private_numbers().private_value.to_bytes(32, "big"))  # type: ignore[union-attr]
    text = said.getvalue()
    assert len(text) > 2000
    for secret in secrets:
        assert not [spelling for spelling in spellings(secret) if spelling in text]


def as_sum(codec: UpdateCodec) -> bytes:
    from crypto.public.blind import add_payloads

    payloads = codec.encode(np.ones(3, np.int64), binding=attempt([1, 2]))
    return add_payloads(PARAMS, payloads)


def test_the_search_would_find_a_leak() -> None:
    secret = bytes(range(100, 132))
    for text in (secret.hex(), repr(secret), base64.b64encode(secret).decode()):
        assert any(spelling in text for spelling in spellings(secret))
