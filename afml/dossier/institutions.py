"""The institutions of a consortium in a row each: people, rounds, epsilon and PLE, releases; and what is not added up.

Figures of one institution are about people enrolled there. No number here is a sum over institutions but that of
people, and that only where a run counts nobody twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from afml.dossier.compared import ledgers_of
from afml.dossier.packs import Pack
from afml.dossier.standalone import Ledger, keys_of
from afml.dossier.statements import LedgerLeaf

_BUDGET = ("people", "spent_epsilon", "spent_ple", "delta", "limit", "left", "insecure")
_RELEASE = ("file_digest", "model_digest", "people", "patterns", "min_group_size", "smallest_joint_group")
_PUBLISHED = ("release", "manifest", "met", "missed")
_AGAIN = ("rr", "rr_bound", "attacked", "smallest_joint_group")


def institutions(packs: Sequence[Pack]) -> list[dict[str, Any]]:
    """A row for each ledger, by number on the roster; what a dossier does not say is null."""
    run = next((pack.run for pack in packs if pack.run), None)
    rows = [_row(pack, ledger, run) for pack, ledger in ledgers_of(packs).values()]
    return sorted(rows, key=lambda row: (row["node"], row["ledger"]))


def _row(pack: Pack, ledger: Ledger, run: Mapping[str, Any] | None) -> dict[str, Any]:
    its = [body for body in ledger.bodies if run and body.get("run") == run["run"]]
    spends = [body for body in its if body["kind"] == "spend"]
    ended = [body["reason"] for body in its if body["kind"] == "closing"]
    return {
        "node": ledger.node, "name": ledger.owner, "ledger": ledger.name, "pack": pack.name,
        "entries": len(ledger.leaves), "root": ledger.roots[-1].hex(),
        "enrolled": None if run is None else run["enrolled"].get(str(ledger.node)),
        "people": spends[-1]["people"] if spends else None,
        "rounds": len({body["round"] for body in spends}), "spends": len(spends),
        "ended": ended[0] if ended else None,
        "budgets": [_budget(pack, name) for name in _enrolments(pack, ledger)],
        "releases": [
            {"entry": body["index"], "run": body["run"], **{field: body.get(field) for field in _RELEASE}}
            for body in ledger.of("release")
        ],
        "reassessments": [
            {"entry": body["index"], "run": body["run"], **{field: body.get(field) for field in _AGAIN}}
            for body in ledger.of("reassessment")
        ],
        "publications": [
            {"entry": body["index"], "run": body["run"], **{field: body.get(field) for field in _PUBLISHED}}
            for body in ledger.of("publication")
        ],
        "audited": max((body["mu_lower"] for body in its if body["kind"] == "audit"), default=None),
        "worst_attack": pack.statements.value("attack.worst.rr"),
    }  # fmt: skip


def _enrolments(pack: Pack, ledger: Ledger) -> list[str]:
    """Short names of the enrolments that a ledger charges, as the dossier's budgets are called."""
    limits = [one for one in pack.statements.under("budget") if one.id.endswith(".limit")]
    found = [one for one in limits if isinstance(one.pointer, LedgerLeaf) and one.pointer.ledger == ledger.name]
    return [one.id.split(".")[1] for one in found]


def _budget(pack: Pack, name: str) -> dict[str, Any]:
    limit = pack.statements[f"budget.{name}.limit"]
    said = {field: pack.statements.value(f"budget.{name}.{field}") for field in _BUDGET}
    return {"enrolment": name, "unit": limit.unit, "right_at_most": pack.statements.value(f"odds.{name}"), **said}


def missing(packs: Sequence[Pack]) -> list[dict[str, Any]]:
    """Institutions of the run, or of the roster where there is none, whose ledger is in no pack."""
    runs = [pack.run for pack in packs if pack.run]
    members = {member["node"]: member["name"] for pack in packs for member in pack.check.roster["members"]}
    wanted = sorted({int(node) for run in runs for node in run["enrolled"]}) if runs else sorted(members)
    here = {ledger.node for _, ledger in ledgers_of(packs).values()}
    problem = "took part in the run and has no dossier here" if runs else "has no dossier here"
    return [
        {"node": node, "name": members.get(node, "no longer on the roster"), "problem": problem}
        for node in wanted
        if node not in here
    ]


def unvouched(packs: Sequence[Pack]) -> list[dict[str, Any]]:
    """Whose spends another institution that is here has not countersigned up to the last of the run."""
    run = next((pack.run["run"] for pack in packs if pack.run), None)
    ledgers = [ledger for _, ledger in ledgers_of(packs).values()]
    found = []
    for ledger in ledgers:
        spends = [body["index"] for body in ledger.of("spend") if run in (None, body["run"])]
        for other in ledgers:
            covered = _covered(packs, ledger.name, other.name)
            if other is ledger or not spends or covered > spends[-1]:
                continue
            beyond = sum(index >= covered for index in spends)
            told = (
                f"{other.owner} has countersigned {covered} entries of the ledger of {ledger.owner}, and {beyond} of "
            )
            told += f"its {len(spends)} spends are later"
            found.append(
                {
                    "ledger": ledger.name,
                    "by": other.name,
                    "entries": covered,
                    "spends": beyond,
                    "told": told,
                }
            )
    return found


def _covered(packs: Sequence[Pack], name: str, by: str) -> int:
    """Entries of a ledger under the newest head that the owner of another one has countersigned, as any pack shows."""
    entries = [0]
    for pack in packs:
        whose = {member["name"]: keys_of(member)[1] for member in pack.check.roster["members"]}
        vouchers = pack.check.ledgers[name].vouchers if name in pack.check.ledgers else {}
        entries += [size for voucher, (size, _) in vouchers.items() if whose[voucher] == by]
    return max(entries)


def together(packs: Sequence[Pack], rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What may be said of all institutions together; null what may not, or where they hold different runs."""
    signed = {pack.configuration: pack.run for pack in packs if pack.run}
    run = next(iter(signed.values())) if len(signed) == 1 else None
    budgets = [budget for row in rows for budget in row["budgets"]]
    bounded = bool(budgets) and not any(one["insecure"] for one in budgets)
    once = run is not None and run.get("enrolments_per_person") == 1
    deltas = {one["delta"] for one in budgets}
    return {
        "people": sum(run["enrolled"].values()) if run and once else None,
        "enrolments": sum(run["enrolled"].values()) if run else None,
        "enrolments_per_person": run.get("enrolments_per_person") if run else None,
        "greatest_ple": max(one["spent_ple"] for one in budgets) if bounded else None,
        "greatest_epsilon": max(one["spent_epsilon"] for one in budgets) if bounded and len(deltas) == 1 else None,
        "delta": deltas.pop() if len(deltas) == 1 else None,
    }
