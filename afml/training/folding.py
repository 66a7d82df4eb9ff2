"""Rows of a micro-batch folded into people in float64, a piece at a time, so that no float64 copy of all of it is made.

A piece is small enough for a core's cache: some people's gradient of one parameter where norms are taken, some columns
of everybody's where people are added up. Only a parameter larger than a piece is divided for its norm too; that is the
norm of the norms of its parts, as a person's is of those of all parameters. Where no parameter is larger the bits are
those that Opacus gives of a float64 copy of everything; else they differ in the last place.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from afml.core.errors import IntegrityError
from afml.training.outer import Outer

#: float64 values of a piece: 512 KiB in a CPU's cache; on a device, where every piece costs a start, 128 MiB.
_VALUES, _DEVICE_VALUES = 1 << 16, 1 << 24
_NARROWEST = 256  # columns of a piece


class Folded:
    """One parameter's gradients of the people of a micro-batch.

    Args:
        gradient: [rows, *shape].
        owner: Consecutive rows of each person, or the person of every row, in [0, people).
        people: How many there are.

    Raises:
        IntegrityError: The rows do not belong to so many people.
    """

    def __init__(self, gradient: torch.Tensor, owner: int | NDArray[np.int64], people: int) -> None:
        _require_rows(len(gradient), owner, people)
        self._rows = gradient.detach().reshape(len(gradient), math.prod(gradient.shape[1:]))  # [rows, values]
        self._people = people
        self._values = _VALUES if gradient.device.type == "cpu" else _DEVICE_VALUES
        if not isinstance(owner, int) and np.array_equal(owner, np.arange(people)):
            owner = 1  # nothing to add up
        self._starts: NDArray[np.int64] | None = None  # of each person's rows, where these come person by person
        if not isinstance(owner, int) and (np.diff(owner) >= 0).all():
            self._starts = np.searchsorted(owner, np.arange(people + 1))
        self._owner = owner if isinstance(owner, int) else torch.from_numpy(np.asarray(owner)).to(gradient.device)

    def norms(self) -> torch.Tensor:
        """L2 norm of each person's gradient, float64 [people]; NaN or infinite where it is not finite."""
        values = self._rows.shape[1]
        if values <= self._values:
            return self._norms(slice(0, values))
        return torch.stack([self._norms(columns) for columns in self._columns()]).norm(2, dim=0)

    def add_to(self, total: torch.Tensor, shares: torch.Tensor) -> None:
        """Add everybody's gradient times that person's share; somebody whose share is NaN adds nothing.

        Args:
            total: float64 [values], changed in place.
            shares: float64 [people].
        """
        left_out = torch.isnan(shares)
        shares, anybody = shares.nan_to_num(0.0), bool(left_out.any())
        for columns in self._columns():
            piece = _added(self._rows[:, columns], self._owner, self._people)
            if anybody:  # nothing times infinity is not nothing
                piece = piece.masked_fill(left_out[:, None], 0.0)
            if len(total) <= self._values:
                total[columns] += torch.einsum("i,ij", shares, piece)
            else:  # in one step, which is rounded otherwise
                total[columns].addmv_(piece.T, shares)

    def _columns(self) -> list[slice]:
        """Pieces of everybody's gradient, none much narrower than the others."""
        rows, values = self._rows.shape
        pieces = max(1, values // max(_NARROWEST, self._values // max(1, rows)))
        return [slice(values * one // pieces, values * (one + 1) // pieces) for one in range(pieces)]

    def _norms(self, columns: slice) -> torch.Tensor:
        """Norms of so much of each person's gradient, some people at a time."""
        rows = self._rows[:, columns]
        at_once = max(1, self._values // max(1, rows.shape[1] * math.ceil(len(rows) / self._people)))
        bounds = [(start, min(start + at_once, self._people)) for start in range(0, self._people, at_once)]
        return torch.cat([self._some(rows, start, stop).norm(2, dim=1) for start, stop in bounds])

    def _some(self, rows: torch.Tensor, start: int, stop: int) -> torch.Tensor:
        """The people from `start` up to `stop`, float64 [people, columns]."""
        if isinstance(self._owner, int):
            return _added(rows[start * self._owner : stop * self._owner], self._owner, stop - start)
        if (start, stop) == (0, self._people):
            return _added(rows, self._owner, self._people)
        theirs: slice | torch.Tensor
        if self._starts is not None:
            theirs = slice(int(self._starts[start]), int(self._starts[stop]))
        else:
            theirs = torch.nonzero((self._owner >= start) & (self._owner < stop))[:, 0]
        return _added(rows[theirs], self._owner[theirs] - start, stop - start)


class FoldedOuter:
    """What `Folded` is, of gradients that are outer products; nobody has more than one row.

    Args:
        gradient: Their factors.
        owner: As of `Folded`.
        people: How many there are.

    Raises:
        IntegrityError: Somebody has several rows.
    """

    def __init__(self, gradient: Outer, owner: int | NDArray[np.int64], people: int) -> None:
        _require_rows(len(gradient.right), owner, people)
        if not isinstance(owner, int) or owner != 1 or len(gradient.left) != people:
            raise IntegrityError("a task gave factors of several rows of one person", where="training")
        self._left, self._right = (one.detach().to(torch.float64) for one in (gradient.left, gradient.right))

    def norms(self) -> torch.Tensor:
        """L2 norm of each person's gradient, float64 [people]."""
        return self._left.norm(2, dim=1) * self._right.norm(2, dim=1)

    def add_to(self, total: torch.Tensor, shares: torch.Tensor) -> None:
        """As `Folded.add_to`."""
        kept = ~torch.isnan(shares)
        total += ((self._left[kept] * shares[kept, None]).T @ self._right[kept]).reshape(-1)


def folded(gradient: torch.Tensor | Outer, owner: int | NDArray[np.int64], people: int) -> Folded | FoldedOuter:
    """Gradients of one parameter, ready to be clipped; arguments are those of `Folded`."""
    made = FoldedOuter if isinstance(gradient, Outer) else Folded
    return made(gradient, owner, people)  # type: ignore[arg-type]


def fold(gradient: torch.Tensor, owner: int | NDArray[np.int64], people: int) -> torch.Tensor:
    """All of it at once: each person's rows added up, float64 [people, *shape]; arguments are those of `Folded`.

    Raises:
        IntegrityError: The rows do not belong to so many people.
    """
    _require_rows(len(gradient), owner, people)
    whose = owner if isinstance(owner, int) else torch.from_numpy(np.asarray(owner)).to(gradient.device)
    return _added(gradient.detach(), whose, people)


def _require_rows(rows: int, owner: int | NDArray[np.int64], people: int) -> None:
    if isinstance(owner, int):
        if rows != people * owner:
            raise IntegrityError(f"a task gave {rows} rows of {people} people, not {owner} of each", where="training")
    elif len(owner) != rows or (rows and not 0 <= int(owner.min()) <= int(owner.max()) < people):
        raise IntegrityError(f"a task gave rows that do not belong to the {people} people asked for", where="training")


def _added(rows: torch.Tensor, owner: int | torch.Tensor, people: int) -> torch.Tensor:
    """float64 [people, *shape] of rows [rows, *shape]."""
    exact = rows.to(torch.float64)
    if isinstance(owner, int):
        return exact.reshape(-1, owner, *exact.shape[1:]).sum(dim=1) if owner > 1 else exact
    folded = torch.zeros((people, *exact.shape[1:]), dtype=torch.float64, device=exact.device)
    return folded.index_add_(0, owner, exact)
