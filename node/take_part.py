"""An institution's part in one run, from its files to its saved model."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from afml.consortium.card import NodeCard
from afml.consortium.history import load_history
from afml.consortium.nodekit import NodeKit
from afml.consortium.run import RunConfig
from afml.consortium.runfile import load_run
from afml.consortium.space import node_bytes, require_space
from afml.core.errors import AfmlError, ConfigError, TransportError
from afml.core.files import write_bytes
from afml.core.progress import Event, Tell, untold
from afml.training.processes.group import Group
from afml.training.step import Trainer
from afml.training.task import Model
from crypto.secret.backend import Backend, backend
from node.afterwards import evaluated_here, keep_with_model
from node.client import Client
from node.guard import Guard, open_ledger, require_named
from node.inuse import in_use
from node.journal import Journal
from node.keptout import require_evaluated_on_others
from node.party import Party
from node.patience import PATIENCE_S, Patience
from node.policy import Site
from node.policy import load as load_policy
from node.privacy import PrivacyStatement, statement
from node.reach import preflight, reason
from node.recognise import recognise_people
from node.session import Session
from node.witnessing import Witnessing
from node.workspace import Holdings, Workspace, load_holdings


@dataclass(frozen=True)
class Part:
    """What an institution was told to take part with.

    Attributes:
        kit: Folder of its start kit.
        work: Its prepared work folder.
        run_file: run.json, with run.sig beside it.
        address: The aggregator's host:port, or several behind commas, of which one serves at a time.
        wait_s: Seconds to wait for it, at the beginning and whenever it is away.
        bf16: See `TaskKind.open`.
        ledger: Folder of the institution's ledger; by default in the work folder.
        simulation: A seeded run is meant.
        start_model: Folder of the model that the run begins at, where it is not in the work folder.
        stop: Set when this node is to stop: it finishes what it is at, says that it goes, and can be started again.
    """

    kit: Path
    work: Path
    run_file: Path
    address: str
    wait_s: float = PATIENCE_S
    bf16: bool = False
    ledger: Path | None = None
    simulation: bool = False
    start_model: Path | None = None
    stop: threading.Event = field(default_factory=threading.Event, compare=False)


@dataclass(frozen=True)
class Taken:
    """What came of it.

    Attributes:
        run: Name of the run.
        model: Folder of the saved model.
        cost: What its people paid over all runs; None where the run was over before.
        offence: What was found wrong once every round was paid for (`Session.offence`).
        evaluation: How the model does on people kept out here, in one line for the operator; "" for nothing.
    """

    run: str
    model: Path
    cost: PrivacyStatement | None
    offence: AfmlError | None = None
    evaluation: str = ""


def take_part(
    kit: NodeKit,
    part: Part,
    *,
    group: Group | None = None,
    hidden_by: Backend | None = None,
    tell: Tell = untold,
) -> Taken:
    """Check everything, train, save the model, say what it cost.

    Args:
        kit: This node's start kit.
        part: Files and address.
        group: The processes that share each clipped sum.
        hidden_by: How updates are hidden in the sum; by default by the backend that the run names.
        tell: Told what is happening.

    Raises:
        AfmlError: One line; the run can be taken up again unless it says otherwise.
    """
    with in_use(Workspace(part.work)):
        return _take_part(kit, part, group, hidden_by, tell)


def _take_part(kit: NodeKit, part: Part, group: Group | None, hidden_by: Backend | None, tell: Tell) -> Taken:
    run, work = load_run(part.run_file, kit.history), Workspace(part.work)
    kit = kit.under(run)
    site, journal = Site(kit, part.kit, part.simulation), Journal(work.run(run.run))
    journal.require_not_ended()
    if not journal.paid(run.rounds):  # what is paid for is finished, whatever the policy has become
        site.terms(run)
    if journal.state() is None:  # later, a part of it is taken by the run itself
        require_space(part.work, node_bytes(run, hidden_by))
    require_named(part.ledger)
    holdings = checked_holdings(work, run, kit.node, part)
    if journal.over(run.rounds):
        return _finished(work, run, holdings, journal)
    require_evaluated_on_others(work, run, holdings, part.ledger or work.ledger)
    lifetime = site.policy().lifetime.budget
    why = partial(reason, part.address, kit)
    patience = Patience(part.address, part.wait_s, tell, reason=why, stop=part.stop)
    client = Client(part.address, kit, run, patience)
    try:
        with open_ledger(work, kit, part.ledger) as ledger:
            if ledger.plans.held(run.run) is None:
                kit.require_unchanged(run)
            if renamed := recognise_people(ledger, work).renamed:
                tell(Event("waiting", text=f"{renamed} people have spent under other names, which counts"))
            trainer = Trainer(run, holdings.task, holdings.enrolled, group)
            guard = Guard(ledger, run, holdings.names, site.terms)
            party = Party(kit, run, trainer, guard, journal, client, hidden_by or backend(run.backend), tell)
            session = Session(party, Witnessing(party.mailbox, ledger, kit.roster, journal.letters))
            if not journal.paid(run.rounds):
                guard.consider()
            if not session.complete:
                trainer.load_others()
            try:
                model = _train(session, guard, kit, part, client.patience, tell)
            except AfmlError as error:
                if party.ended:
                    _end(session, journal, work.model(run.run), error)
                    guard.close("failed" if session.failed else "left")
                raise
            model.save(work.model(run.run))
            guard.close("finished")
            cost = statement(ledger, lifetime, holdings.names)
            write_bytes(work.privacy(run.run), cost.model_dump_json(indent=2).encode())
            journal.forget_keys()  # last: until here a restart begins where this one stood
    finally:
        client.close()
    keep_with_model(work, run, holdings, cost)
    return Taken(run.run, work.model(run.run), cost, session.offence, evaluated_here(work, run, holdings))


def further_process(part: Part) -> Trainer:
    """What another process of the node computes with; of the kit it reads roster and policy, and no key."""
    run = load_run(part.run_file, load_history(part.kit))
    holdings = load_holdings(Workspace(part.work), run, start_model=part.start_model, rules=load_policy(part.kit).run)
    return Trainer(run, holdings.task, holdings.enrolled)


def checked_holdings(work: Workspace, run: RunConfig, node: int, part: Part) -> Holdings:
    """The task over a work folder that is the one the run was configured from.

    Raises:
        ConfigError: It is not; says what differs.
    """
    card = declared_card(work, run, node, part.run_file)
    require_enrolments(run, card.max_enrolments, part.run_file)
    holdings = load_holdings(work, run, bf16=part.bf16, start_model=part.start_model, rules=load_policy(part.kit).run)
    if len(holdings.enrolled) != run.enrolled[node]:
        raise ConfigError(
            f"holds {len(holdings.enrolled)} enrolled people, the run declares {run.enrolled[node]}",
            where=work.people,
            cure="run `afml prepare` again and configure a new run from its card",
        )
    return holdings


def declared_card(work: Workspace, run: RunConfig, node: int, where: object) -> NodeCard:
    """The card of a work folder that is the one the run was configured from.

    Args:
        work: The folder.
        run: The run.
        node: Whose it is.
        where: The run file, to blame.

    Raises:
        ConfigError: It is not; says what differs.
    """
    work.require_prepared()
    card, enrolled = NodeCard.load(work.card), run.enrolled.get(node)
    if enrolled is None:
        cure = "have it made from this site's card too (`afml configure`)"
        raise ConfigError(f"does not enrol node {node}, which this site is", where=where, cure=cure)
    work.require_drawn_for(run)
    declared = card.people(run.people)
    if card.node != node:
        problem = f"is the work folder of node {card.node}, and the kit that of node {node}"
        raise ConfigError(problem, where=work.root, cure="give --work and --kit of one institution")
    if (card.node, declared, card.data) != (node, enrolled, run.data):
        raise ConfigError(
            f"the run declares {enrolled} people at node {node}, this work folder's card says {declared} "
            f"({card.data.named} / {run.data.named})",
            where=where,
            cure="give the coordinator the present card.json and configure the run again",
        )
    return card


def require_enrolments(run: RunConfig, most: int, where: object) -> None:
    """Refuse a run whose noise is made for people at fewer institutions than this one's card says.

    Args:
        run: The run.
        most: Institutions that one of its people may be enrolled at, by its card.
        where: The run file, to blame.

    Raises:
        ConfigError: It is.
    """
    if run.enrolments_per_person < min(most, len(run.enrolled)):
        raise ConfigError(
            f"the run's noise is made for people enrolled at {run.enrolments_per_person} institutions at most, this "
            f"work folder's card says {most}",
            where=where,
            cure="have the coordinator configure it with a larger --max-enrolments",
        )


def _train(
    session: Session, guard: Guard, kit: NodeKit, part: Part, patience: Patience, tell: Tell
) -> Model:  # fmt: skip
    tell(Event("waiting", text=f"looking for the aggregator at {part.address}"))
    try:
        preflight(part.address, kit, Patience(part.address, 0.0) if session.complete else patience)
        if not session.paid:  # only now: an address that nobody answers at must not tie up a budget
            guard.reserve()
        return session.run()
    except TransportError:  # and not Stopped: the next start compares the model and reports it
        if not session.complete:
            raise
        return session.model()  # it died between its last round and saving; the aggregator has stopped since


def _end(session: Session, journal: Journal, model: Path, error: AfmlError) -> None:
    """Nothing of this run is to come: what could still open something goes first, what is paid for is kept.

    A model that could not be saved is made of the journal by the next start (`_finished`).
    """
    if session.complete:
        journal.forget_keys()
        session.model().save(model)
    journal.end(str(error))


def _finished(work: Workspace, run: RunConfig, holdings: Holdings, journal: Journal) -> Taken:
    """A run that is over here: its model is there, or is made of what the journal keeps."""
    stored = journal.state()
    if stored is not None and not work.model(run.run).exists():
        holdings.task.load_state(stored[2])
        holdings.task.model().save(work.model(run.run))
    return Taken(run.run, work.model(run.run), None)
