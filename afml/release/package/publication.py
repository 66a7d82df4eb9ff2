"""publication.json of a package: the institution's signed word that it was evaluated before it left the house.

What attacks reached on the very people of the package is exact about them and stays at the institution, so a verdict
says whether a target was met and which one it was, and not by how much. One bit a target follows from private people
all the same, and is outside epsilon.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from afml.consortium import messages
from afml.core.config import Signed
from afml.core.files import write_bytes
from afml.evaluation.report import Report
from afml.release.package.manifest import HEX, PUBLICATION_FILE, InstitutionSigned, Manifest

Target = Literal["group size", "joint groups", "re-identification rate", "utility ratio"]
#: Promised to the people of the file: a package that breaks one is not published, whatever somebody accepts.
PROMISES: tuple[Target, ...] = ("group size", "joint groups")


class Verdict(Signed):
    """One target, and whether the package meets it.

    Attributes:
        target: Which one: least people who share pattern and released traits, the same over all releases of them;
            the share of records that the worst attack names at most; the least utility ratio.
        asked: Its value.
        met: Whether.
    """

    target: Target
    asked: float = Field(ge=0)
    met: bool

    def words(self) -> str:
        """What was asked, in words."""
        if self.target == "re-identification rate":
            return f"{self.target} at most {100 * self.asked:.3g} %"
        return f"{self.target} at least {self.asked:g}"


class Publication(InstitutionSigned):
    """What a package was held against.

    Attributes:
        format: Of the file.
        manifest: SHA-256 of manifest.json, hex: of all files of the package.
        assessment: SHA-256 of the evaluation as the institution keeps it, hex; salted, so that it tells nothing.
        made: Day, UTC.
        verdicts: Every target that was asked. One that is missed was knowingly accepted.
    """

    format: Literal["afml publication 1"] = "afml publication 1"
    manifest: str = Field(pattern=HEX)
    assessment: str = Field(pattern=HEX)
    made: str = Field(pattern=r"^\d{4}-\d\d-\d\d$")
    verdicts: tuple[Verdict, ...]

    @staticmethod
    def message(content: bytes) -> bytes:
        """See `InstitutionSigned`."""
        return messages.release_publication(content)

    def of(self, manifest: Manifest) -> bool:
        """Whether it is of the package with this manifest, as far as that says who and what it is."""
        names = ("consortium", "origin", "key", "run", "version", "release")
        return all(getattr(self, name) == getattr(manifest, name) for name in names)

    def line(self) -> str:
        """In one line."""
        met, missed = ([one.words() for one in self.verdicts if one.met is met] for met in (True, False))
        told = f"published {self.made}, evaluated first: {', '.join(met) or 'no target'} met"
        return f"{told}; MISSED, and published nevertheless: {', '.join(missed)}" if missed else told

    def save(self, folder: Path) -> None:
        """Write publication.json into a package."""
        write_bytes(folder / PUBLICATION_FILE, self.canonical() + b"\n")


@dataclass(frozen=True)
class Asked:
    """Targets, the strictest of whoever asks.

    Attributes:
        group_size: People who share pattern and released traits, at least.
        rr: Share of records that the worst attack names, at most; 1: any.
        utility: Utility ratio, at least; 0: any.
    """

    group_size: int
    rr: float = 1.0
    utility: float = 0.0


@dataclass(frozen=True)
class Found:
    """What a package is like.

    Attributes:
        groups: People who share pattern and released traits, the size of each group that there is.
        joint: The smallest group over all releases of these people, and what was promised to anybody in it.
        report: Of its evaluation.
    """

    groups: tuple[int, ...]
    joint: tuple[int, int]
    report: Report


@dataclass(frozen=True)
class Judged:
    """A verdict, and why.

    Attributes:
        verdict: To be signed.
        found: What was found, in words; exact about the people of the package, and not to be signed.
    """

    verdict: Verdict
    found: str


def judge(asked: Asked, found: Found) -> tuple[Judged, ...]:
    """Hold a package against its targets.

    * Groups are counted: one that is smaller than was asked is a fact, and there is no interval.
    * The re-identification rate is met where groups over people is at most what was asked, for of each group of records
      that look alike any attacker names one at most; or else where the upper end of the 95 % interval of the worst
      attack is. The rate itself, of one draw of the attacker's reference profiles, is not enough.
    * The utility ratio is met where the lower end of its 95 % interval is at least what was asked; where it has no
      interval the ratio itself must be, and one that is not comparable is missed.
    """
    smallest, (joint, promised), release = min(found.groups), found.joint, found.report.release
    judged = [
        _judged("group size", asked.group_size, smallest >= asked.group_size, f"the smallest has {smallest}"),
        _judged("joint groups", promised, joint >= promised, f"the smallest has {joint}"),
    ]
    if asked.rr < 1:
        ceiling, (low, high) = len(found.groups) / sum(found.groups), release.rr_ci95
        told = f"attacks name {100 * release.rr:.3g} % (95 %: {100 * low:.3g} to {100 * high:.3g}), groups allow "
        met = min(ceiling, high) <= asked.rr
        judged.append(_judged("re-identification rate", asked.rr, met, f"{told}{100 * ceiling:.3g} %"))
    if asked.utility > 0:
        sure = release.utility_ratio_ci95
        least = release.utility_ratio if sure is None else sure[0]
        between = "" if sure is None else f" (95 %: {sure[0]:.3g} to {sure[1]:.3g})"
        told = f"it is {release.utility_ratio:.3g}{between}" if release.utility_comparable else "it is not comparable"
        met = release.utility_comparable and least >= asked.utility
        judged.append(_judged("utility ratio", asked.utility, met, told))
    return tuple(judged)


def _judged(target: Target, asked: float, met: bool, found: str) -> Judged:
    return Judged(Verdict(target=target, asked=asked, met=met), found)


def missed(judged: Iterable[Judged]) -> tuple[Judged, ...]:
    """Those that are not met."""
    return tuple(one for one in judged if not one.verdict.met)
