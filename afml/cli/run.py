"""`afml run`: what a signed run would mean for this institution's people; approve it, close it, or order it on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from afml.cli.orders import add_orders
from afml.cli.places import PRIVATE
from afml.cli.submit import submit
from afml.consortium.nodekit import NodeKit, load_node_kit
from afml.consortium.run import RunConfig
from afml.consortium.runfile import load_run
from afml.core.errors import BudgetError, IntegrityError
from afml.ledger.spending import worst, worst_committed
from afml.ledger.store import Ledger
from afml.masking.chosen import NAME, masking_settings, purpose
from afml.privacy.budget import balance
from afml.privacy.events import reserved
from afml.privacy.plan import planned_events
from afml.privacy.ple import ple
from node.guard import enter_policy, looked_into, open_ledger, wanted
from node.memory import keep_in_kit
from node.policy import Policy, load, terms_of
from node.take_part import declared_card
from node.workspace import Workspace

_PATH = click.Path(path_type=Path)


def _places(command: click.Command) -> click.Command:
    """The options that say whose ledger it is."""
    for option in (
        click.Option(
            ["--ledger"], type=PRIVATE, help="Folder of the institution's one ledger.  [default: WORK/ledger]"
        ),
        click.Option(["--work"], type=PRIVATE, required=True, help="Folder that `afml prepare` made."),
        click.Option(["--kit"], type=_PATH, required=True, help="This node's start kit."),
    ):
        command.params.insert(0, option)
    return command


@click.group()
def run() -> None:
    """A signed run: what it would mean for this institution, and orders about it while it is under way."""


add_orders(run)
run.add_command(submit)


@_places
@run.command()
@click.argument("run_file", metavar="FILE", type=_PATH)
def show(run_file: Path, kit: Path, work: Path, ledger: Path | None) -> None:
    """In plain words: what the run in FILE would spend of this site's people, and what would be left."""
    loaded, policy = load_node_kit(kit), load(kit)
    config = load_run(run_file, loaded.history)
    loaded = loaded.under(config)
    space = Workspace(work)
    space.require_prepared()
    prepared = space.prepared(config.people)
    people = prepared.people.rows(prepared.enrolled).samples
    for line in consequences(policy, config, loaded):
        click.echo(line)
    space.require_drawn_for(config)
    with looked_into(space, loaded, ledger) as opened:
        for line in _standing(opened, policy, config, people, loaded):
            click.echo(line)


@_places
@run.command()
@click.argument("run_file", metavar="FILE", type=_PATH)
def approve(run_file: Path, kit: Path, work: Path, ledger: Path | None) -> None:
    """Approve the run in FILE, signed into this site's ledger; refused where the policy does not allow it."""
    loaded, policy = load_node_kit(kit), load(kit)
    config = load_run(run_file, loaded.history)
    loaded = loaded.under(config)
    for refusal in policy.refusals(config, loaded.roster, loaded.node):
        raise refusal
    space = Workspace(work)
    declared_card(space, config, loaded.node, run_file)
    with open_ledger(space, loaded, ledger) as opened:
        enter_policy(opened, policy)
        opened.plans.approve(config.run, config.digest().hex())
        keep_in_kit(loaded, opened)
    click.echo(f"run {config.run} is approved (configuration {config.digest().hex()[:12]})")


@_places
@run.command()
@click.argument("run_file", metavar="FILE", type=_PATH)
def close(run_file: Path, kit: Path, work: Path, ledger: Path | None) -> None:
    """Close the run in FILE at this site for good. What it reserved and did not spend is free again."""
    loaded = load_node_kit(kit)
    config = load_run(run_file, loaded.history)
    loaded = loaded.under(config)
    with open_ledger(Workspace(work), loaded, ledger) as opened:
        opened.plans.close(config.run, config.digest().hex(), "by-hand")
        keep_in_kit(loaded, opened)
    click.echo(f"run {config.run} is closed at this site; it will be refused from now on")


def consequences(policy: Policy, config: RunConfig, kit: NodeKit) -> Iterator[str]:
    """What a run is, and what it costs by itself, as this site counts."""
    own = policy.counts_own_noise(config, kit.roster, kit.node)
    plan, delta = planned_events(config, own_noise=own), policy.lifetime.delta
    yield (
        f"run {config.run} of consortium {config.consortium}: task {config.task.kind}, {config.rounds} private rounds, "
        f"{len(config.enrolled)} institutions, at least {config.quorum} in a sum, {config.noise} noise"
        f"{' that is proven' if config.exact_noise else ''}, keys by {config.key_agreement}"
        + (", on the people kept out of training" if config.people == "holdout" else "")
    )
    if config.task.kind == NAME:
        yield f"a release by its model may tell: {purpose(masking_settings(config).risk)}"
    if config.verified_sums:
        yield "nodes verify every sum before they apply it"
    if config.start:
        yield f"it begins at the saved model {config.start[:12]}"
    if config.task.code in policy.run.trusted_code:
        yield "code of the task runs within this site's node, as its policy trusts it (run.trusted_code)"
    cost = ple(plan, delta)
    yield (
        f"by itself it would spend at most {cost.sigma:.3f} sigma (epsilon {cost.epsilon:.3f}) at delta {delta:g} of "
        f"each person, {config.reserve_attempts} lost attempts a phase included"
    )
    if own:
        yield f"that counts this site's own noise alone: it {policy.short_of_trust(config, kit.roster, kit.node)}"
    if config.seed is not None:
        yield "insecure: simulation. Its noise follows from a public seed: these numbers say nothing"


def _standing(ledger: Ledger, policy: Policy, config: RunConfig, people: Sequence[str], kit: NodeKit) -> Iterator[str]:
    """Where the people stand, where they would stand after the run, and what stands in its way."""
    lifetime = policy.lifetime.budget
    reservation = wanted(config, terms_of(policy, config, kit))
    found = ledger.accounts(people)
    spent, committed = worst(found, lifetime), worst_committed(found, lifetime)
    after = max(
        (
            balance(lifetime, reserved(reservation.plan, one.run(config.run)), one.charged_elsewhere(config.run))
            for one in found
        ),
        key=lambda b: b.spent,
    )
    yield (
        f"{len(people)} people of this site are enrolled. The one who has spent most has spent {spent.spent:.3f} of "
        f"{spent.limit:.3f} sigma; with what runs under way have reserved, {committed.spent:.3f}"
    )
    yield (
        f"with this run: {after.spent:.3f} of {after.limit:.3f} sigma, {after.left:.3f} left, since sigmas add as "
        "squares"
    )
    digest = config.digest().hex()
    problems = [str(one) for one in policy.refusals(config, kit.roster, kit.node)]
    try:
        ledger.plans.consider(reservation, people)
    except (BudgetError, IntegrityError) as refused:
        problems.append(str(refused))
    if policy.run.approval:
        yield (
            "approved" if ledger.plans.approved(config.run, digest) else "not approved yet: `afml run approve` does it"
        )
    for problem in problems:
        yield f"refused: {problem}"
    if not problems:
        yield "nothing stands in its way at this site"
