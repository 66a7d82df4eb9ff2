"""Traits released beside the records: whoever knows a person's looks among the records that show just these.

The attacker knows the released traits of every candidate, without error and as coarsely as the release tells them, and
links within each combination of them as others do among everybody.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from afml.core.errors import InputError
from afml.evaluation.attacks.base import Case
from afml.evaluation.attacks.likelihood import LikelihoodLinkage
from afml.evaluation.attacks.masker_aware import MaskerAwareLinkage
from afml.evaluation.attacks.scoring import Linkage, Standing


class KnownTraitsLinkage(Linkage):
    """The better of two linkages, each among the candidates whose released traits are those of the record."""

    name = "known traits"
    guess = "among the candidates with the traits that the release tells of the record, the likeliest or nearest one"
    baseline = False

    def standing(self, case: Case) -> Standing:
        """How the right candidates stand among those with the same traits.

        Raises:
            InputError: The case says nobody's traits.
        """
        if case.traits is None:
            raise InputError("no traits are known", cure="attack a release that tells some")
        file = np.zeros(len(case.traits), np.int64) if case.file is None else case.file
        found = []
        for attack in (LikelihoodLinkage(), MaskerAwareLinkage()):
            alike = _within(case, case.traits, attack)
            home = None
            if case.file is not None:
                home = alike if not file.any() else _within(case, _pairs(file, case.traits), attack)
            found.append(replace(alike, home=home))
        return max(found, key=lambda one: float(one.success().mean()))


def _within(case: Case, kind: NDArray[np.int64], attack: Linkage) -> Standing:
    """How an attack's right candidates stand among those of the same kind.

    The scoring keeps candidates of files apart, and kinds are told apart the same way: one after the other.

    Args:
        case: Records and candidates.
        kind: int64[m], of each candidate.
        attack: Links among all.
    """
    order = np.argsort(kind, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    rows, index = case.masks
    truth = np.where(case.truth < 0, -1, place[case.truth])
    sorted_ = replace(
        case, references=case.references[order], truth=truth, known_masks=(rows, index[order]), file=kind[order],
        traits=None,
    )  # fmt: skip
    found = attack.standing(sorted_).home
    assert found is not None
    return found


def _pairs(left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.int64]:
    """A number for each pair of numbers that there is."""
    return np.unique(np.stack([left, right], axis=1), axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)
