"""One node through one run: follow the aggregator's announcements, contribute, apply, keep every promise.

The aggregator proposes; the node checks. It joins an attempt only if the spend fits its budget, uploads
only for a cohort of at least quorum members whose Ready signatures it has verified itself, and applies
only sums whose every slot decrypts to an integer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import AfmlError, BudgetError, IntegrityError, ProtocolError
from afml.core.logging import get_logger
from afml.core.run import Phase, RunConfig
from afml.ledger.receipt import Receipt
from afml.ledger.store import Ledger
from afml.privacy.noise import grid_for, require_cohort
from afml.training.model import TrainedModel
from afml.training.program import Program
from afml.training.step import apply_total, node_update
from afml.wire import federation_pb2 as wire
from crypto.public import messages
from crypto.public.attempt import Attempt
from crypto.public.scheme import run_params
from crypto.public.signing import verify
from crypto.secret.nodekit import NodeKit
from crypto.secret.outbox import Outbox, Submission
from crypto.secret.update import Pads, UpdateCodec
from node import keys as run_keys
from node import sender
from node.client import Client
from node.guard import Guard
from node.journal import Journal
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

    def run(self) -> TrainedModel:
        """Take part until the run is finished.

        Raises:
            BudgetError: The next round does not fit this node's budget; the node has left the run.
            ProtocolError: The run failed, or a peer broke the protocol.
            IntegrityError: A sum, signature or key did not check out.
        """
        self._client.enrol(run_keys.pad_keys(self._journal).public)
        self._progress("enrolled")
        for state in self._client.watch():
            if state.stage == wire.STAGE_FAILED:
                raise ProtocolError(state.reason, where=f"run {self._config.run}")
            if state.stage == wire.STAGE_ENROLLING:
                continue
            self._catch_up(state.published_round)
            if state.stage == wire.STAGE_FINISHED:
                break
            self._follow(state)
        self._journal.forget_keys()
        return self._program.model()

    # -- one announcement ----------------------------------------------------------------------------

    def _follow(self, state: wire.RunState) -> None:
        at = (state.round, state.attempt)
        if state.round != self._applied + 1:
            return  # an older announcement; a newer one is on its way
        _, phase = self._config.phase_of(state.round)
        if state.stage == wire.STAGE_GATHERING and at not in self._joined:
            self._begin_phase(state.round, phase)
            self._require_budget(phase)
            self._client.ready(*at)
            self._joined.add(at)
        elif state.stage == wire.STAGE_OPEN and self._kit.node in [token.node for token in state.cohort]:
            self._contribute(state, phase)

    def _contribute(self, state: wire.RunState, phase: Phase) -> None:
        cohort = self._verified_tokens(state.round, state.attempt, state.cohort)
        attempt = Attempt(self._config.run, self._config.digest(), state.round, state.attempt, tuple(cohort))
        try:
            submission = self._outbox.find(attempt)
            receipt = self._guard.receipt(attempt)
            if (submission is None) != (receipt is None):
                # Spent but never stored whole (the process died in between), or stored without a spend.
                raise IntegrityError("ledger and stored ciphertexts disagree", where=attempt)
        except IntegrityError as error:
            self._log.warning(
                "attempt declined", round=state.round, attempt=state.attempt, problem=str(error)
            )
            self._client.decline(state.round, state.attempt)
            return
        if submission is None or receipt is None:
            receipt, submission = self._train(attempt, phase)
        self._progress(f"round {attempt.round}/{self._config.rounds} ({phase.name}): sending")
        sender.send(
            receipt, submission, self._kit.node, phase.parameters, self._kit.signing_key, self._client
        )

    def _train(self, attempt: Attempt, phase: Phase) -> tuple[Receipt, Submission]:
        """Compute, spend, encrypt and store this node's update; in this order nothing leaves unrecorded."""
        require_cohort(self._config, len(attempt.cohort))
        place = f"round {attempt.round}/{self._config.rounds} ({phase.name})"
        self._progress(f"{place}: training")
        update, rounding = node_update(
            self._program,
            self._config,
            self._holdings.cohort,
            node=self._kit.node,
            round_number=attempt.round,
        )
        receipt = self._guard.spend(attempt)
        self._progress(f"{place}: encrypting")
        return receipt, sender.store(receipt, attempt, update, self._codec(phase), self._outbox, rounding)

    def _catch_up(self, published: int) -> None:
        """Apply every published sum that is not applied yet, in order."""
        while self._applied < published:
            round_number = self._applied + 1
            _, phase = self._config.phase_of(round_number)
            self._begin_phase(round_number, phase)
            header, payloads = self._client.fetch(round_number)
            cohort = self._verified_tokens(round_number, header.attempt, header.cohort)
            total = self._decode(phase, header, payloads)
            apply_total(self._program, self._config, round_number, cohort, total)
            self._applied = round_number
            state = self._program.state()
            self._journal.keep_state(round_number, state)
            self._client.report_digest(round_number, self._secrets.digest_of(self._program.digest()))
            self._progress(f"round {round_number}/{self._config.rounds} ({phase.name}): applied")

    def _decode(
        self, phase: Phase, header: wire.AggregateHeader, payloads: Iterable[bytes]
    ) -> NDArray[np.int64]:
        place = f"round {header.round}"
        if phase.parameters and header.parameters != phase.parameters:
            raise ProtocolError(
                f"the sum has {header.parameters} parameters, not {phase.parameters}", where=place
            )
        try:
            return self._codec(phase).decode(payloads, header.parameters)
        except IntegrityError as error:
            self._log.error("sum refused", round=header.round, problem=str(error))
            self._leave(error)
            raise

    # -- phases --------------------------------------------------------------------------------------

    def _begin_phase(self, round_number: int, phase: Phase) -> None:
        """Before the first private round of the game: the panel part, made once by the elected node."""
        if phase.name != "game" or self._program.has_public_part:
            return
        elected = min([self._kit.node, *self._secrets.pad_secrets])
        if self._kit.node == elected:
            self._progress("training masker and identifier on the public panel")
            blob = self._program.train_public(progress=self._public_progress)
            for node in self._secrets.pad_secrets:
                run_keys.send_sealed(self._client, self._kit, self._config, node, PUBLIC_MODEL, blob)
        else:
            self._progress(f"waiting for node {elected} to train on the public panel")
            blob = run_keys.receive_sealed(
                self._client,
                self._kit,
                self._config,
                elected,
                PUBLIC_MODEL,
                wait_s=self._config.public_deadline_s,
            )
        self._program.load_public(blob)
        self._journal.keep_state(self._applied, self._program.state())

    def _public_progress(self, done: int, total: int) -> None:
        if done % max(1, total // 10) == 0:
            self._progress(f"public game: step {done} of {total}")

    # -- checks --------------------------------------------------------------------------------------

    def _require_budget(self, phase: Phase) -> None:
        try:
            self._guard.check(phase)
        except BudgetError as error:
            self._leave(error)
            raise

    def _leave(self, error: AfmlError) -> None:
        self._client.leave(f"node {self._kit.node}: {error}")

    def _verified_tokens(
        self, round_number: int, attempt: int, tokens: Iterable[wire.ReadyToken]
    ) -> list[int]:
        """The cohort, each member vouched for by its own signature: the aggregator cannot invent nodes."""
        cohort: list[int] = []
        for token in tokens:
            place = f"round {round_number} attempt {attempt}"
            if (token.round, token.attempt) != (round_number, attempt) or token.node in cohort:
                raise ProtocolError("the aggregator announced a wrong cohort", where=place)
            if token.node not in self._config.enrolled:
                raise ProtocolError(f"node {token.node} is not in this run", where=place)
            signed = messages.ready(
                self._config.run, self._config.digest(), round_number, attempt, token.node
            )
            key = bytes.fromhex(self._kit.roster.member(token.node).signing_key)
            verify(key, signed, token.signature, where=f"ready token of node {token.node}")
            cohort.append(token.node)
        return sorted(cohort)

    # -- codec ---------------------------------------------------------------------------------------

    @property
    def _secrets(self) -> run_keys.RunKeys:
        if self._keys is None:
            self._keys = run_keys.agree(self._client, self._kit, self._config, self._journal, self._params)
            self._progress("keys agreed and confirmed with every peer")
        return self._keys

    def _codec(self, phase: Phase) -> UpdateCodec:
        if phase not in self._codecs:
            secrets = self._secrets
            pads = Pads(self._kit.node, self._config.digest(), secrets.pad_secrets)
            grid = grid_for(self._config, phase).grid
            self._codecs[phase] = UpdateCodec(self._params, grid, secrets.run_key(self._params), pads)
        return self._codecs[phase]
