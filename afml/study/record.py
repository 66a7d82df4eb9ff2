"""The stored result of one run: results/runs/NAME.json, and an entry of `runs` in results/reproduce.json."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, Field

from afml.core.config import Settings
from afml.core.errors import InputError
from afml.core.files import write_bytes
from afml.evaluation.details import Details
from afml.evaluation.report import BaselineRow, FrontierPoint, ReleaseSection
from afml.study.settings import RunSettings


class _Part(Settings):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class OperatingPoint(_Part):
    """One mask configuration of the product on this run's model: patterns, group size, and what they give."""

    method: str
    patterns: int
    min_group_size: int
    rr: float
    utility_ratio: float
    retained_fraction: float
    entropy_bits: float


class Candidates(_Part):
    """RR of the strongest untrained attack among this many candidates."""

    people: int
    rr: float


class PhenotypeUtility(_Part):
    """Utility for one of several phenotypes in the same release."""

    utility_ratio: float
    utility_ratio_chance_corrected: float
    utility_ratio_vs_best_raw: float


class Federated(_Part):
    """The same run through six processes, encrypted.

    Attributes:
        same_model: All nodes ended with the model that the in-process sum gives, digest for digest.
        same_release: All released VCF files, read back, hold what the in-process plan releases.
        seconds: Wall time from provisioning to the last released file.
        bytes_up_per_round: One node to the aggregator, the larger of the two kinds of rounds.
    """

    same_model: bool
    same_release: bool
    seconds: float
    bytes_up_per_round: int


class RunRecord(_Part):
    """One run. Headline numbers first; the rest is what they were made of.

    Attributes:
        name: Of the run.
        settings_digest: Of `settings`: a stored run stands while this matches.
        private_game_digest: Of the settings of the all-private baseline, "" without one; a stored run stands while
            it matches. None, not checked, in runs made before it was kept.
        code_digest: Of the source files that make results; a mix of versions is reported.
        insecure: Always: the noise of a study comes from a seed, so its models protect nobody.
        rr, rr_known_institution: Worst attack; the same when the file is known.
        rr_reduction: 1 - rr / rr of random masking at matched utility.
        ple_sigma: What this run would spend (no attempt lost) with noise from the operating system, in sigma. So are
            the further figures of privacy.
        ple_planned: With every reserved attempt spent, in sigma; at most the target.
        epsilon_if_aggregation_broken: Of one node's own noise.
        seconds: Wall time of training, release and evaluation; `steps` has the parts.
        cpu_seconds: Processor time of the same, which other load on the machine does not change.
        group_bound: Largest (patterns of a file / people of the file): bounds rr_known_institution.
        ungrouped_ratio: Utility ratio of the same plan without merging into groups, first phenotype.
        audited_ple_lower: Established by attacking a training run with canaries, in sigma; None where not run.
        release, baselines, frontier: About the phenotype that the release serves worst, where there are several.
        details: What else an attacker learns, and what else the release is good for.
    """

    name: str
    settings_digest: str
    code_digest: str
    insecure: Literal[True] = True
    rr: float
    rr_reduction: float
    rr_known_institution: float
    utility_ratio: float
    utility_ratio_chance_corrected: float
    utility_ratio_vs_best_raw: float
    ple_sigma: float
    ple_planned: float
    epsilon: float
    epsilon_if_aggregation_broken: float
    seconds: float
    cpu_seconds: float
    group_bound: float
    ungrouped_ratio: float
    audited_ple_lower: float | None
    model_digest: str
    reason: str
    settings: RunSettings
    release: ReleaseSection
    phenotypes: tuple[PhenotypeUtility, ...]
    baselines: tuple[BaselineRow, ...]
    frontier: tuple[FrontierPoint, ...]
    operating_points: tuple[OperatingPoint, ...]
    candidates: tuple[Candidates, ...]
    details: Details
    private_game_digest: str | None = Field(default=None, exclude_if=lambda value: value is None)
    federated: Federated | None = None
    steps: dict[str, float]

    def save(self, folder: Path) -> Path:
        """Write NAME.json, whole or not at all."""
        path = folder / f"{self.name}.json"
        write_bytes(path, (self.model_dump_json(indent=1) + "\n").encode())
        return path


def private_digest(private_game: RunSettings | None) -> str:
    """Digest of the settings of an all-private run, hex; "" where there is none."""
    return "" if private_game is None else private_game.digest().hex()


def stored(folder: Path, settings: RunSettings, private_game: RunSettings | None = None) -> RunRecord | None:
    """The stored result of exactly these settings and of this all-private baseline, or None."""
    path = folder / f"{settings.name}.json"
    if not path.exists():
        return None
    try:
        record = RunRecord.load(path)
    except InputError:  # of an older form, or damaged: made again
        return None
    same = record.settings_digest == settings.digest().hex()
    return record if same and record.private_game_digest in (None, private_digest(private_game)) else None
