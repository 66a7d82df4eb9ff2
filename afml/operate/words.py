"""Times, sizes and counts as people read them."""

from __future__ import annotations

_UNITS = (("day", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
DAY_S = 86_400.0


def duration(seconds: float) -> str:
    """The two largest units of a duration: "3 days 4 h", "2 min 5 s"; below a minute with one decimal."""
    if seconds < 60:
        return f"{max(0.0, seconds):.1f} s"
    left, parts = round(seconds), list[str]()
    for unit, size in _UNITS:
        count, left = divmod(left, size)
        if count or parts:
            parts.append(f"{count} {unit}s" if unit == "day" and count != 1 else f"{count} {unit}")
        if len(parts) == 2:
            break
    return " ".join(parts)


def counted(count: int, one: str, more: str = "") -> str:
    """How many of something there are: "1 run", "2 runs".

    Args:
        count: How many.
        one: What one is called.
        more: What several, and none, are called; by default the same with an s.
    """
    return f"{count} {one if count == 1 else more or one + 's'}"


def party(role: str, name: str) -> str:
    """What a party is called: "node North"; "coordinator" where it is called by its role alone."""
    return role if name == role else f"{role} {name}"


def size(count: float) -> str:
    """Bytes in decimal units, three digits: "512 B", "1.23 MB"."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.0f} B" if unit == "B" else f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.4g} TB"
