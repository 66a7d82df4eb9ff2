"""What explains the trait beside genotypes: from noised cross products to coefficients, equal at every node.

A person is v = (1, covariates, components, trait), and contributes the products of its entries. Coefficients are found
by a Cholesky decomposition in plain float64 arithmetic in a fixed order, which comes to the same bits everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from afml.tasks.gwas.settings import GwasSettings
from afml.tasks.release.blocks import Block

Float64 = NDArray[np.float64]
#: The bound on a person's products, in lengths of somebody whose entries are independent standard normal numbers.
_ROOM = 1.25
#: Pivots of the decomposition must stay above so many standard deviations of the noise of an entry.
_CLEAR = 2.0


@dataclass(frozen=True)
class Fit:
    """A linear model of the trait.

    Attributes:
        coefficients: Of the constant, the covariates and the components, in this order, on their scales.
        residual: Standard deviation of what is left of the trait, in its declared spreads.
        mean: Of the trait.
    """

    coefficients: tuple[float, ...]
    residual: float
    mean: float


def product_block(settings: GwasSettings) -> Block:
    """The products of a person's entries, without that of the constant with itself, as a block of the release."""
    rows, columns = pairs(settings)
    square = _typical_squares(settings)
    centre = np.where(rows == columns, square[rows], 0.0)
    # The variance of a product of independent entries; of a normal number's square it is 2.
    variance = np.where(rows == columns, 2.0 * np.square(square[rows]), square[rows] * square[columns])
    return Block("products", (len(rows),), _ROOM * math.sqrt(float(variance.sum())), centre=centre)


def pairs(settings: GwasSettings) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which entries each product is of: (rows, columns), columns not before rows."""
    rows, columns = np.triu_indices(settings.explained_by + 2)
    return rows[1:], columns[1:]


def products(settings: GwasSettings, explained: Float64, trait: Float64) -> Float64:
    """Products of people's entries, [people, products].

    Args:
        settings: Of the scan.
        explained: Covariates and components, [people, covariates + components].
        trait: On its scale, [people].
    """
    entries = np.column_stack([np.ones(len(trait)), explained, trait])
    rows, columns = pairs(settings)
    return np.asarray(entries[:, rows] * entries[:, columns])


def fitted(settings: GwasSettings, sums: Float64, people: int, std: float) -> Fit:
    """Least squares from noised sums of products.

    Where noise leaves the normal equations without a solution that stands out of it, a ridge is doubled until there is
    one.

    Args:
        settings: Of the scan.
        sums: Of `products`, [products].
        people: Whose.
        std: Standard deviation of the noise in each sum.
    """
    size = settings.explained_by + 2
    square = [[0.0] * size for _ in range(size)]
    square[0][0] = float(people)
    for row, column, value in zip(*(part.tolist() for part in pairs(settings)), sums.tolist(), strict=True):
        square[row][column] = square[column][row] = value
    last = size - 1
    right = [square[row][last] for row in range(last)]
    matrix = [row[:last] for row in square[:last]]
    ridge, solved = 0.0, None
    while solved is None:
        added = [[value + (ridge if i == j and i > 0 else 0.0) for j, value in enumerate(row)]
                 for i, row in enumerate(matrix)]  # fmt: skip
        solved = solve(added, right, _CLEAR * std)
        ridge = 2.0 * ridge if ridge else std
    rest = square[last][last]
    for i in range(last):
        rest -= 2.0 * solved[i] * right[i]
        for j in range(last):
            rest += solved[i] * matrix[i][j] * solved[j]
    typical = _typical_squares(settings)[last]
    variance = min(max(rest / max(1, people), 0.01 * typical), 16.0 * typical)
    return Fit(tuple(solved), math.sqrt(variance), right[0] / max(1, people))


def solve(matrix: Sequence[Sequence[float]], right: Sequence[float], least: float) -> list[float] | None:
    """x of `matrix x = right`, by Cholesky; None where a pivot but the first is not above `least`.

    Args:
        matrix: Symmetric, [size, size].
        right: [size].
        least: At least 0.
    """
    size = len(right)
    lower = [[0.0] * size for _ in range(size)]
    for i in range(size):
        for j in range(i + 1):
            value = matrix[i][j]
            for k in range(j):
                value -= lower[i][k] * lower[j][k]
            if i == j:
                if not value > (least if i else 0.0):
                    return None
                lower[i][i] = math.sqrt(value)
            else:
                lower[i][j] = value / lower[j][j]
    forward = [0.0] * size
    for i in range(size):
        value = right[i]
        for k in range(i):
            value -= lower[i][k] * forward[k]
        forward[i] = value / lower[i][i]
    found = [0.0] * size
    for i in reversed(range(size)):
        value = forward[i]
        for k in range(i + 1, size):
            value -= lower[k][i] * found[k]
        found[i] = value / lower[i][i]
    return found


def _typical_squares(settings: GwasSettings) -> Float64:
    """About the mean square of each entry: 1 on a declared scale, 1/4 of a binary trait about one half."""
    squares = np.ones(settings.explained_by + 2)
    if settings.trait.kind == "binary":
        squares[-1] = 0.25
    return squares
