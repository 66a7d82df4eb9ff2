"""What a party's folders say of how far it is; they are only looked at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from afml.consortium.kit import load_roster
from afml.consortium.run import RunConfig
from afml.core.errors import AfmlError
from afml.ledger.people import withdrawn_since
from afml.ledger.plans import approved as approved_in
from afml.ledger.schema import begun
from afml.ledger.snapshot import snapshot
from afml.operate.words import counted
from afml.release.package.manifest import PUBLICATION_FILE
from node.memory import KIT_HEAD, runs_of
from node.policy import load
from node.signed import Signed
from node.workspace import Workspace, refusal


@dataclass(frozen=True)
class Place:
    """A party's folders and files, as far as there are any.

    Attributes:
        kit: Made by `afml keys init`, or to be.
        work: Of an institution: made by `afml prepare`, or to be.
        run: run.json; None before there is one.
        ledger: The institution's; None: in `work`.
    """

    kit: Path
    work: Path | None = None
    run: Path | None = None
    ledger: Path | None = None

    @property
    def config(self) -> RunConfig | None:
        """The run, whoever signed it: nothing is done here that would need to know."""
        return None if self.run is None else RunConfig.load(self.run)

    @property
    def space(self) -> Workspace | None:
        """The work folder."""
        return None if self.work is None else Workspace(self.work)


def named(place: Place, name: str) -> bool:
    """Whether the kit holds a file."""
    return (place.kit / name).exists()


def institutions(place: Place) -> int:
    """How many are on the roster that the kit holds; 0 where none can be read."""
    try:
        return len(load_roster(place.kit).members)
    except AfmlError:
        return 0


def carded(place: Place) -> bool:
    """Whether its data are prepared."""
    return place.space is not None and place.space.card.exists()


def remembered(place: Place) -> bool:
    """Whether its ledger is there, or neither the work folder nor the kit knows of one (`node.memory`)."""
    space = place.space
    if space is None or begun(place.ledger or space.ledger):
        return True
    return not runs_of(space) and not (place.kit / KIT_HEAD).is_file()


def hindrance(place: Place) -> str:
    """Why this site takes no part in the run as things stand, as `afml run show` tells it; "" where nothing is in its
    way, or it has the model.
    """
    if place.run is None or place.work is None or trained(place):
        return ""
    try:
        signed = Signed.read(place.run, place.kit)
        standing = signed.standing(place.work, place.ledger)
    except AfmlError as refused:
        return f"settle first what is refused here: {refused}"
    if standing.over is not None:
        return f"nothing more in this run: {next(standing.over.lines(signed.config.rounds))}"
    if not standing.problems:
        return ""
    first, *others = standing.problems
    more = f" (and for {counted(len(others), 'other reason')})" if others else ""
    return f"settle first what is refused here: {first}{more}"


def unhindered(place: Place) -> bool:
    """Whether nothing is in the way of the run here, or it has the model."""
    return not hindrance(place)


def approved(place: Place) -> bool:
    """Whether a person need not approve the run here, or has."""
    config, space = place.config, place.space
    if config is None or space is None or not load(place.kit).run.approval:
        return config is not None
    folder = place.ledger or space.ledger
    if not folder.exists():
        return False
    with snapshot(folder) as database:
        return approved_in(database, config.run, config.digest().hex())


def trained(place: Place) -> bool:
    """Whether it has the model of the run."""
    config, space = place.config, place.space
    return config is not None and space is not None and space.model(config.run).exists()


def refused(place: Place) -> str:
    """Why the last `afml mask` of the run refused; "" where it did not."""
    config, space = place.config, place.space
    if config is None or space is None:
        return ""
    kept = refusal(space, config.run)
    return kept.read_text(encoding="utf-8").strip() if kept.exists() else ""


def not_refused(place: Place) -> bool:
    """Whether `afml mask` may still be tried, or has written."""
    return not refused(place) or released(place)


def released(place: Place) -> bool:
    """Whether there is a release."""
    config, space = place.config, place.space
    return config is not None and space is not None and bool(space.releases(config.run).all())


def nobody_left(place: Place) -> bool:
    """Whether nobody of the newest release has withdrawn since."""
    config, space = place.config, place.space
    folder = None if space is None else place.ledger or space.ledger
    if config is None or folder is None or not begun(folder):
        return True
    with snapshot(folder) as database:
        return not withdrawn_since(database, config.run)


def evaluated(place: Place) -> bool:
    """Whether the newest release was attacked, or is published."""
    config, space = place.config, place.space
    if config is None or space is None:
        return False
    return space.releases(config.run).newest().assessment.exists() or published(place)


def published(place: Place) -> bool:
    """Whether the newest release may leave the house."""
    config, space = place.config, place.space
    return config is not None and space is not None and (space.release(config.run) / PUBLICATION_FILE).exists()


def nothing(_: Place) -> bool:
    """Of a last step, which is never done."""
    return False
