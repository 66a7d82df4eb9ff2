"""`afml policy`: what an institution allows, whoever signs what."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import click
from pydantic import ValidationError

from afml.cli.places import PRIVATE, RUN_FILE
from afml.consortium.nodekit import NodeKit, load_node_kit
from afml.consortium.roster import Roster
from afml.consortium.runfile import load_run
from afml.core.config import complaint
from afml.core.errors import ConfigError, InputError, PolicyError
from afml.operate.words import counted
from crypto.public.suites import CLASSICAL, HYBRID
from node.guard import looked_into
from node.loosening import looser
from node.policy import ANY, Lifetime, Policy, ReleaseRules, RunRules, Trust, load
from node.policyfile import init as write
from node.quorum import PAIR, USUAL, of_a_pair, unmet, usual, usual_noise
from node.signed import consequences, cost
from node.workspace import Workspace

_PATH = click.Path(path_type=Path)
_POSITIVE = click.FloatRange(0, min_open=True)


@click.group()
def policy() -> None:
    """What this institution allows: the last word on budgets, runs and releases."""


@policy.command()
@click.option("--kit", type=_PATH, required=True, help="This node's start kit; policy.toml is written into it.")
@click.option(
    "--lifetime", type=_POSITIVE, default=0.9, show_default=True, help="PLE of a person over all runs, sigma."
)
@click.option("--run-budget", type=_POSITIVE, help="Largest budget a run may name, sigma.  [default: --lifetime]")
@click.option("--delta", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=1e-5, show_default=True)
@click.option(
    "--quorum", type=click.IntRange(1),
    help=f"Fewest institutions in a sum.  [default: {USUAL}, or {PAIR} where no more are on the roster]",
)  # fmt: skip
@click.option("--rounds", type=click.IntRange(1), default=500, show_default=True, help="Most private rounds of a run.")
@click.option("--task", "tasks", multiple=True, default=("masking",), show_default=True, help=f"Allowed; {ANY}: all.")
@click.option("--trust", type=int, multiple=True, help="Node trusted not to collude; repeat it.")
@click.option("--trust-roster", is_flag=True, help="Trust every institution that is on the roster today.")
@click.option("--short-of-trust", type=click.Choice(["charge", "refuse"]), default="charge", show_default=True)
@click.option("--approval", is_flag=True, help="A person must approve each run.")
@click.option(
    "--days", type=_POSITIVE, default=30.0, show_default=True, help="How long a run may take, pauses included."
)
@click.option("--exact-noise", is_flag=True, help="Noise must be proven to be what is accounted.")
@click.option("--x25519", is_flag=True, help="Allow runs whose recorded traffic a quantum computer would open.")
@click.option("--verified-sums", is_flag=True, help="Nodes must verify every sum before they apply it.")
@click.option("--simulation", is_flag=True, help="Allow seeded runs, which protect nobody.")
@click.option("--no-release", is_flag=True, help="No file may be released.")
@click.option("--min-group-size", type=click.IntRange(1), default=20, show_default=True, help="Of released patterns.")
@click.option(
    "--target-rr", type=click.FloatRange(0, 1, min_open=True), default=1.0, show_default=True,
    help="Share of records that attacks may name in what is published; 1: any.",
)  # fmt: skip
@click.option(
    "--target-utility", type=click.FloatRange(0), default=0.0, show_default=True,
    help="Least utility ratio of what is published; 0: any.",
)  # fmt: skip
def init(
    kit: Path, lifetime: float, run_budget: float | None, delta: float, quorum: int | None, rounds: int,
    tasks: tuple[str, ...], trust: tuple[int, ...], trust_roster: bool, short_of_trust: Literal["charge", "refuse"],
    approval: bool, days: float, exact_noise: bool, x25519: bool, verified_sums: bool, simulation: bool,
    no_release: bool, min_group_size: int, target_rr: float, target_utility: float,
) -> None:  # fmt: skip
    """Write policy.toml, explained line by line in it. Read it and change what is not your institution's will."""
    loaded = load_node_kit(kit)
    institutions = len(loaded.roster.members)
    trusted = [member.node for member in loaded.roster.members] if trust_roster else trust
    try:
        made = Policy(
            lifetime=Lifetime(ple_sigma=lifetime, delta=delta),
            run=RunRules(
                ple_sigma=run_budget or lifetime, delta=delta, rounds=rounds, tasks=tasks,
                quorum=quorum or usual(institutions), noise=usual_noise(institutions),
                approval=approval, reservation_days=days, simulation=simulation, verified_sums=verified_sums,
                key_agreement=(HYBRID, CLASSICAL) if x25519 else (HYBRID,), exact_noise=exact_noise,
            ),
            trust=Trust(signing_keys=_keys(loaded.roster, set(trusted) - {loaded.node}), short_of_trust=short_of_trust),
            release=ReleaseRules(
                allowed=not no_release, min_group_size=min_group_size, target_rr=target_rr,
                target_utility=target_utility,
            ),
        )  # fmt: skip
    except ValidationError as error:
        raise ConfigError(complaint(error), where="policy") from None
    click.echo(f"policy of node {loaded.node}: {write(kit, made, loaded.roster)}")
    click.echo(_told(made))
    for line in filter(None, (of_a_pair(institutions), unmet(made.run.quorum, institutions))):
        click.echo(line)
    if not made.trust.signing_keys and institutions > PAIR:
        click.echo(
            "trusted to add their noise: nobody else, so that only this site's own counts; --trust NODE names others"
        )


@policy.command()
@click.option("--kit", type=_PATH, required=True, help="This node's start kit.")
@click.option("--work", type=PRIVATE, help="Work folder: say in what the policy is looser than its ledger's last one.")
@click.option("--ledger", type=PRIVATE, help="Folder of the institution's one ledger.  [default: WORK/ledger]")
@click.option("--run", "run_file", type=RUN_FILE, help="run.json, signed: say what the policy says to it.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(kit: Path, work: Path | None, ledger: Path | None, run_file: Path | None, as_json: bool) -> None:
    """Read the policy and say what it means; with --run, whether it allows that run. Exit code 3 where it does not.

    With --work also in what it allows more than the policy that the ledger has had in force until now, which is signed.
    """
    if ledger and not work:
        raise ConfigError("goes with --work", where="--ledger", cure="name the work folder too")
    loaded, found = load_node_kit(kit), load(kit)
    before = None if work is None else _before(work, loaded, ledger)
    now = found.model_dump(mode="json")
    more = None if before is None else looser(before, now)
    run = None if run_file is None else load_run(run_file, loaded.history)
    under = loaded if run is None else loaded.under(run)
    refusals = [] if run is None else [one.problem for one in found.refusals(run, under.roster, under.node)]
    if as_json:
        about = None if run is None else cost(found, run, under) | {"refusals": refusals}
        told = {
            "policy": now, "institutions": len(loaded.roster.members),
            **_trusted(found, loaded.roster, loaded.node), "looser": more, "run": about,
        }  # fmt: skip
        click.echo(json.dumps(told, indent=2, allow_nan=False))
    else:
        _print(found, loaded.roster, loaded.node)
        click.echo(_compared(before, now, more, asked=work is not None))
        for line in () if run is None else (*consequences(found, run, under), *(f"refused: {r}" for r in refusals)):
            click.echo(line)
    if run is not None and refusals:
        reasons = counted(len(refusals), "reason")
        raise PolicyError(f"this site's policy does not allow it, for {reasons}", where=f"run {run.run}")
    if run is not None and not as_json:
        click.echo(f"run {run.run}: allowed by this policy")


def _before(work: Path, kit: NodeKit, ledger: Path | None) -> dict[str, Any] | None:
    """The policy that was last in force here, as the ledger has it; None before the first."""
    with looked_into(Workspace(work), kit, ledger) as opened:
        return opened.plans.policy()


def _compared(before: dict[str, Any] | None, now: dict[str, Any], more: list[str] | None, *, asked: bool) -> str:
    """How a policy stands to the one before it, in a line."""
    if not asked:
        return "not compared with the policy before it, which the ledger holds: --work names its work folder"
    if before is None:
        return "the ledger holds no policy yet"
    if before == now:
        return "the same as the ledger has in force"
    if more:
        return f"LOOSER than the policy that the ledger has in force, and will be entered as that: {', '.join(more)}"
    return "another policy than the ledger has in force, and in nothing looser"


def _trusted(found: Policy, roster: Roster, node: int) -> dict[str, Any]:
    """Whom a policy trusts and whom not, of the roster's nodes but this one; and how many keys are of nobody on it."""
    nodes = {member.signing_key: member.node for member in roster.members}
    named = sorted(nodes[key] for key in found.trust.signing_keys if key in nodes)
    others = sorted(set(nodes.values()) - {node, *named})
    strangers = len(found.trust.signing_keys) - len(named)
    return {"trusted_nodes": named, "untrusted_nodes": others, "keys_not_on_roster": strangers}


def _print(found: Policy, roster: Roster, node: int) -> None:
    click.echo(_told(found))
    trusted = _trusted(found, roster, node)
    strangers = trusted["keys_not_on_roster"]
    named = ", ".join(f"node {node}" for node in trusted["trusted_nodes"]) or "nobody"
    click.echo(f"trusted on this roster: {named}", nl=not strangers)
    if strangers:
        click.echo(f"; and {strangers} keys that are not on it")
    if others := [f"node {one} ({roster.member(one).name})" for one in trusted["untrusted_nodes"]]:
        click.echo(
            f"on this roster and not trusted, so that this site does not count on its noise: {', '.join(others)}"
        )
    if line := unmet(found.run.quorum, len(roster.members)):
        click.echo(line)


def _keys(roster: Roster, nodes: Iterable[int]) -> tuple[str, ...]:
    try:
        return tuple(roster.member(node).signing_key for node in sorted(nodes))
    except KeyError as error:
        problem = f"node {error.args[0]} is not on the roster"
        raise InputError(problem, where="--trust", cure="name nodes of this consortium") from None


def _told(found: Policy) -> str:
    """A policy in one paragraph."""
    rules, release = found.run, found.release
    return (
        f"a person may spend {found.lifetime.ple_sigma:g} sigma at delta {found.lifetime.delta:g} over all runs; "
        f"a run may name {rules.ple_sigma:g} sigma at delta {rules.delta:g}, {rules.rounds} rounds, "
        f"tasks: {', '.join(rules.tasks) or 'none'}, noise: {', '.join(rules.noise) or 'none'}"
        f"{', exact' if rules.exact_noise else ''}, keys: "
        f"{', '.join(rules.key_agreement) or 'none'}, quorum {rules.quorum} or more, {rules.reservation_days:g} days"
        f"{', after approval' if rules.approval else ''}{', with verified sums' if rules.verified_sums else ''}"
        f"{', simulations too' if rules.simulation else ''}; "
        + (f"releases in groups of {release.min_group_size} or more" if release.allowed else "no releases")
        + (f", published at RR {100 * release.target_rr:.3g} % or less" if release.target_rr < 1 else "")
        + (f", published at utility ratio {release.target_utility:g} or more" if release.target_utility else "")
    )
