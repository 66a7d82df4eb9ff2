"""One engine over one store, a clock that only tests move, and nodes that sign what they say."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from afml.consortium import messages
from afml.consortium.attempt import Attempt
from afml.consortium.lease import LEASE_BYTES
from afml.consortium.orders import Order, What
from afml.consortium.reasons import Reason
from afml.consortium.roster import Member, Roster
from afml.consortium.run import Budget, Phase, RunConfig
from afml.wire import federation_pb2 as wire
from aggregator import announcements
from aggregator.engine import Engine
from aggregator.store import open_store
from aggregator.store.base import Published, Upload
from crypto.public.signing import public_bytes, sign
from tests.masking_runs import masking_run

PARAMETERS = 49
MODEL = bytes(32)  # keyed digest of the model that everybody holds


def small_run(nodes: int = 4, *, quorum: int = 3, rounds: int = 2, **changes: Any) -> RunConfig:
    settings: dict[str, Any] = {
        "run": "r", "consortium": "test", "site_panel": "0" * 64, "sites": PARAMETERS - 1, "public_part": True,
        "enrolled": dict.fromkeys(range(1, nodes + 1), 40), "quorum": quorum, "max_colluding": 1,
        "budget": Budget(delta=1e-5, ple_sigma=1.0), "deadline_s": 10.0, "public_deadline_s": 100.0,
        "phases": (Phase(name="risk", rounds=rounds, sample_rate=1.0, clip_norm=1.0, noise_multiplier=4.0,
                         learning_rate=1.0, parameters=PARAMETERS),),
    } | changes  # fmt: skip
    return masking_run(**settings)


@dataclass
class _Aggregator:
    """Decisions without sockets; `restart` opens the same store again: `url`, or a database in `path`."""

    path: Path
    config: RunConfig = field(default_factory=small_run)
    time: float = 0.0
    url: str = ""

    def __post_init__(self) -> None:
        self.keys = {node: Ed25519PrivateKey.generate() for node in self.config.nodes}
        self.pads = {node: bytes([node]) * 32 for node in self.config.nodes}
        self.leases = {node: bytes([node]) * LEASE_BYTES for node in self.config.nodes}
        members = [
            Member(node=node, name=f"node-{node}", signing_key=public_bytes(key).hex(), sealing_key="0" * 64)
            for node, key in self.keys.items()
        ]
        self.coordinator = Ed25519PrivateKey.generate()
        key, blank = public_bytes(self.coordinator).hex(), "0" * 64
        self.roster = Roster(consortium="test", coordinator_key=key, aggregator_key=blank, members=tuple(members))
        self.open()

    def open(self) -> None:
        self.store = open_store(self.url or self.path / "run.sqlite", self.config.digest())
        self.engine = Engine(self.store, self.config, self.roster, lambda: self.time, lambda: 1_700_000_000_000)

    def restart(self) -> None:
        self.store.close()
        self.open()

    def wait(self, seconds: float) -> None:
        self.time += seconds
        self.engine.tick()

    @property
    def at(self) -> tuple[str, int, int]:
        """(stage, round, attempt)."""
        position = self.store.position()
        return position.stage, *position.attempt

    @property
    def attempt(self) -> Attempt:
        return self.store.position().attempt

    @property
    def awaited(self) -> list[int]:
        return list(announcements.run_state(self.store, self.config).awaited)

    @property
    def reason(self) -> str:
        cause = self.store.position().cause
        return cause.text(self.config.quorum) if cause else ""

    @property
    def cohort(self) -> list[int]:
        return self.cohort_of(self.attempt)

    @property
    def tokens(self) -> list[wire.ReadyToken]:
        """Of the cohort."""
        return announcements.cohort(self.store, self.attempt)

    def cohort_of(self, attempt: Attempt) -> list[int]:
        return [token.node for token in announcements.cohort(self.store, attempt)]


class Machine(_Aggregator):
    """An aggregator, and what its nodes say to it."""

    @property
    def _run(self) -> dict[str, object]:
        return {"run": self.config.run, "config_digest": self.config.digest()}

    def enrolment(self, node: int, *, pad: bytes | None = None) -> wire.Enrolment:
        pad_key, lease = pad or self.pads[node], self.leases[node]
        signed = messages.enrolment(self.config.run, self.config.digest(), node, pad_key, lease)
        signature = sign(self.keys[node], signed)
        return wire.Enrolment(**self._run, node=node, pad_key=pad_key, signature=signature, lease=lease)

    def enrol(self, *nodes: int) -> None:
        for node in nodes or self.config.nodes:
            self.engine.enrol(self.enrolment(node))

    def token(
        self, node: int, round_number: int, attempt: int, *, signer: int | None = None, model: bytes = MODEL
    ) -> wire.ReadyToken:
        place = Attempt(round_number, attempt)
        lease = self.leases[node]
        signed = messages.ready(self.config.run, self.config.digest(), place, node, model, lease)
        return wire.ReadyToken(**self._run, round=round_number, attempt=attempt, node=node, model=model, lease=lease,
                               signature=sign(self.keys[signer or node], signed))  # fmt: skip

    def ready(self, *nodes: int) -> None:
        attempt = self.attempt
        for node in nodes or self.config.nodes:
            self.engine.ready(self.token(node, *attempt))

    def header(self, sender: int, **changes: object) -> wire.UpdateHeader:
        attempt = self.attempt
        settings: dict[str, object] = {
            **self._run, "round": attempt.round, "attempt": attempt.number, "node": sender, "chunks": 1,
            "cohort_digest": announcements.bound(self.store, self.config, attempt).cohort_digest,
            "parameters": PARAMETERS,
        } | changes  # fmt: skip
        return wire.UpdateHeader(**settings)

    def upload(self, *nodes: int) -> bool:
        """Send complete updates; True when the last of the cohort was among them."""
        done = False
        for node in nodes or self.cohort:
            header = self.header(node)
            if self.engine.expects_upload(header):
                done = self.engine.uploaded(self.attempt, Upload(node, 1, PARAMETERS, 100, "{}"))
        return done

    def publish(self) -> None:
        self.engine.summed(Published(self.attempt, 1, PARAMETERS))

    def leave(self, node: int, reason: Reason = Reason.SPEND_REFUSED, *, signer: int | None = None) -> None:
        signed = messages.leave(self.config.run, self.config.digest(), node, reason.wire)
        signature = sign(self.keys[signer or node], signed)
        self.engine.leave(wire.LeaveNotice(**self._run, node=node, reason=reason.wire, signature=signature))

    def away(self, node: int) -> None:
        self.engine.away(wire.RunRef(**self._run, node=node))

    def order(self, what: What, *, seconds: float = 0.0) -> None:
        number = 1 + max(self.store.orders.all(), default=0)
        self.engine.follow(
            Order.signed_by(self.coordinator, "coordinator", self.config, what, number=number, seconds=seconds)
        )

    def decline(self, node: int, round_number: int, attempt: int, *, signer: int | None = None) -> None:
        signed = messages.decline(self.config.run, self.config.digest(), Attempt(round_number, attempt), node)
        signature = sign(self.keys[signer or node], signed)
        self.engine.decline(
            wire.DeclineNotice(**self._run, round=round_number, attempt=attempt, node=node, signature=signature)
        )

    def report(self, node: int, round_number: int, digest: bytes = b"same") -> None:
        signed = messages.model_digest(self.config.run, self.config.digest(), round_number, node, digest)
        signature = sign(self.keys[node], signed)
        self.engine.report_digest(
            wire.ModelDigest(**self._run, node=node, round=round_number, digest=digest, signature=signature)
        )

    def play_round(self) -> None:
        self.ready()
        assert self.upload()
        self.publish()
