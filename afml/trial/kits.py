"""The kits of a whole consortium, made on one machine in the way that parties apart would make them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from afml.consortium import installing, ownkeys, provision
from afml.consortium.authority import CERTIFICATE_DAYS
from afml.consortium.request import REQUEST
from afml.consortium.roster import Roster
from afml.core.files import staged_folder


def make_kits(
    out: Path,
    consortium: str,
    nodes: int | Sequence[str],
    hosts: Sequence[str] = ownkeys.DEFAULT_HOSTS,
    *,
    days: int = CERTIFICATE_DAYS,
    like: Path | None = None,
) -> Roster:
    """Make `out/node-1`, ..., `out/aggregator`, `out/coordinator`: keys, requests, answers, installed.

    Args:
        out: A folder; it appears whole or not at all.
        consortium: Its name.
        nodes: How many institutions, or their names.
        hosts: DNS names and addresses under which the aggregator is reached.
        days: Validity of the certificates.
        like: Kits that were made in this way; their nodes and aggregator keep their keys, the coordinator is another.

    Raises:
        InputError: A name or host cannot be one.
    """
    names = [f"node-{number}" for number in range(1, nodes + 1)] if isinstance(nodes, int) else list(nodes)
    with staged_folder(out) as staged:
        kits = {f"node-{number}": ownkeys.Party("node", name) for number, name in enumerate(names, start=1)}
        kits["aggregator"] = ownkeys.Party("aggregator", "aggregator", tuple(hosts))
        for folder, party in kits.items():
            if like is None:
                ownkeys.make(staged / folder, party)
            else:
                ownkeys.make_like(staged / folder, like / folder)
        ownkeys.make(staged / "coordinator", ownkeys.Party("coordinator", "coordinator"))
        requests, answers = [staged / folder / REQUEST for folder in kits], staged / "answers"
        roster = provision.found(requests, staged / "coordinator", answers, consortium=consortium, days=days)
        for folder in kits:
            installing.install(answers / folder, staged / folder)
        shutil.rmtree(answers)
    return roster
