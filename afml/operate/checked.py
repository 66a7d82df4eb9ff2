"""One thing that `afml doctor` looked at: what it found, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from afml.core.errors import AfmlError

State: TypeAlias = Literal["ok", "warning", "failed", "skipped"]


@dataclass(frozen=True)
class Checked:
    """What was found.

    Attributes:
        what: Was looked at, in a word or two.
        state: "failed": a run would not go well; "warning": it may not; "skipped": could not be looked at.
        told: What was found, in one line.
        cure: What to do; always there where it failed.
    """

    what: str
    state: State
    told: str
    cure: str = ""


def ok(what: str, told: str) -> Checked:
    """All is well."""
    return Checked(what, "ok", told)


def warning(what: str, told: str, cure: str) -> Checked:
    """A run may not go well."""
    return Checked(what, "warning", told, cure)


def failed(what: str, told: str, cure: str) -> Checked:
    """A run would not go well."""
    return Checked(what, "failed", told, cure)


def skipped(what: str, told: str) -> Checked:
    """Could not be looked at; says why."""
    return Checked(what, "skipped", told)


def refused(what: str, error: AfmlError) -> Checked:
    """What the product itself would refuse, in its own words."""
    told = ": ".join(part for part in (error.where, error.problem) if part)
    return failed(what, told, error.cure or "see docs/OPERATIONS.md")


def tried(what: str, look: Callable[[], Checked]) -> Checked:
    """What a look finds, or what it is refused with."""
    try:
        return look()
    except AfmlError as error:
        return refused(what, error)
    except OSError as error:
        return failed(what, f"{error.filename or what}: {error.strerror or error}", "see that this account may read it")
