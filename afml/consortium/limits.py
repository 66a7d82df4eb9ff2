"""Sizes that both ends of the wire keep to."""

MAX_MESSAGE = 2 << 20
"""Bytes of one gRPC message."""
PIECE = 1 << 20
"""Bytes of a letter's common part in one message."""
MAX_LETTER = 64 << 20
"""Bytes of the part of a letter that all its recipients get: a sealed model or key."""
MAX_OWN = 1 << 10
"""Bytes of the part that one recipient gets."""
MAX_SUBJECT = 40
"""Characters of a letter's subject."""
LETTERS = 16
"""Letters of one sender, and one more for each node of the run; a run needs fewer."""

TIME_MS = "afml-time-ms"
"""Trailing metadata of the aggregator's health check: its clock, Unix milliseconds."""
