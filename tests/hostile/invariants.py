"""What no history may break, whoever moves; `tests.hostile.moves` has the moves."""

from __future__ import annotations

import math
import re
import shutil

from hypothesis.stateful import RuleBasedStateMachine, invariant

from afml.core.errors import AfmlError
from afml.ledger.checkpoint import parse
from afml.ledger.verify import Evidence, verify
from crypto.public.signing import public_bytes
from tests.hostile.world import LIFETIME, Consortia, World

_FORGOT = ("rolled back", "forked", "deleted", "begun anew", "begin a ledger", "took part in")


class Invariants(RuleBasedStateMachine):
    """One history and what must hold after every move of it."""

    consortia: Consortia

    def __init__(self) -> None:
        super().__init__()
        self.world = World(self.consortia, refuses=frozenset({2}))

    def teardown(self) -> None:
        """Tampering is named, given one honest peer's note."""
        try:
            self._tampering_is_named()
        finally:
            self.world.close()

    def check(self) -> None:
        """All that must hold, now."""
        self.nobody_leaks_beyond_the_policy()
        self.who_is_at_two_institutions_leaks_no_more_from_both()
        self.who_withdrew_leaks_nothing_more()
        self.who_paid_has_the_sum()
        self.no_honest_ledger_is_accused()

    # What must hold

    @property
    def after_withdrawal(self) -> dict[tuple[int, int], float]:
        return self.__dict__.setdefault("_after_withdrawal", {})

    @invariant()
    def nobody_leaks_beyond_the_policy(self) -> None:
        for site in self.world.sites.values():
            worst = math.sqrt(max(site.leaked.values()))
            assert worst <= LIFETIME * (1 + 1e-9), f"node {site.node}: {worst} of {LIFETIME}"

    @invariant()
    def who_is_at_two_institutions_leaks_no_more_from_both(self) -> None:
        if self.world.together is not None:
            assert self.world.together.sigma <= LIFETIME * (1 + 1e-9)

    @invariant()
    def who_withdrew_leaks_nothing_more(self) -> None:
        for (node, person), before in self.after_withdrawal.items():
            assert self.world.sites[node].leaked[person] == before

    @invariant()
    def who_paid_has_the_sum(self) -> None:
        for site in self.world.sites.values():
            for seat in site.seats.values():
                assert seat.bent or not seat.paid

    @invariant()
    def no_honest_ledger_is_accused(self) -> None:
        innocent = {n: site.kit.origin for n, site in self.world.sites.items() if not site.careless}
        for text, judge in self.world.accused:
            named = re.search(r"node (\d+), (afml/\w+)", text)
            if named and any(word in text for word in _FORGOT):
                assert int(named[1]) not in innocent, f"node {judge.node} says: {text}"
                assert named[2] not in innocent.values(), f"node {judge.node} says: {text}"

    def _remember_heads(self) -> None:
        careless = self.world.sites[1]
        for node in (2, 3):
            try:
                note = self.world.sites[node].known(careless.kit.origin)
            except AfmlError:
                continue
            if note:
                self.__dict__.setdefault("_notes", []).append(note)

    def _tampering_is_named(self) -> None:
        site, found = self.world.sites[1], self.__dict__.get("_notes", [])
        site.stop()
        if not found or not (site.work.ledger / "ledger.db").exists():
            return
        newest = max(found, key=lambda note: parse(note).size)
        copy = self.world.root / "copy"
        shutil.copytree(site.work.ledger, copy)
        if not (copy / "ledger.db").exists():
            return
        result = verify(copy, key=public_bytes(site.kit.signing_key), evidence=Evidence(heads=[newest]))
        size = result.entries
        if size < parse(newest).size:
            assert result.has("rolled-back"), result.findings
