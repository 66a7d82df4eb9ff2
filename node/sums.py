"""Verified sums at a node: what goes with its updates."""

from __future__ import annotations

from afml.consortium.run import RunConfig
from afml.consortium.scheme import run_params
from crypto.secret.pads import Pads
from crypto.secret.sumcheck import LinearCheck, SumCheck, Unverified
from node.keys import RunKeys


def sum_check(run: RunConfig, keys: RunKeys, pads: Pads) -> SumCheck:
    """What goes with a node's updates in a run.

    Args:
        run: The run.
        keys: Its keys.
        pads: Of the node.
    """
    return LinearCheck(keys.sum_check, pads, run_params(run)) if run.verified_sums else Unverified()
