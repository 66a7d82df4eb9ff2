"""A ledger as files to hand over: JSON, CSV, and one HTML page a privacy officer can file.

No person is in them, by name or by keyed id: the enrolled appear by commitment and number. The page needs
no network, no script and no font.
"""

from __future__ import annotations

import csv
import dataclasses
import io
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from afml.core.bounded import at_least, at_most
from afml.core.config import canonical_json
from afml.core.files import write_bytes
from afml.core.simulation import SIMULATION
from afml.ledger.findings import CODES, Verification
from afml.ledger.summary import EnrolmentSummary, PlanLine, Summary
from afml.ledger.told import iso

COLUMNS = (
    "index", "time", "kind", "run", "round", "attempt", "phase", "cohort", "noise", "sample_rate",
    "noise_multiplier", "broken_multiplier", "clip_norm", "people", "enrolment", "epsilon", "delta",
    "ple_sigma", "accountant", "insecure",
)  # fmt: skip


def export(summary: Summary, verification: Verification, out: Path, name: str = "") -> list[Path]:
    """Write ledger.json, ledger.csv and ledger.html into `out`; return their paths.

    Args:
        summary: The ledger.
        verification: What was found in it.
        out: A folder.
        name: Of the institution, where it is known.
    """
    files = {
        "ledger.json": canonical_json(to_json(summary, verification)) + b"\n",
        "ledger.csv": to_csv(summary).encode(),
        "ledger.html": to_html(summary, verification, name).encode(),
    }
    for name, data in files.items():
        write_bytes(out / name, data)
    return [out / name for name in files]


def to_json(summary: Summary, verification: Verification) -> dict[str, Any]:
    """Everything, as JSON values."""
    return {
        "origin": summary.origin,
        "checkpoint": summary.checkpoint,
        "insecure": summary.insecure,
        "withdrawals": summary.withdrawals,
        "policy": summary.policies[-1]["policy"] if summary.policies else None,
        "policy_changes": len(summary.policies),
        "plans": [_plan(plan) for plan in summary.plans],
        "enrolments": [_enrolment(enrolment) for enrolment in summary.enrolments],
        "entries": list(summary.bodies),
        "verification": {
            "ok": verification.ok,
            "entries": verification.entries,
            "root": verification.root,
            "checked": verification.checked,
            "unchecked": verification.unchecked,
            "findings": [dataclasses.asdict(finding) for finding in verification.findings],
            "agreements": [dataclasses.asdict(agreement) for agreement in verification.agreements],
        },
    }


def _enrolment(enrolment: EnrolmentSummary) -> dict[str, Any]:
    balance = enrolment.balance
    return {
        "enrolment": enrolment.name,
        "people": enrolment.people,
        "insecure": enrolment.insecure,
        "epsilon": enrolment.total and enrolment.total.epsilon,
        "delta": enrolment.total and enrolment.total.delta,
        "ple_sigma": enrolment.total and enrolment.total.sigma,
        "epsilon_if_aggregation_broken": enrolment.broken and enrolment.broken.epsilon,
        "accountant": SIMULATION if enrolment.total is None else enrolment.total.accountant,
        "fixed_plan": enrolment.fixed_plan
        and {"epsilon": enrolment.fixed_plan.epsilon, "ple_sigma": enrolment.fixed_plan.sigma},
        "budget": balance and balance.budget.model_dump(mode="json", exclude_none=True),
        "spent": enrolment.total and enrolment.total.sigma,
        "committed": balance and balance.spent,
        "left": balance and balance.left,
        "runs": [
            {
                "run": run.run,
                "rounds": len(run.rounds),
                "noise": run.noise,
                "insecure": run.insecure,
                "epsilon": run.own and run.own.epsilon,
                "ple_sigma": run.own and run.own.sigma,
                "ple_interval": [run.audited, run.own and run.own.sigma],
                "epsilon_if_aggregation_broken": run.broken and run.broken.epsilon,
            }
            for run in enrolment.runs
        ],
    }


def _plan(plan: PlanLine) -> dict[str, Any]:
    return {
        "run": plan.run, "people": plan.people, "time": plan.time, "expires": plan.expires,
        "insecure": plan.planned is None, "ple_sigma": plan.planned and plan.planned.sigma,
        "epsilon": plan.planned and plan.planned.epsilon, "state": plan.state,
        "approved": plan.approved,
    }  # fmt: skip


def to_csv(summary: Summary) -> str:
    """One line per entry, COLUMNS; a field that an entry does not have is empty."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for body in summary.bodies:
        row: dict[str, Any] = {**body, "time": iso(body["time_ms"])}
        if isinstance(mechanism := body.get("mechanism"), dict):
            row |= {"sample_rate": 1.0, **mechanism, "kind": body["kind"]}
        if isinstance(claim := body.get("claim"), dict):
            row |= claim
        if isinstance(nodes := body.get("cohort"), list):
            row["cohort"] = " ".join(map(str, nodes))
        writer.writerow(row)
    return out.getvalue()


def to_html(summary: Summary, verification: Verification, name: str = "") -> str:
    """The page; `name` is what people call the institution."""
    environment = Environment(
        loader=PackageLoader("afml.ledger"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    template = environment.get_template("ledger.html.j2")
    rounded = {"at_most": at_most, "at_least": at_least}
    return template.render(s=summary, v=verification, codes=CODES, iso=iso, simulation=SIMULATION, name=name, **rounded)
