"""The variants: mechanisms of the same PLE, and the estimates that are made of what they measure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from afml.masking.networks.features import MEDIAN_FEATURE_NORM
from benchmarks.sharper.ground import Ground
from benchmarks.sharper.mechanism import Coordinates, Mechanism

BOUND = "bound"


@dataclass(frozen=True)
class Variant:
    """One row of the table.

    Attributes:
        family: Of the question it answers.
        says: What differs from the base.
        mechanism: Made for the panel of a ground.
        estimate: A name in `benchmarks.sharper.estimate.ESTIMATES`.
    """

    family: str
    says: str
    mechanism: Callable[[Ground], Mechanism]
    estimate: str = "sparse"

    @property
    def private(self) -> bool:
        """Whether it is one at all, and no bound of what they can reach."""
        return self.family != BOUND


def fixed(**changes: object) -> Callable[[Ground], Mechanism]:
    return lambda _: Mechanism(**changes)  # type: ignore[arg-type]


def pruned(ground: Ground, square: float) -> NDArray[np.bool_]:
    """Sites of which no two have r^2 above `square` on the panel; the more common one stays, bool [sites]."""
    standard = ground.panel_standard.astype(np.float64)
    linked = (standard.T @ standard / len(standard)) ** 2
    stays = np.zeros(ground.sites, np.bool_)
    for site in np.argsort(-ground.statistics.scale, kind="stable"):
        stays[site] = not (linked[site, stays] > square).any()
    return stays


def commonest(ground: Ground, kept: int) -> NDArray[np.bool_]:
    """The sites of the largest variance on the panel, bool [sites]."""
    stays = np.zeros(ground.sites, np.bool_)
    stays[np.argsort(-ground.statistics.scale, kind="stable")[:kept]] = True
    return stays


def _pruned_to(ground: Ground, square: float) -> Mechanism:
    return Mechanism(measured=pruned(ground, square))


def _commonest_of(ground: Ground, kept: int) -> Mechanism:
    return Mechanism(measured=commonest(ground, kept))


def components(ground: Ground, kept: int, flat: float) -> Mechanism:
    """The panel's principal components in place of sites, each shrunk by its eigenvalue to the power `flat` / 2.

    At 0 coordinates keep their variance, at 1 all have the same. The median panel person is as long as ever.
    """
    values, vectors = ground.spectrum
    vectors, shrunk = vectors[:, :kept], values[:kept] ** (-flat / 2)
    length = float(np.median(np.linalg.norm(ground.panel @ (vectors * shrunk), axis=1)))
    shrunk = shrunk * MEDIAN_FEATURE_NORM / length
    return Mechanism(
        coordinates=Coordinates((vectors * shrunk).astype(np.float32), (vectors / shrunk).astype(np.float32))
    )


def by_blocks(ground: Ground, kept: int) -> Mechanism:
    """The strongest components of 64 blocks of neighbouring sites, `kept` in all, as many of a block as it needs."""
    forth = np.zeros((ground.sites, ground.sites))
    size = np.zeros(ground.sites)
    for block in np.array_split(np.arange(ground.sites), 64):
        values, vectors = np.linalg.eigh(ground.linkage[np.ix_(block, block)])
        forth[np.ix_(block, block)], size[block] = vectors, values
    forth = forth[:, np.argsort(-size, kind="stable")[:kept]]
    length = float(np.median(np.linalg.norm(ground.panel @ forth, axis=1)))
    scale = MEDIAN_FEATURE_NORM / length
    return Mechanism(coordinates=Coordinates((forth * scale).astype(np.float32), (forth / scale).astype(np.float32)))


BASE = "base"
COORDINATES, NOISE, CLIP, SELECTION = "coordinates", "correlated noise", "clip", "selection"


def _focused() -> dict[str, Variant]:
    """Private selection first: how early, how few, in how many stages; and by what."""
    once = [(4, 512), (6, 512), (6, 256), (8, 512), (8, 256), (8, 128), (10, 256), (10, 128), (10, 64)]
    stages = [((at, kept),) for at, kept in once]
    stages += [((6, 256), (12, 128)), ((8, 256), (14, 64)), ((10, 256), (15, 64)), ((5, 512), (10, 256), (15, 64))]
    stages += [
        ((6, 384), (10, 192), (14, 96)),
        ((4, 512), (8, 256), (12, 128)),
        ((3, 512), (6, 256), (9, 128), (12, 64)),
    ]
    made = {}
    for stops in stages:
        name = "-".join(f"{at}:{kept}" for at, kept in stops)
        says = ", ".join(f"{kept} sites after {at} rounds" for at, kept in stops)
        made[f"focus {name}"] = Variant(SELECTION, says, fixed(focus=stops))
        if stops in (((8, 256),), ((10, 256), (15, 64))):
            says += ", chosen by associations that the panel's LD has smoothed"
            made[f"smooth {name}"] = Variant(SELECTION, says, fixed(focus=stops, smooth=True))
    return made


VARIANTS: dict[str, Variant] = {
    BASE: Variant("", "the product's risk rounds", fixed()),
    "no noise": Variant(BOUND, "no privacy: what all variants could gain at most", fixed(noiseless=True)),
    "whole budget": Variant("budget", "no share kept for game rounds (`--game-rounds 0`)", fixed(game_share=0.0)),
    "dense": Variant("estimate", "normal effects along components in place of the LASSO", fixed(), "dense"),
    **{
        f"pruned {square:g}": Variant(
            COORDINATES, f"no two sites with r^2 above {square:g}", partial(_pruned_to, square=square)
        )
        for square in (0.8, 0.5, 0.2)
    },
    "commonest 512": Variant(COORDINATES, "half of the sites, by frequency", partial(_commonest_of, kept=512)),
    **{
        f"components {kept}, {flat:g}{' dense' if way == 'dense' else ''}": Variant(
            COORDINATES, f"{kept} principal components over eigenvalues^{flat / 2:g}; {way} estimate",
            partial(components, kept=kept, flat=flat), way,
        )
        for kept, flat, way in (
            (400, 0.0, "sparse"), (200, 0.0, "sparse"), (200, 0.5, "sparse"), (400, 0.5, "dense"), (200, 0.5, "dense"),
        )
    },
    **{
        f"blocks {kept}": Variant(
            COORDINATES, f"{kept} components of 64 blocks of neighbouring sites", partial(by_blocks, kept=kept)
        )
        for kept in (512, 256)
    },
    "BISR 4": Variant(NOISE, "banded inverse square root, 4 bands, everybody in every round", fixed(bands=4)),
    "one round each": Variant(NOISE, "everybody in one round, independent noise", fixed(once=True)),
    "one round each, BISR 4": Variant(NOISE, "everybody in one round, 4 bands", fixed(once=True, bands=4)),
    "one round each, BISR 20": Variant(NOISE, "everybody in one round, 20 bands", fixed(once=True, bands=20)),
    "5 blocks": Variant("clip blocks", "5 blocks of neighbouring sites, each clipped", fixed(blocks=5)),
    "32 blocks": Variant("clip blocks", "32 blocks", fixed(blocks=32)),
    **{
        f"clip {norm:g}": Variant(CLIP, f"clip norm {norm:g} of a typical gradient", fixed(clip_norm=norm))
        for norm in (0.8, 0.5, 0.25)
    },
    "clip 0.5, no constant": Variant(
        CLIP, "and no constant input (half are cases)", fixed(clip_norm=0.5, constant=False)
    ),
    **_focused(),
    "all of it": Variant(
        "together", "focus 10:256-15:64, clip norm 0.5, whole budget",
        fixed(focus=((10, 256), (15, 64)), clip_norm=0.5, game_share=0.0),
    ),
}  # fmt: skip
