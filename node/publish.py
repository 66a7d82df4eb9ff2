"""A package leaves the house: evaluated first, held against what run and site ask, and with a signed word of it."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from afml.consortium.run import RunConfig
from afml.core.errors import InputError, IntegrityError, ReleaseError
from afml.core.files import require_file
from afml.ledger.publication import PublicationRecord
from afml.ledger.store import Ledger
from afml.masking.chosen import masking_settings
from afml.release.package.assessed import Assessed, files_of
from afml.release.package.manifest import MANIFEST_FILE, PUBLICATION_FILE, Manifest, digest_of
from afml.release.package.publication import PROMISES, Asked, Found, Judged, Publication, judge, missed
from afml.release.package.verify import require_whole
from afml.release.versions import Version
from crypto.public.signing import public_bytes
from node.guard import enter_policy
from node.inuse import in_use
from node.keptout import require_untrained
from node.policy import Policy
from node.released import read_records, released_plan, shown_labels
from node.workspace import Workspace

_ANEW = "mask anew (`afml mask`), and evaluate and publish that version"


@dataclass(frozen=True)
class PublicationDone:
    """A package that may leave the house.

    Attributes:
        version: Which one.
        publication: The signed word, which lies in it.
    """

    version: Version
    publication: Publication


def publish_release(
    work: Workspace,
    config: RunConfig,
    policy: Policy,
    ledger: Ledger,
    version: int | None = None,
    *,
    force: bool = False,
) -> PublicationDone:
    """Hold a package against its targets, enter it in the ledger, and write publication.json into it.

    Args:
        work: The institution's work folder.
        config: The run.
        policy: The site's.
        ledger: The institution's, which knows the release; its key signs.
        version: Which release of the run; None: the newest.
        force: Publish also where a target is missed, and sign that. No promise is forced.

    Raises:
        InputError: There is no such package, it is published already, it was not evaluated as it is now, or the work
            folder calls people kept out whom the run was trained on.
        IntegrityError: It is not what this institution signed.
        BudgetError: Somebody in it has withdrawn since it was masked.
        PolicyError: The site's policy does not allow the release.
        ReleaseError: A promise is not kept, or a target is missed.
    """
    with in_use(work):
        one, kept = evaluated(work, config, version)
        require_untrained(work, config.run, ledger.folder)
        manifest = _own(one, ledger)
        records, plan = read_records(work, config.run, one), released_plan(work, config.run, one)
        policy.require_release(plan.min_group_size)
        labels = shown_labels(records, plan)
        joint = ledger.releases.standing(manifest.release, labels).groups
        found = Found(tuple(Counter(labels.values()).values()), (joint.smallest, joint.promised), kept.report)
        judged = judge(_asked(config, policy), found)
        _refuse(judged, one.folder, force=force)
        verdicts = tuple(each.verdict for each in judged)
        publication = Publication(
            consortium=manifest.consortium, origin=manifest.origin, key=manifest.key, run=config.run,
            version=one.number, release=manifest.release, manifest=digest_of(one.folder / MANIFEST_FILE),
            assessment=digest_of(one.assessment), made=f"{datetime.now(UTC):%Y-%m-%d}", verdicts=verdicts,
        ).signed(ledger.key)  # fmt: skip
        record = PublicationRecord(
            manifest.release, publication.manifest, publication.assessment,
            tuple(each.target for each in verdicts if each.met),
            tuple(each.target for each in verdicts if not each.met),
        )  # fmt: skip
        enter_policy(ledger, policy)
        # The record comes first: what nobody wrote down must not leave. A crash in between is mended by asking again.
        ledger.releases.record_publication(record)
        publication.save(one.folder)
        return PublicationDone(one, publication)


def evaluated(work: Workspace, config: RunConfig, version: int | None = None) -> tuple[Version, Assessed]:
    """A package that is not published yet, with its evaluation as it is now; reads no ledger.

    Args:
        work: The institution's work folder.
        config: The run.
        version: Which release of it; None: the newest.

    Raises:
        InputError: There is no such package, it is published already, or it was not evaluated as it is now.
    """
    one = _version(work, config.run, version)
    require_file(one.folder / MANIFEST_FILE, "manifest of the package", "run `afml mask` first")
    return one, _assessed(one, config)


def _version(work: Workspace, run: str, number: int | None) -> Version:
    """The package that is asked for, which is not published yet.

    Raises:
        InputError: There is none, or it is.
    """
    versions = work.releases(run)
    one = next((each for each in versions.all() if each.number == number), None) if number else versions.newest()
    if one is None:
        there = ", ".join(str(each.number) for each in versions.all()) or "none"
        raise InputError(f"run {run} has no version {number}", where="--version", cure=f"its versions are: {there}")
    if (one.folder / PUBLICATION_FILE).exists():
        cure = f"see what was signed with `afml release verify {shlex.quote(str(one.folder))} --roster KIT/roster.json`"
        raise InputError("is published already, and nothing is written over", where=one.folder, cure=cure)
    return one


def _own(version: Version, ledger: Ledger) -> Manifest:
    """The manifest of a package that is whole and signed by this very institution.

    Raises:
        IntegrityError: It is another's, or the files are not those that were signed.
    """
    path = version.folder / MANIFEST_FILE
    manifest, key = Manifest.load(path), public_bytes(ledger.key)
    try:
        manifest.require_signed(key, path)
    except IntegrityError:
        raise IntegrityError("is not signed by this institution's key", where=path, cure=_ANEW) from None
    require_whole(version.folder, manifest, _ANEW)
    return manifest


def _assessed(version: Version, config: RunConfig) -> Assessed:
    """The evaluation of the package as it is now.

    Raises:
        InputError: There is none.
    """
    cure = "run `afml evaluate --own WORK --run RUN --out REPORT` first"
    if not version.assessment.exists():
        raise InputError("has not been evaluated", where=version.folder, cure=cure)
    kept = Assessed.load(version.assessment)
    if (kept.release, kept.manifest) != files_of(version.folder):
        raise InputError("is not the package that was evaluated", where=version.folder, cure=cure)
    if kept.configuration != config.digest().hex():
        raise InputError("was evaluated under another run.json than this one", where=version.folder, cure=cure)
    return kept


def _asked(config: RunConfig, policy: Policy) -> Asked:
    """What the signed run and the site's policy ask, the stricter of both."""
    agreed, own = masking_settings(config).release, policy.release
    return Asked(
        group_size=max(agreed.min_group_size, own.min_group_size),
        rr=min(1.0 if agreed.target_rr is None else agreed.target_rr, own.target_rr),
        utility=own.target_utility,
    )


def _refuse(judged: Iterable[Judged], where: Path, *, force: bool) -> None:
    """Refuse a broken promise, and a missed target that nobody accepts.

    Raises:
        ReleaseError: Likewise, all of them in one line.
    """
    wrong = missed(judged)
    broken = [one for one in wrong if one.verdict.target in PROMISES]
    if told := broken or ([] if force else wrong):
        cure = "release anew with larger groups (`afml mask --min-group-size`)" if broken else (
            "release anew (`afml mask`), or accept it knowingly with --force, which is signed into publication.json"
        )  # fmt: skip
        raise ReleaseError(
            "; ".join(f"{one.verdict.words()} is asked: {one.found}" for one in told), where=where, cure=cure
        )
