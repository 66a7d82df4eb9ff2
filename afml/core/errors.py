"""Every error a user can meet.

    AfmlError                   exit code 1
    |- InputError               2  a file or option given by the user is wrong (VCF, BED, TSV, TOML)
    |  `- GateError             2  data that were read and measured do not pass a gate
    |- ConfigError              2  settings that contradict each other or the guarantees
    |- BudgetError              3  the privacy budget does not allow the next step
    |  `- PolicyError           3  the site's own policy does not allow it
    |- TransportError           4  a peer is not there, a port is in use, a certificate is refused
    |- ProtocolError            5  a peer sent something the protocol forbids
    |  |- Superseded            5  what was in order when it was said, and came too late
    |  `- Twin                  5  another process takes part for the same institution
    |- IntegrityError           6  stored or received data does not match its signature, digest or residual
    |  |- ModelsDiffer          6  nodes that applied the same rounds hold different models
    |  |- SumNotVerified        6  a sum is not that of what its nodes encrypted
    |  `- Outdated              6  this institution's own ledger or work folder is older than what others have of it
    |- ReleaseError             7  a release missed its target and was refused
    `- Stopped                  0  a party was asked to stop, and did when it could

A message says what is wrong, where, and how to mend it, in one line. It never holds a genotype,
a key or a phenotype. What a peer or a file put into it is shown as text: no terminal acts on it.
"""

from __future__ import annotations

from pathlib import Path

from afml.core.plain import plain_line


class AfmlError(Exception):
    """Base of all errors shown to a user as one line, without a trace.

    Args:
        problem: What is wrong.
        where: File, line, option, peer or round it is wrong at.
        cure: What to do about it.
    """

    exit_code = 1

    def __init__(self, problem: str, *, where: object = "", cure: str = "") -> None:
        self.problem, self.where, self.cure = plain_line(problem), plain_line(str(where)), plain_line(cure)
        told = ": ".join(part for part in (self.where, self.problem) if part)
        super().__init__(told + (f"; {self.cure}" if self.cure else ""))


class InputError(AfmlError):
    """A file or option given by the user is wrong."""

    exit_code = 2


class GateError(InputError):
    """Data that were read and measured do not pass a gate.

    Attributes:
        table: What was measured until then, in lines that name nobody; shown above the message.
        listed: File that says by name of whom it is; it stays at the institution, and no message holds a line of it.
    """

    table: tuple[str, ...] = ()
    listed: Path | None = None


class ConfigError(AfmlError):
    """Settings contradict each other or would void a guarantee."""

    exit_code = 2


class BudgetError(AfmlError):
    """The privacy budget does not allow the next step."""

    exit_code = 3


class PolicyError(BudgetError):
    """What this site wrote down for itself does not allow it, whoever else signed it."""


class TransportError(AfmlError):
    """A peer cannot be reached or its certificate is refused."""

    exit_code = 4


class ProtocolError(AfmlError):
    """A peer sent something the protocol forbids."""

    exit_code = 5


class Superseded(ProtocolError):
    """In order, but the run has moved on: whoever said it waits for the next announcement."""


class Twin(ProtocolError):
    """Another process takes part for the same institution, with a copy of its work folder."""


class IntegrityError(AfmlError):
    """Data does not match its signature, digest or residual bound."""

    exit_code = 6


class ModelsDiffer(IntegrityError):
    """Nodes that applied the same rounds hold different models: somebody bent a sum, or signs what is not so."""


class SumNotVerified(IntegrityError):
    """A sum's check value is not its own: somebody bent the sum, or sent a check value that is not of its update."""


class Outdated(IntegrityError):
    """This institution's own files are older than what others have of them: it does nothing more from them."""


class ReleaseError(AfmlError):
    """A release missed its target and was refused."""

    exit_code = 7


class Stopped(AfmlError):
    """A party was asked to stop and did so in order: nothing is wrong."""

    exit_code = 0
