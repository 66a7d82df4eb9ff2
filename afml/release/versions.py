"""Versions of a release: every `afml mask` of a run makes a folder of its own, and none is ever written over.

    releases/RUN/1, releases/RUN/2, ...   the packages          columns/RUN/1.json, ...   whose each column is
    assessments/RUN/1.json, ...            the evaluation of each version, which is kept before it is published
                                                            assessments/RUN/1.json, ...   what attacks reached on it

AFML once kept one release of a run, `releases/RUN` itself with `columns/RUN.json`: where it is, it is the first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

PLAN_FILE = "plan.json"


@dataclass(frozen=True)
class Version:
    """One version of a release.

    Attributes:
        number: From 1.
        folder: Of the package.
        columns: Says whose each released column is; never leaves the institution.
        assessment: Its evaluation, once there is one; never leaves the institution.
    """

    number: int
    folder: Path
    columns: Path
    assessment: Path


@dataclass(frozen=True)
class Versions:
    """All versions of the release of one run.

    Attributes:
        releases: Folder of all releases.
        tables: Folder of the tables of their columns.
        run: Name of the run.
    """

    releases: Path
    tables: Path
    run: str

    def all(self) -> tuple[Version, ...]:
        """Those that are there, the oldest first."""
        folder = self.releases / self.run
        names = [path.name for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
        found = [self._kept(int(name)) for name in names if name.isdecimal()]
        if (folder / PLAN_FILE).is_file():
            found.append(replace(self._kept(1), folder=folder, columns=self.tables / f"{self.run}.json"))
        return tuple(sorted(found, key=lambda one: one.number))

    def newest(self) -> Version:
        """The newest; where there is none, the place of the first."""
        return max(self.all(), key=lambda one: one.number, default=self._kept(1))

    def next(self) -> Version:
        """The place of the next one."""
        return self._kept(max((one.number for one in self.all()), default=0) + 1)

    def _kept(self, number: int) -> Version:
        name = f"{number}.json"
        assessment = self.releases.parent / "assessments" / self.run / name
        return Version(number, self.releases / self.run / str(number), self.tables / self.run / name, assessment)
