"""Text from elsewhere, shown as text: no terminal acts on it, and no line of it passes for another."""

from __future__ import annotations

import re

# C0 and C1 controls but the newline, marks that change the direction of writing or take no room, halves of pairs.
_ACTING = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff"
    "\ufff9-\ufffb\U000e0000-\U000e007f]"
)


def plain(text: str) -> str:
    """`text` with every character that a terminal acts on written out, an escape as `\\x1b`; lines stay lines."""
    return _ACTING.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def plain_line(text: str) -> str:
    """`plain`, in one line: a newline is written out too."""
    return plain(text).replace("\n", r"\n")
