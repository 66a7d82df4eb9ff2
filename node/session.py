"""One node through one run: follow the aggregator's announcements, contribute, apply, keep every promise.

The aggregator proposes; the node checks (`node.checks`). It joins an attempt only if the spend fits its
budget and the signed plan, uploads only for a cohort of at least quorum members whose Ready signatures it
has verified itself, and applies only sums of that attempt whose every slot decrypts to an integer.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import (
    AfmlError,
    BudgetError,
    ConfigError,
    IntegrityError,
    ProtocolError,
    TransportError,
)
from afml.core.logging import get_logger
from afml.core.run import Phase, RunConfig
from afml.ledger.receipt import Receipt
from afml.ledger.store import Ledger
from afml.privacy.noise import grid_for, require_cohort
from afml.training.model import TrainedModel
from afml.training.program import Program
from afml.training.step import apply_total, node_update
from afml.wire import federation_pb2 as wire
from crypto.public.attempt import Attempt
from crypto.public.scheme import run_params
from crypto.secret.nodekit import NodeKit
from crypto.secret.outbox import Outbox, Submission
from crypto.secret.update import Pads, UpdateCodec
from node import keys as run_keys
from node import sender
from node.announcements import Announcements
from node.checks import bound_to, require_own_attempt, require_plausible, verified_cohort
from node.client import Client, Superseded
from node.guard import Guard
from node.journal import Journal
from node.witnessing import Witnessing
from node.workspace import Holdings

PUBLIC_MODEL = "public-model"


class Session:
    """The node's part in one run. `run` returns the trained model."""

    def __init__(
        self,
        kit: NodeKit,
        config: RunConfig,
        holdings: Holdings,
        ledger: Ledger,
        journal: Journal,
        client: Client,
        *,
        program: Program | None = None,
        progress: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`program`: what to train; by default the run's models over the holdings."""
        self._kit, self._config, self._client, self._journal = kit, config, client, journal
        self._holdings, self._progress = holdings, progress
        self._guard = Guard(ledger, config, holdings.enrolled_samples)
        self._witnessing = Witnessing(client, ledger, kit.roster)
        self._params = run_params(config)
        self._outbox = Outbox(journal.outbox, self._params)
        self._log = get_logger().bind(run=config.run, node=kit.node)
        self._program = program or Program(config, holdings.panel, holdings.panel_dosage)
        self._applied = 0
        stored = journal.state()
        if stored is not None:
            self._applied, state = stored
            self._program.load_state(state)
        self._keys: run_keys.RunKeys | None = None
        self._codecs: dict[Phase, UpdateCodec] = {}
        self._joined: set[tuple[int, int]] = set()
        self._confirmed: set[int] = set()
        self._news: Announcements | None = None
        for index, phase in enumerate(config.phases):
            if phase.parameters not in (0, made := self._program.parameters(index)):
                raise ConfigError(
                    f"phase {phase.name} declares {phase.parameters} parameters, the model has {made}",
                    where=f"run {config.run}",
                    cure="configure the run with this version of AFML",
                )

    def run(self) -> TrainedModel:
        """Take part until the run is finished. Keys stay in the journal until the caller has saved the model.

        Raises:
            BudgetError: The next round does not fit this node's budget; the node has left the run.
            ProtocolError: The run failed, or a peer broke the protocol.
            IntegrityError: A sum, signature or key did not check out.
        """
        self._client.enrol(run_keys.pad_keys(self._journal).public)
        self._progress("enrolled")
        self._news = self._client.watch()
        for state in self._news:
            self._require_going(state)
            if state.stage == wire.STAGE_ENROLLING:
                continue
            if self._applied and self._keys is None:
                self._report()  # again: it may have died before its last report
            self._catch_up(state.published_round)
            if state.stage == wire.STAGE_FINISHED:
                break
            self._follow(state)
        if self._applied != self._config.rounds:
            problem = f"finished after {self._applied} of {self._config.rounds} rounds, says the aggregator"
            raise ProtocolError(problem, where=f"run {self._config.run}")
        return self.model()

    @property
    def complete(self) -> bool:
        """Whether every round is applied and the panel part is there: `model` needs nobody any more."""
        return self._applied == self._config.rounds and self._program.has_public_part

    def model(self) -> TrainedModel:
        """The model as it stands."""
        return self._program.model()

    # -- one announcement ----------------------------------------------------------------------------

    def _follow(self, state: wire.RunState) -> None:
        at = (state.round, state.attempt)
        if state.round != self._applied + 1 or state.round > self._config.rounds:
            return  # an older announcement; a newer one is on its way
        _, phase = self._config.phase_of(state.round)
        try:
            if state.stage == wire.STAGE_GATHERING and at not in self._joined:
                self._begin(phase)
                self._require_budget(state.round)
                self._client.ready(*at)
                self._joined.add(at)
            elif state.stage == wire.STAGE_OPEN and self._kit.node in [t.node for t in state.cohort]:
                self._contribute(state, phase)
        except Superseded as late:
            self._log.warning("too late", round=state.round, attempt=state.attempt, problem=str(late))

    def _contribute(self, state: wire.RunState, phase: Phase) -> None:
        cohort = self._verified_cohort(state.round, state.attempt, state.cohort)
        attempt = Attempt(self._config.run, self._config.digest(), state.round, state.attempt, cohort)
        try:
            submission = self._outbox.find(attempt)
            receipt = self._guard.receipt(attempt)
            if (submission is None) != (receipt is None):
                # Spent but never stored whole (the process died in between), or stored without a spend.
                raise IntegrityError("ledger and stored ciphertexts disagree", where=attempt)
            self._confirm(cohort)
        except (IntegrityError, TransportError) as error:
            self._log.warning(
                "attempt declined", round=state.round, attempt=state.attempt, problem=str(error)
            )
            self._client.decline(state.round, state.attempt)
            return
        if submission is None or receipt is None:
            receipt, submission = self._train(attempt, phase)
        self._progress(f"round {attempt.round}/{self._config.rounds} ({phase.name}): sending")
        sender.send(
            receipt, submission, self._kit.node, self._parameters(attempt.round), self._kit.signing_key,
            self._client,
        )  # fmt: skip

    def _train(self, attempt: Attempt, phase: Phase) -> tuple[Receipt, Submission]:
        """Compute, spend, encrypt and store this node's update; in this order nothing leaves unrecorded."""
        place = f"round {attempt.round}/{self._config.rounds} ({phase.name})"
        self._progress(f"{place}: training")
        try:
            require_cohort(self._config, len(attempt.cohort))
            update, rounding = node_update(
                self._program,
                self._config,
                self._holdings.cohort,
                node=self._kit.node,
                round_number=attempt.round,
            )
        except Exception:  # before the spend: it costs nothing here, and nobody need wait for the deadline
            with contextlib.suppress(AfmlError):
                self._client.decline(attempt.round, attempt.number)
            raise
        self._require_wanted(attempt)
        try:
            receipt = self._guard.spend(attempt)
        except BudgetError as error:
            self._leave(error)
            raise
        self._progress(f"{place}: encrypting")
        return receipt, sender.store(receipt, attempt, update, self._codec(phase), self._outbox, rounding)

    def _catch_up(self, published: int) -> None:
        """Apply every published sum that is not applied yet, in order."""
        while self._applied < min(published, self._config.rounds):
            round_number = self._applied + 1
            _, phase = self._config.phase_of(round_number)
            self._begin(phase)
            header, payloads = self._client.fetch(round_number)
            cohort = self._verified_cohort(round_number, header.attempt, header.cohort)
            total = self._decode(round_number, header.attempt, cohort, payloads)
            apply_total(self._program, self._config, round_number, cohort, total)
            self._applied = round_number
            self._journal.keep_state(round_number, self._program.state())
            self._report()
            self._progress(f"round {round_number}/{self._config.rounds} ({phase.name}): applied")

    def _decode(
        self, round_number: int, number: int, cohort: tuple[int, ...], payloads: Iterable[bytes]
    ) -> NDArray[np.int64]:
        """The exact sum of an attempt, refused unless it is this attempt's and possible."""
        _, phase = self._config.phase_of(round_number)
        try:
            own = self._own_chunks(round_number, number, cohort)
            bound = bound_to(payloads, own, len(cohort), self._params)
            total = self._codec(phase).decode(bound, self._parameters(round_number))
            require_plausible(self._config, phase, cohort, total)
        except (IntegrityError, ProtocolError) as error:
            self._log.error("sum refused", round=round_number, attempt=number, problem=str(error))
            self._leave(error)
            raise
        return total

    def _own_chunks(self, round_number: int, number: int, cohort: tuple[int, ...]) -> Iterable[bytes] | None:
        if not require_own_attempt(self._kit.node, round_number, number, cohort, self._guard.spends()):
            return None
        attempt = Attempt(self._config.run, self._config.digest(), round_number, number, cohort)
        try:
            submission = self._outbox.find(attempt)
        except IntegrityError:
            submission = None
        if submission is None:
            self._log.warning("sent ciphertexts are gone", round=round_number, attempt=number)
            return None
        return (payload for _, payload in submission.chunks())

    # -- the panel part ------------------------------------------------------------------------------

    def _begin(self, phase: Phase) -> None:
        """What a phase needs first: the keys of the run, and for the game its panel part."""
        _ = self._secrets
        if phase.name == "game":
            self._require_public_part()

    def _require_public_part(self) -> None:
        """The panel part of the game: made once, by the lowest node of the last cohort, and sent to all."""
        if self._program.has_public_part:
            return
        elected = min(self._last_cohort())
        if self._kit.node == elected:
            blob = self._journal.public_model()
            if blob is None:
                self._progress("training masker and identifier on the public panel")
                blob = self._program.train_public(progress=self._public_progress)
                self._journal.keep_public_model(blob)
            for node in self._secrets.pad_secrets:
                run_keys.send_sealed(self._client, self._kit, self._config, node, PUBLIC_MODEL, blob)
        else:
            self._progress(f"waiting for node {elected} to train on the public panel")
            blob = run_keys.receive_sealed(
                self._client, self._kit, self._config, elected, PUBLIC_MODEL,
                wait_s=self._config.public_deadline_s, waiting=self._require_going,
            )  # fmt: skip
        self._program.load_public(blob)
        self._journal.keep_state(self._applied, self._program.state())

    def _last_cohort(self) -> tuple[int, ...]:
        """Nodes in the last published sum: still there a moment ago; before the first one, all that enrolled."""
        if not self._applied:
            return (self._kit.node, *self._secrets.pad_secrets)
        header, _ = self._client.fetch(self._applied)
        return self._verified_cohort(self._applied, header.attempt, header.cohort)

    def _public_progress(self, done: int, total: int) -> None:
        if done % max(1, total // 10) == 0:
            self._progress(f"public game: step {done} of {total}")

    # -- checks --------------------------------------------------------------------------------------

    def _report(self) -> None:
        """Tell the keyed digest of the model; after the last round the panel part belongs to it."""
        if self._applied == self._config.rounds:
            self._require_public_part()
            self._countersign()
        digest = self._secrets.digest_of(self._program.digest())
        self._client.report_digest(self._applied, digest)

    def _countersign(self) -> None:
        """Peers vouch for each other's ledgers, this run's last spend included, while all are still here."""
        self._progress("exchanging countersignatures of ledgers")
        try:
            self._witnessing.exchange("end", sorted(set(self._last_cohort()) - {self._kit.node}))
        except IntegrityError as error:
            self._log.error("countersignatures refused", problem=str(error))
            self._leave(error)
            raise

    def _require_going(self, state: wire.RunState | None = None) -> None:
        """End this node's part when the run has failed."""
        state = state or (self._news.latest if self._news else None)
        if state is not None and state.stage == wire.STAGE_FAILED:
            raise ProtocolError(state.reason, where=f"run {self._config.run}")

    def _require_wanted(self, attempt: Attempt) -> None:
        """A last look before the spend: an attempt that was given up meanwhile is not paid for."""
        latest = self._news.latest if self._news else None
        if latest is not None and (latest.round, latest.attempt) != (attempt.round, attempt.number):
            raise Superseded("was given up during training", where=attempt)

    def _require_budget(self, round_number: int) -> None:
        try:
            self._guard.check(round_number)
        except BudgetError as error:
            self._leave(error)
            raise

    def _leave(self, error: AfmlError) -> None:
        with contextlib.suppress(AfmlError):  # what made it leave matters more
            self._client.leave(f"node {self._kit.node}: {error}")

    def _verified_cohort(
        self, round_number: int, attempt: int, tokens: Iterable[wire.ReadyToken]
    ) -> tuple[int, ...]:
        return verified_cohort(self._config, self._kit.roster, round_number, attempt, tokens)

    def _parameters(self, round_number: int) -> int:
        return self._program.parameters(self._config.phase_of(round_number)[0])

    # -- keys ----------------------------------------------------------------------------------------

    @property
    def _secrets(self) -> run_keys.RunKeys:
        if self._keys is None:
            self._keys = run_keys.agree(
                self._client, self._kit, self._config, self._journal, self._params, self._require_going
            )
            self._progress("keys agreed")
        return self._keys

    def _confirm(self, cohort: tuple[int, ...]) -> None:
        peers = set(cohort) - {self._kit.node} - self._confirmed
        run_keys.confirm(self._client, self._kit, self._config, self._secrets, sorted(peers))
        self._confirmed |= peers

    def _codec(self, phase: Phase) -> UpdateCodec:
        if phase not in self._codecs:
            secrets = self._secrets
            pads = Pads(self._kit.node, self._config.digest(), secrets.pad_secrets)
            grid = grid_for(self._config, phase).grid
            self._codecs[phase] = UpdateCodec(self._params, grid, secrets.run_key(self._params), pads)
        return self._codecs[phase]
