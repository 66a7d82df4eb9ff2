"""What attacks found of a released file later, and what of its promises holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from afml.ledger.joint import JointGroups

ROUNDING = 1e-6
"""Shares are recorded with six decimals."""
ASKED = "target RR"
"""Recorded among what does not hold, and promised by nobody: whoever attacks a file again may ask for a rate."""


@dataclass(frozen=True)
class Reassessment:
    """What today's attacks found of a released file.

    Attributes:
        release: Its entry.
        public_people: Public people that the attacker had, the panel included.
        relatives: Relatives of people in the file whose genotypes the attacker had.
        attacks: Names of the attacks, in order.
        rr: Re-identification rate of the worst one, institution known, in [0, 1].
        attacked: Records that were: those of people who are still there.
        target_rr: Rate that was asked of these attacks, institution known; None: none. No promise of the release: its
            plan may have withstood another rate, on public people.
    """

    release: int
    public_people: int
    relatives: int
    attacks: tuple[str, ...]
    rr: float
    attacked: int
    target_rr: float | None = None

    def broken(self, groups: JointGroups, patterns: int) -> list[str]:
        """What does not hold, by name: promises, and then the rate that was asked for.

        Args:
            groups: Of the release, as they are now.
            patterns: In the file.
        """
        bound = rr_bound(patterns, self.attacked)
        kept = {
            "joint groups": groups.smallest >= groups.promised,
            "group size": round(self.rr, 6) <= bound + ROUNDING,
            ASKED: self.target_rr is None or round(self.rr, 6) <= self.target_rr + ROUNDING,
        }
        return [name for name, holds in kept.items() if not holds]


def rr_bound(patterns: int, attacked: int) -> float:
    """What group size alone allows: whoever shows one pattern looks alike, and of each pattern one person is named.

    Args:
        patterns: In the file.
        attacked: Records of it that are attacked, at least 1.

    Returns:
        Share of those records whose person any attacker names at most, in [0, 1].
    """
    return min(1.0, patterns / attacked)


def verdict(broken: Sequence[str], target_rr: float | None) -> tuple[str, str]:
    """What a reassessment says, in words.

    Args:
        broken: What does not hold, by name.
        target_rr: Rate that was asked for; None: none.

    Returns:
        (of what was promised, of what was asked: empty where nothing was).
    """
    promised = [name for name in broken if name != ASKED]
    kept = f"NOT KEPT: {', '.join(promised)}" if promised else "all kept"
    if target_rr is None:
        return kept, ""
    return kept, f"{ASKED} {100 * target_rr:.3g} %, {'NOT MET' if ASKED in broken else 'met'}"
