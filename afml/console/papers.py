"""Papers of a party: certificates and their days, quality reports, releases and what was measured of them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from afml.console.view import View
from afml.consortium.kit import CA, CERTIFICATE, load_certificate
from afml.core.errors import AfmlError
from afml.core.standing import Standing
from afml.evaluation.report import BaselineRow, Report, compared_rows
from afml.genomics.files import GenotypeFiles
from afml.genomics.qc.report import QcReport
from afml.ledger.summary import Summary
from afml.operate.papers import SOON_DAYS
from afml.operate.words import DAY_S

RENEW = "ask for another with `afml keys renew`"


@dataclass(frozen=True)
class Certificate:
    """One certificate.

    Attributes:
        what: It is for.
        until: Day, ISO; "" where it cannot be read.
        days: That are left; negative once it has expired.
        problem: Why it cannot be read.
        cure: What to do where the days are few.
    """

    what: str
    until: str
    days: float
    problem: str = ""
    cure: str = ""

    @property
    def state(self) -> str:
        """In a word."""
        return "bad" if self.problem or self.days < 0 else "soon" if self.days < SOON_DAYS else "good"


def certificates(view: View) -> tuple[Certificate, ...]:
    """Of the kit, and those that running processes say they use; the first to end first."""
    found, kit = [], view.named.kit
    if kit is not None:
        found += [_of_kit("this party, in its kit", kit / CERTIFICATE, RENEW)]
        found += [_of_kit("the consortium's authority", kit / CA, "found the consortium anew in time")]
    now = time.time()
    standings: list[tuple[str, Standing]] = [
        (f"aggregator of run {one.standing.run}", one.standing) for one in view.aggregators()
    ]
    for part in (part for node in view.nodes() for part in node.parts):
        if part.standing is not None and part.state == "running":
            standings.append((f"node in run {part.run}", part.standing))
    for what, standing in standings:
        if standing.alive(now):
            found.append(_made(f"{what}, as its process uses it", standing.certificate_expires, RENEW))
    return tuple(sorted(found, key=lambda one: one.days))


def _of_kit(what: str, path: Path, cure: str) -> Certificate:
    try:
        return _made(what, load_certificate(path, what).not_valid_after_utc.timestamp(), cure)
    except AfmlError as error:
        return Certificate(what, "", -1.0, str(error), "")


def _made(what: str, expires: float, cure: str) -> Certificate:
    days = (expires - time.time()) / DAY_S
    until = time.strftime("%Y-%m-%d", time.gmtime(expires))
    return Certificate(what, until, days, cure=cure if days < SOON_DAYS else "")


@dataclass(frozen=True)
class Quality:
    """What `afml prepare` found of one work folder's genotypes.

    Attributes:
        work: The folder's name.
        number: Of the folder among the institution's, from 0.
        report: qc.json; None where it cannot be read.
        problem: Why not.
        page: Whether qc.html is there.
    """

    work: str
    number: int
    report: QcReport | None
    problem: str
    page: bool


def qualities(view: View) -> tuple[Quality, ...]:
    """Of every work folder that has a report: other data than genotypes have none."""
    found = []
    for number, work in enumerate(view.works()):
        files = GenotypeFiles(work.data)
        if not files.qc.is_file():
            continue
        try:
            report, problem = QcReport.load(files.qc), ""
        except AfmlError as error:
            report, problem = None, str(error)
        found.append(Quality(work.root.name, number, report, problem, files.qc_page.is_file()))
    return tuple(found)


@dataclass(frozen=True)
class Released:
    """One release, as the ledger has it.

    Attributes:
        body: Its entry.
        bound: Share of the people in the file that an attacker who knows the institution names rightly, at most, on
            average: patterns / people (docs/RELEASE.md).
    """

    body: Mapping[str, object]
    bound: float

    @property
    def kept(self) -> bool:
        """Whether the least joint group is as large as was promised."""
        return int(str(self.body["smallest_joint_group"])) >= int(str(self.body["min_group_size"]))


def releases(summary: Summary) -> tuple[Released, ...]:
    """In the ledger's order."""
    return tuple(
        Released(body, min(1.0, int(str(body["patterns"])) / int(str(body["people"])))) for body in summary.releases
    )


@dataclass(frozen=True)
class Measured:
    """What `afml evaluate` measured: the release beside other ways to release the same people.

    Attributes:
        path: report.json.
        report: It; None where it cannot be read.
        rows: Other methods that may be compared.
        problem: Why it cannot be read.
    """

    path: Path
    report: Report | None
    rows: Sequence[BaselineRow]
    problem: str = ""


def measured(paths: Sequence[Path]) -> tuple[Measured, ...]:
    """Of report.json files, in their order."""
    found = []
    for path in paths:
        try:
            report = Report.load(path)
            found.append(Measured(path, report, compared_rows(report)))
        except AfmlError as error:
            found.append(Measured(path, None, (), str(error)))
    return tuple(found)
