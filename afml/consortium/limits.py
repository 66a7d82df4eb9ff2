"""Sizes that both ends of the wire keep to."""

MAX_MESSAGE = 2 << 20
"""Bytes of one gRPC message."""
PIECE = 1 << 20
"""Bytes of a letter in one message."""
MAX_LETTER = 64 << 20
"""Bytes of a letter: a sealed model or key."""
MAX_SUBJECT = 40
"""Characters of a letter's subject."""
LETTERS_PER_PEER = 16
"""Letters of one sender to one recipient; a run needs fewer."""

TIME_MS = "afml-time-ms"
"""Trailing metadata of the aggregator's health check: its clock, Unix milliseconds."""
