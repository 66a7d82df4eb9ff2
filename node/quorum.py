"""How few institutions may be in a sum: what a site demands of a consortium of so many, and what small sums tell."""

from __future__ import annotations

from typing import Literal

from afml.consortium.run import RunConfig

USUAL, PAIR = 3, 2


def usual(institutions: int) -> int:
    """The quorum that a site demands where it says none: three, or both of two."""
    return max(PAIR, min(USUAL, institutions))


def usual_noise(institutions: int) -> tuple[Literal["distributed", "local"], ...]:
    """The noise that a site allows where it says none; of two institutions, what each has added whole by itself."""
    return ("local",) if institutions <= PAIR else ("distributed", "local")


def of_a_pair(institutions: int) -> str:
    """What it means that a consortium has two institutions, for whoever writes a policy; "" where it has more."""
    if institutions > PAIR:
        return ""
    return (
        "of a sum of two, each institution can take its own update off and read the other's, with that one's noise "
        "alone on it: only local noise is whole then, so that this policy allows no other (`afml configure --noise "
        "local`)"
    )


def unmet(quorum: int, institutions: int) -> str:
    """That no run of a roster's institutions has this quorum; "" where one may."""
    if quorum <= institutions:
        return ""
    return (
        f"{quorum} institutions in a sum, and the roster has {institutions}: each run is refused until run.quorum is "
        f"{institutions} at most, or more have joined"
    )


def larger(run: RunConfig, demanded: int, file: str) -> str:
    """How a run comes to the quorum that a site demands, as a cure.

    Args:
        run: Its quorum is smaller.
        demanded: By the site.
        file: Of its policy.
    """
    if len(run.enrolled) >= demanded:
        return f"have it made with `afml configure --quorum {demanded}`"
    return (
        f"have it made of {demanded} institutions, or set run.quorum to {run.quorum} in {file}, if this site wants "
        "sums of so few"
    )


def small_sums(run: RunConfig, *, own_noise: bool = False) -> str:
    """What one institution can read of another's update in a sum, where noise that is counted does not cover it, or
    where the sum is of two; "" elsewhere.

    Args:
        run: The run.
        own_noise: This site's own noise alone is counted.
    """
    covered = run.noise == "local" or own_noise
    if run.quorum <= PAIR:
        noise = "all the noise that is counted" if covered else "less noise than is counted"
        return (
            "a sum may be of two institutions: each can take its own update off it and read the other's, with that "
            f"one's noise alone on it: {noise}"
        )
    if covered or run.max_colluding:
        return ""
    return (
        "no institution is taken to know a share of the noise (max_colluding 0), and each knows its own: what it can "
        "read in a sum is under less noise than is counted"
    )
