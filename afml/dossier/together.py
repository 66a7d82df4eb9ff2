"""Whether what is given for a dossier belongs together: run, ledgers, heads and report; each refusal is one line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from afml.consortium.run import RunConfig
from afml.core.errors import InputError
from afml.evaluation.report import Report
from afml.ledger.outside import head_name, kept_head
from afml.ledger.summary import Summary

_RUN = "give the run.json of the run that these ledgers took part in, or leave --run out"
_REPORT = "give the report of this run, by `afml evaluate`, or leave --report out"


def names_of(summary: Summary) -> list[str]:
    """The name of a ledger, and those that it had before an import."""
    return [summary.origin, *(str(body["origin"]) for body in summary.bodies if body["kind"] == "import")]


def kept_of(heads: Sequence[Path], summary: Summary) -> tuple[Path, ...]:
    """Of what others keep, the files of this ledger; a dossier of several institutions names it once for all."""
    found: list[Path] = []
    for path in heads:
        for name in names_of(summary):
            if path.is_dir():
                found += [path / head_name(name)] if (path / head_name(name)).is_file() else []
            elif kept_head(path, name).split("\n", 1)[0] == name:
                found.append(path)
    return tuple(found)


def require_used(heads: Sequence[Path], used: Iterable[Path]) -> None:
    """Refuse a head that is of none of the ledgers: whoever gives it means that it is checked.

    Raises:
        InputError: Likewise.
    """
    used = set(used)
    for path in heads:
        if path not in used and not any(path in file.parents for file in used):
            raise InputError("holds no head of any of these ledgers", where=path, cure="give what others keep of them")


def require_run(config: RunConfig, summaries: Mapping[Path, Summary]) -> None:
    """Refuse a run that no ledger has an entry about, or that a ledger has under another configuration.

    Raises:
        InputError: Likewise.
    """
    known = False
    for place, summary in summaries.items():
        about = [body for body in summary.bodies if body.get("run") == config.run and "config_digest" in body]
        known = known or bool(about)
        for digest in {str(body["config_digest"]) for body in about} - {config.digest().hex()}:
            told = f"its ledger has run {config.run} by configuration {digest[:16]}, and run.json is another one"
            raise InputError(told, where=place, cure=_RUN)
    if not known:
        raise InputError(f"run {config.run} is in none of these ledgers", where="--run", cure=_RUN)


def require_report(
    report: Report, where: Path, config: RunConfig | None, summaries: Mapping[Path, Summary]
) -> None:  # fmt: skip
    """Refuse a report of another run, and an institution's own in a dossier of several or of another one.

    Raises:
        InputError: Likewise.
    """
    if report.scope == "own" and len(summaries) > 1:
        problem = "is an institution's own report, which stays with it, and this dossier is about several"
        raise InputError(problem, where=where, cure="leave --report out, or name one --work")
    whose = None if report.about is None else report.about.institution
    if whose is not None and not any(whose in names_of(summary) for summary in summaries.values()):
        problem = f"is the own report of {whose.rpartition('/')[2]}, and --work is of another institution"
        raise InputError(problem, where=where, cure="give this institution's own, by `afml evaluate --own`")
    if report.about is not None and config is not None and report.about.configuration != config.digest().hex():
        raise InputError(f"is of run {report.about.run}, not of this one", where=where, cure=_REPORT)
