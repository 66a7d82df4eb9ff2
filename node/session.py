"""One node through one run: follow the aggregator's announcements, contribute, apply, keep every promise.

The aggregator proposes; the node checks (`node.checks`). It joins an attempt only if the spend fits its
budget and the signed plan, uploads only for a cohort of at least quorum members whose Ready signatures it
has verified itself, and applies only sums of that attempt whose every slot decrypts to an integer.
"""

from __future__ import annotations

from afml.consortium.attempt import Attempt
from afml.consortium.reasons import Reason
from afml.consortium.stage import Stage
from afml.core.errors import ConfigError, IntegrityError, Outdated, ProtocolError, Stopped, Superseded, Twin
from afml.core.progress import Event
from afml.training.task import Model
from afml.wire import federation_pb2 as wire
from node import keys as run_keys
from node.catchup import CatchUp
from node.contribution import Contribution
from node.late import require_place
from node.party import Party
from node.patience import utc_now
from node.witnessing import Witnessing


class Session:
    """The node's part in one run. `run` returns the trained model."""

    def __init__(self, party: Party, witnessing: Witnessing) -> None:
        """A party that has nothing but its start kit and its data, or stands where it stood before a restart.

        Raises:
            ConfigError: The run declares other lengths of updates than the task has.
        """
        self._party = party
        self._contribution = Contribution(party, witnessing)
        self._catchup = CatchUp(party, witnessing, self._contribution.begin)
        for index, phase in enumerate(party.run.phases):
            if phase.parameters not in (0, made := party.task.length(index)):
                raise ConfigError(
                    f"phase {phase.name} declares {phase.parameters} parameters, the model has {made}",
                    where=f"run {party.run.run}",
                    cure="configure the run with this version of AFML",
                )

    def run(self) -> Model:
        """Take part until the run is finished. Keys stay in the journal until the caller has saved the model.

        Raises:
            Stopped: This node was asked to stop. It has finished what it had spent on, and can be started again.
            BudgetError: The next round does not fit this node's budget; the node has left the run.
            ProtocolError: The run failed, or a peer broke the protocol.
            Twin: Another process takes part for this node; the node is still in the run.
            Outdated: Others have more of this node's ledger or updates than its work folder; it is still in the run.
            IntegrityError: A sum, signature or key did not check out.
        """
        try:
            return self._run()
        except (Stopped, Twin, Outdated):
            self._party.client.away(self._party.lease)
            raise

    def _run(self) -> Model:
        party = self._party
        try:
            party.client.enrol(run_keys.pad_keys(party.journal, party.run.key_agreement).public, party.lease)
        except ProtocolError as refused:
            if not isinstance(refused, Twin):
                require_place(party)
            raise
        party.tell(Event("enrolled"))
        party.news = party.client.watch()
        for state in party.news:
            party.require_going(state)
            stage = Stage.of(state.stage)
            if stage is Stage.ENROLLING:
                continue
            if party.applied == party.run.rounds and not party.has_keys:
                self._catchup.report()  # again: it may have died before its last report
            self._catchup.up_to(state.published_round)
            if stage is Stage.FINISHED:
                break
            self._follow(stage, state)
        if party.applied != party.run.rounds:
            problem = f"finished after {party.applied} of {party.run.rounds} rounds, says the aggregator"
            raise ProtocolError(problem, where=f"run {party.run.run}")
        return self.model()

    @property
    def offence(self) -> IntegrityError | None:
        """What was found wrong after the last round: a ledger that has forgotten something, or a model of nobody else.

        The aggregator could withhold the letters in which models are compared, and be gone: a model that no other
        member has said to hold is this node's and the aggregator's word.
        """
        if self._catchup.offence is not None or not self.paid or self._catchup.compared:
            return self._catchup.offence
        return IntegrityError(
            "no other institution has said that it holds this model",
            where=f"run {self._party.run.run}, round {self._party.applied}",
            cure="before it is used, compare the digest of its card with the others', not through the aggregator",
        )

    @property
    def complete(self) -> bool:
        """Whether every round is applied and the public part is there: `model` needs nobody any more."""
        return self.paid and self._party.task.has_public_part

    @property
    def paid(self) -> bool:
        """Whether every round is applied, so that nothing more will be spent."""
        return self._party.applied == self._party.run.rounds

    @property
    def failed(self) -> bool:
        """Whether the aggregator has announced that the run failed, which is for good."""
        news = self._party.news
        return news is not None and news.latest is not None and Stage.of(news.latest.stage) is Stage.FAILED

    def model(self) -> Model:
        """The model as it stands."""
        return self._party.task.model()

    def _follow(self, stage: Stage | None, state: wire.RunState) -> None:
        party, attempt = self._party, Attempt(state.round, state.attempt)
        if attempt.round != party.applied + 1 or attempt.round > party.run.rounds:
            return  # an older announcement; a newer one is on its way
        held = stage is Stage.PAUSED and Reason.of(state.cause.reason) is Reason.HELD
        if stage is Stage.PAUSED:
            party.tell(Event("waiting", text=f"{utc_now()} the run is paused: {party.why(state)}"))
        try:
            if stage is Stage.GATHERING or (stage is Stage.PAUSED and not held):
                self._contribution.join(attempt)
            elif stage is Stage.OPEN and party.kit.node in [token.node for token in state.cohort]:
                self._contribution.contribute(attempt, list(state.cohort))
        except Superseded as late:
            party.log.warning("too late", round=attempt.round, attempt=attempt.number, problem=str(late))
