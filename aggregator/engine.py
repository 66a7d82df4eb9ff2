"""The round state machine. No sockets, no ciphertexts: decisions only, each durable before it is told.

    enrolling -> gathering(round, attempt) -> open -> summing -> gathering(round + 1, 1) -> ... -> finished
                      ^                        |         |
                      '--- attempt + 1 <-------'---------'            any stage -> failed

A cohort is fixed from signed Ready tokens before anybody uploads. A member that misses its deadline,
leaves, declines or sends a ciphertext that cannot be added costs the attempt: the next one has fresh
pads and fresh noise. Time comes in from outside, as seconds of a monotonic clock.
"""

from __future__ import annotations

from collections.abc import Callable

from afml.core.errors import IntegrityError, ProtocolError
from afml.core.logging import get_logger
from afml.core.run import Roster, RunConfig
from afml.wire import federation_pb2 as wire
from aggregator.store import Store, Upload
from crypto.public import messages
from crypto.public.signing import cohort_digest, verify

_STAGES = {
    "enrolling": wire.STAGE_ENROLLING,
    "gathering": wire.STAGE_GATHERING,
    "open": wire.STAGE_OPEN,
    "summing": wire.STAGE_SUMMING,
    "finished": wire.STAGE_FINISHED,
    "failed": wire.STAGE_FAILED,
}


class Superseded(ProtocolError):
    """The message was in order, but the run has moved on: its sender waits for the next announcement."""


class Engine:
    """One run's state machine over its durable store."""

    def __init__(self, store: Store, config: RunConfig, roster: Roster, now: Callable[[], float]) -> None:
        self._store, self._config, self._roster, self._now = store, config, roster, now
        self._digest = config.digest()
        self._absent: set[int] = set()  # missed a deadline; not waited for until they show up again
        self._log = get_logger().bind(run=config.run)
        self._round_began = now()
        self.round_seconds: list[float] = []  # of this process; from gathering to published
        self.version = 0  # grows with every change; watchers wait on it
        self._deadline = self._deadline_of_stage()

    # -- what nodes ask ------------------------------------------------------------------------------

    def state(self) -> wire.RunState:
        """The announcement every watcher gets."""
        at = self._store.position()
        state = wire.RunState(
            stage=_STAGES[at.stage],
            round=at.round,
            attempt=at.attempt,
            published_round=self._store.last_published(),
            reason=at.reason,
        )
        if at.stage in ("open", "summing"):
            state.cohort.extend(self.cohort(at.round, at.attempt))
        return state

    def cohort(self, round_number: int, attempt: int) -> list[wire.ReadyToken]:
        """The signed tokens of an attempt's cohort, ascending by node."""
        tokens = self._store.tokens(round_number, attempt, cohort=True)
        return [wire.ReadyToken.FromString(token) for token in tokens.values()]

    def enrolments(self) -> list[wire.Enrolment]:
        """All enrolments, once enrolment has closed.

        Raises:
            ProtocolError: It is still open.
        """
        if self._store.position().stage == "enrolling":
            raise ProtocolError("enrolment is still open")
        return [wire.Enrolment.FromString(raw) for raw, _ in self._store.members().values()]

    # -- what nodes say ------------------------------------------------------------------------------

    def enrol(self, message: wire.Enrolment) -> None:
        """Admit a node, or confirm an earlier admission.

        Raises:
            ProtocolError: Not a member of this run, too late, or enrolled before with another pad key.
            IntegrityError: The signature is not the roster key's.
        """
        self._belongs(message.run, message.config_digest, message.node)
        signed = messages.enrolment(message.run, message.config_digest, message.node, message.pad_key)
        self._verify(message.node, signed, message.signature)
        known = self._store.members().get(message.node)
        if known:
            self._absent.discard(message.node)  # a node that comes back is waited for again
            if wire.Enrolment.FromString(known[0]).pad_key != message.pad_key:
                raise ProtocolError(
                    f"node {message.node} enrolled before with another pad key: its run folder was lost; "
                    "it can take part again in the next run"
                )
            return
        if self._store.position().stage != "enrolling":
            raise ProtocolError(f"enrolment of run {message.run} is closed")
        self._store.add_member(message.node, message.SerializeToString(deterministic=True))
        self._log.info("enrolled", node=message.node)
        if set(self._store.members()) == set(self._config.nodes):
            self._move("gathering", 1, 1)

    def ready(self, message: wire.ReadyToken) -> None:
        """A node joins the attempt that is gathering (idempotent; a token for another one is refused)."""
        self._admitted(message.run, message.config_digest, message.node)
        signed = messages.ready(
            message.run, message.config_digest, message.round, message.attempt, message.node
        )
        self._verify(message.node, signed, message.signature)
        self._absent.discard(message.node)
        at = self._store.position()
        if (at.round, at.attempt) != (message.round, message.attempt) or at.stage not in (
            "gathering",
            "open",
        ):
            raise Superseded(f"round {message.round} attempt {message.attempt} is not gathering")
        if at.stage == "open":
            if message.node in self._store.tokens(at.round, at.attempt, cohort=True):
                return
            raise Superseded(f"the cohort of round {at.round} attempt {at.attempt} is already fixed")
        self._store.add_token(
            at.round, at.attempt, message.node, message.SerializeToString(deterministic=True)
        )
        self._open_if_complete()

    def leave(self, message: wire.LeaveNotice) -> None:
        """A node leaves for good; an attempt it was in is given up."""
        self._admitted(message.run, message.config_digest, message.node)
        line = (message.reason.splitlines() or [""])[0][:300]
        # Shown on the others' terminals: no control sequences of a stranger's making.
        self._drop(message.node, "".join(c for c in line if c.isprintable()) or "no reason given")

    def decline(self, message: wire.AttemptRef) -> None:
        """A cohort member gives up one attempt (its stored ciphertexts are lost)."""
        self._admitted(message.run, message.config_digest, message.node)
        at = self._store.position()
        if (at.stage, at.round, at.attempt) == ("open", message.round, message.attempt):
            self._give_up(f"node {message.node} declined")

    def expects_upload(self, header: wire.UpdateHeader) -> bool:
        """Whether this upload is wanted; False when it is already complete.

        Raises:
            ProtocolError: Wrong round, attempt, cohort, sender or size.
        """
        self._admitted(header.run, header.config_digest, header.node)
        at = self._store.position()
        place = f"round {header.round} attempt {header.attempt}"
        if header.node in self._store.uploads(header.round, header.attempt):
            return False
        if (at.stage, at.round, at.attempt) != ("open", header.round, header.attempt):
            raise Superseded(f"{place} is not open for uploads")
        cohort = list(self._store.tokens(at.round, at.attempt, cohort=True))
        if header.node not in cohort:
            raise ProtocolError(f"node {header.node} is not in the cohort of {place}")
        if header.cohort_digest != cohort_digest(cohort):
            raise ProtocolError(f"node {header.node} padded for another cohort in {place}")
        wanted = self._config.phase_of(at.round)[1].parameters
        if wanted and header.parameters != wanted:
            raise ProtocolError(
                f"{header.parameters} parameters announced in {place}, the run config says {wanted}"
            )
        return True

    def uploaded(self, round_number: int, attempt: int, upload: Upload) -> bool:
        """Record a complete upload; True when it was the last one and the sum may begin."""
        at = self._store.position()
        if (at.stage, at.round, at.attempt) != ("open", round_number, attempt):
            raise Superseded(f"round {round_number} attempt {attempt} is not open for uploads")
        others = self._store.uploads(round_number, attempt).values()
        if any((o.chunks, o.parameters) != (upload.chunks, upload.parameters) for o in others):
            raise ProtocolError(f"node {upload.node} sent an update of another size than its peers")
        self._store.add_upload(round_number, attempt, upload)
        if set(self._store.uploads(round_number, attempt)) != set(
            self._store.tokens(at.round, at.attempt, cohort=True)
        ):
            return False
        self._move("summing", round_number, attempt)
        return True

    def is_summing(self, round_number: int, attempt: int) -> bool:
        """Whether the sum of this attempt is still wanted (the run may have failed meanwhile)."""
        at = self._store.position()
        return (at.stage, at.round, at.attempt) == ("summing", round_number, attempt)

    def summed(self, round_number: int, attempt: int, chunks: int, parameters: int) -> None:
        """The encrypted sum is durable: publish it and gather for the next round."""
        last = round_number == self._config.rounds
        self.round_seconds.append(self._now() - self._round_began)
        self._store.publish(round_number, attempt, chunks, parameters, "finished" if last else "gathering")
        self._log.info("published", round=round_number, attempt=attempt)
        self._moved()

    def sum_failed(self, node: int, problem: str) -> None:
        """A stored ciphertext cannot be added: its sender leaves, the attempt is given up."""
        reason = f"sent a ciphertext that cannot be added ({problem})"
        self._drop(node, reason)
        if self._store.position().stage == "summing":
            self._give_up(f"node {node} {reason}")

    def report_digest(self, message: wire.ModelDigest) -> None:
        """Compare model digests across nodes; differing ones end the run."""
        self._admitted(message.run, message.config_digest, message.node)
        signed = messages.model_digest(
            message.run, message.config_digest, message.round, message.node, message.digest
        )
        self._verify(message.node, signed, message.signature)
        if message.round > self._store.last_published():
            raise ProtocolError(f"round {message.round} is not published")
        self._store.add_digest(message.round, message.node, message.digest)
        groups: dict[bytes, list[int]] = {}
        for node, digest in sorted(self._store.digests(message.round).items()):
            groups.setdefault(digest, []).append(node)
        if len(groups) > 1:
            sides = " / ".join(str(nodes) for nodes in groups.values())
            self._fail(f"nodes hold different models after round {message.round}: {sides}")

    # -- time and endings ----------------------------------------------------------------------------

    def tick(self) -> None:
        """Act on a passed deadline."""
        if self._deadline is None or self._now() < self._deadline:
            return
        at = self._store.position()
        if at.stage == "enrolling":
            present = set(self._store.members())
            if len(present) >= self._config.quorum:
                self._absent |= set(self._config.nodes) - present
                self._move("gathering", 1, 1)
            else:
                self._fail(f"only {len(present)} of quorum {self._config.quorum} nodes enrolled in time")
        elif at.stage == "gathering":
            ready = self._store.tokens(at.round, at.attempt)
            self._absent |= set(self._live()) - set(ready)
            if len(ready) >= self._config.quorum:
                self._open_if_complete()
            else:
                self._fail(
                    f"round {at.round}: only {len(ready)} of quorum {self._config.quorum} nodes were ready in time"
                )
        elif at.stage == "open":
            missing = set(self._store.tokens(at.round, at.attempt, cohort=True)) - set(
                self._store.uploads(at.round, at.attempt)
            )
            self._absent |= missing
            self._give_up(f"nodes {sorted(missing)} missed the upload deadline")
        elif at.stage == "finished":
            self._absent |= set(self._live()) - set(self._store.digests(self._config.rounds))

    def settled(self) -> bool:
        """Whether the run is over and every node still there has reported the last round's digest."""
        at = self._store.position()
        if at.stage == "failed":
            return True
        if at.stage != "finished":
            return False
        return set(self._live()) <= set(self._store.digests(self._config.rounds))

    # -- inside --------------------------------------------------------------------------------------

    def _open_if_complete(self) -> None:
        at = self._store.position()
        ready = set(self._store.tokens(at.round, at.attempt))
        if set(self._live()) <= ready and len(ready) >= self._config.quorum:
            self._store.fix_cohort(at.round, at.attempt)
            self._log.info("cohort fixed", round=at.round, attempt=at.attempt, count=len(ready))
            self._moved()

    def _drop(self, node: int, reason: str) -> None:
        self._store.mark_left(node, reason)
        self._log.warning("node left", node=node, problem=reason)
        remaining = [n for n, (_, left) in self._store.members().items() if left is None]
        at = self._store.position()
        if at.stage in ("finished", "failed"):
            return
        if at.stage != "enrolling" and len(remaining) < self._config.quorum:
            self._fail(
                f"node {node} left ({reason}); {len(remaining)} are left, quorum is {self._config.quorum}"
            )
        elif at.stage == "open" and node in self._store.tokens(at.round, at.attempt, cohort=True):
            self._give_up(f"node {node} left: {reason}")
        elif at.stage == "gathering":
            self._open_if_complete()

    def _give_up(self, reason: str) -> None:
        at = self._store.position()
        self._log.warning("attempt given up", round=at.round, attempt=at.attempt, problem=reason)
        self._move("gathering", at.round, at.attempt + 1, reason)

    def _fail(self, reason: str) -> None:
        at = self._store.position()
        self._log.error("run failed", round=at.round, attempt=at.attempt, problem=reason)
        self._move("failed", at.round, at.attempt, reason)

    def _live(self) -> list[int]:
        return [n for n, (_, left) in self._store.members().items() if left is None and n not in self._absent]

    def _move(self, stage: str, round_number: int, attempt: int, reason: str = "") -> None:
        self._store.move(stage, round_number, attempt, reason)
        self._moved()

    def _moved(self) -> None:
        """The stage is another one: tell watchers, and let its own time run. Nothing else resets a deadline."""
        self.version += 1
        self._deadline = self._deadline_of_stage()
        if self._store.position().stage == "gathering":
            self._round_began = self._now()

    def _deadline_of_stage(self) -> float | None:
        at = self._store.position()
        if at.stage in ("summing", "failed"):
            return None
        wait = self._config.deadline_s
        if self._awaits_public_part(at.stage, at.round):
            wait = max(wait, self._config.public_deadline_s)
        return self._now() + wait

    def _awaits_public_part(self, stage: str, round_number: int) -> bool:
        """Whether nodes wait for the panel part of the game before they can be ready, or done."""
        if stage == "finished":
            return all(phase.name != "game" for phase in self._config.phases)
        if stage != "gathering":
            return False
        _, phase = self._config.phase_of(round_number)
        first = round_number == 1 or self._config.phase_of(round_number - 1)[1].name != phase.name
        return phase.name == "game" and first

    def _belongs(self, run: str, config_digest: bytes, node: int) -> None:
        if run != self._config.run or config_digest != self._digest:
            raise ProtocolError(
                f"node {node} speaks of another run configuration than run {self._config.run}"
            )
        if node not in self._config.enrolled:
            raise ProtocolError(f"node {node} is not enrolled in run {run}")

    def _admitted(self, run: str, config_digest: bytes, node: int) -> None:
        self._belongs(run, config_digest, node)
        member = self._store.members().get(node)
        if member is None:
            raise ProtocolError(f"node {node} has not enrolled")
        if member[1] is not None:
            raise ProtocolError(f"node {node} has left run {run}: {member[1]}")

    def _verify(self, node: int, signed: bytes, signature: bytes) -> None:
        try:
            verify(bytes.fromhex(self._roster.member(node).signing_key), signed, signature)
        except IntegrityError:
            raise IntegrityError(f"signature of node {node} does not match its roster key") from None
