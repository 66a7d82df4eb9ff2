"""From an institution's files to its prepared work folder: stored data, people, card."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from afml.consortium import messages
from afml.consortium.card import NodeCard
from afml.consortium.nodekit import NodeKit
from afml.core.config import Settings
from afml.core.errors import GateError, InputError
from afml.core.files import read_secret, sync_folder, write_bytes, write_secret
from afml.core.progress import Step
from afml.data.holdout import HoldoutDraw
from afml.data.kind import DATA_KINDS, Built
from afml.data.people import PeopleTable
from crypto.public.signing import sign
from node.inuse import alone
from node.turnover import require_same
from node.workspace import Workspace

_HOLDOUT_KEY = "holdout.key"
_REFUSED = "refused"


@dataclass(frozen=True)
class Given:
    """What an institution says of its data.

    Attributes:
        kind: Kind of data, a name of `afml.data.kind.DATA_KINDS`.
        options: Of that kind: where the data are and what is wanted of them.
        draw: Who is kept out of training, to evaluate with.
        max_enrolments: See `NodeCard`.
        declare_held_out: Whether the card says how many people are kept out of training.
        others: Whether people may come into the place of those whom runs have enrolled from the folder.
    """

    kind: str
    options: Settings
    draw: HoldoutDraw
    max_enrolments: int = 1
    declare_held_out: bool = False
    others: bool = False


def prepare(kit: NodeKit, work: Workspace, given: Given, progress: Step) -> NodeCard:
    """Build everything a node needs to train.

    Args:
        kit: Signs the card.
        work: Folder to fill; what it holds of an earlier preparation is replaced, its ledger stays.
        given: The data.
        progress: The running step.

    Raises:
        ConfigError: There is no such kind of data.
        InputError: Anything wrong with a file; names the file, the place and the cure. Or a command reads the folder,
            or runs have enrolled other people from it.
    """
    new = not work.root.exists()
    work.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        # All of it is made apart, so that a failure leaves what an earlier preparation made.
        with alone(work), tempfile.TemporaryDirectory(dir=work.root, prefix=".prepare-") as folder:
            draft = Workspace(Path(folder))
            draft.data.mkdir()
            built = _built(draft, work, given, progress)
            if not given.others:
                require_same(work, built.samples)
            if given.draw.seed is not None:
                write_bytes(draft.seeded, b"")
            enrolled = given.draw.enrolled(_holdout_key(work, draft, given.draw), built.samples)
            card = _declare(kit, draft, built, enrolled, given)
            _install(draft, work)
    finally:
        if new and not any(work.root.iterdir()):
            work.root.rmdir()
    return card


def _built(draft: Workspace, work: Workspace, given: Given, progress: Step) -> Built:
    """Read, check and store the data; what a gate lists of whom it refuses is kept, so that somebody can look."""
    kept = work.root / _REFUSED
    shutil.rmtree(kept, ignore_errors=True)  # of another time
    try:
        return DATA_KINDS.get(given.kind).build(draft.data, given.options, progress.note)
    except GateError as refused:
        if refused.listed is not None:
            kept.mkdir(mode=0o700)
            os.replace(refused.listed, kept / refused.listed.name)
        raise


def _declare(kit: NodeKit, draft: Workspace, built: Built, enrolled: NDArray[np.bool_], given: Given) -> NodeCard:
    """Write who takes part, and the signed card that says how many."""
    if not enrolled.any():
        raise InputError("nobody is left to train on", where="--holdout", cure="lower it")
    PeopleTable(built.samples, built.columns, enrolled).save(draft.people)
    if given.declare_held_out and enrolled.all():
        raise InputError("nobody is kept out of training", where="--declare-held-out", cure="raise --holdout")
    card = NodeCard(
        node=kit.node,
        data=built.data,
        enrolled=int(enrolled.sum()),
        held_out=int((~enrolled).sum()) if given.declare_held_out else None,
        max_enrolments=given.max_enrolments,
    )
    signature = sign(kit.signing_key, messages.node_card(card.unsigned()))
    card = card.model_copy(update={"signature": signature.hex()})
    write_bytes(draft.card, card.model_dump_json(indent=2).encode() + b"\n")
    return card


def _install(draft: Workspace, work: Workspace) -> None:
    """Put a finished preparation into the place of the last one; the card, without which no run starts, last."""
    work.card.unlink(missing_ok=True)
    for source in sorted(draft.root.iterdir(), key=lambda path: path == draft.card):
        target = work.root / source.name
        if target.is_dir():
            shutil.rmtree(target)
        os.replace(source, target)
    sync_folder(work.root)


def _holdout_key(work: Workspace, draft: Workspace, draw: HoldoutDraw) -> bytes:
    """Key of the held-out draw: made once, so that preparing again enrols the same people."""
    if draw.simulated_key is not None:
        return draw.simulated_key
    path = work.root / _HOLDOUT_KEY
    if not path.exists():
        path = draft.root / _HOLDOUT_KEY
        write_secret(path, os.urandom(32))
    return read_secret(path)
