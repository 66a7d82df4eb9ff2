"""An institution ends its part in a run, by its operator's word: said to all, signed, and closed in its ledger."""

from __future__ import annotations

from afml.consortium.nodekit import NodeKit
from afml.consortium.reasons import Reason
from afml.consortium.run import RunConfig
from afml.consortium.runfile import load_run
from afml.core.errors import ProtocolError
from afml.core.progress import Tell, untold
from node.client import LAST_WORDS_S, Client
from node.guard import open_ledger
from node.inuse import in_use
from node.journal import Journal
from node.memory import keep_in_kit
from node.patience import Patience
from node.reach import preflight
from node.take_part import Part
from node.workspace import Workspace


def leave(kit: NodeKit, part: Part, *, tell: Tell = untold) -> RunConfig:
    """Leave the run for good, at the aggregator and in this institution's ledger; keys and ciphertexts of it go.

    Cut off on the way, it can be done again: the aggregator confirms what it has been told.

    Args:
        kit: This node's start kit.
        part: Files and address; nobody waits for an aggregator that is away for longer than a minute.
        tell: Told what is happening.

    Raises:
        ProtocolError: The node has the model already, or the aggregator knows nothing of it.
        TransportError: The aggregator does not answer: nothing has changed.
        InputError: The node is running.
    """
    run, work = load_run(part.run_file, kit.history), Workspace(part.work)
    kit = kit.under(run)
    with in_use(work):
        journal = Journal(work.run(run.run))
        journal.require_not_ended()
        if journal.paid(run.rounds):
            raise ProtocolError(
                "every round is paid for: there is nothing to leave",
                where=f"run {run.run}",
                cure="let `afml node` fetch the model",
            )
        with open_ledger(work, kit, part.ledger) as ledger:  # first: nobody is told what cannot be written down here
            client = Client(part.address, kit, run, Patience(part.address, min(part.wait_s, LAST_WORDS_S), tell))
            try:
                preflight(part.address, kit, client.patience)
                client.leave(Reason.BY_HAND)
            finally:
                client.close()
            ledger.plans.close(run.run, run.digest().hex(), "left")
            keep_in_kit(kit, ledger)
        journal.end("its operator ended its part")
    return run
