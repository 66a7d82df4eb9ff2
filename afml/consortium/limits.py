"""Limits that both ends of the wire keep to, and why each is where it is.

Whoever holds a valid kit can send what it likes. So everything that one node can make the aggregator hold at a time, in
memory, on disk or in file handles, has a number here; honest nodes stay below each by a factor of two or more.
"""

# -- sizes ---------------------------------------------------------------------------------------------

MAX_MESSAGE = 2 << 20
"""Bytes of one gRPC message: a ciphertext is at most 30 KB, a piece of a letter 1 MiB."""
MAX_WORD = 16 << 10
"""Bytes of a call that is one message, and of a header: the longest of an honest node has 2 KB. They are stored, and
announced to everybody, with whatever fields their sender has added."""
MAX_RECEIPT = 4 << 10
"""Bytes of the ledger receipt in an update's header: an index, a hash and a signed head, under 1 KB."""
PIECE = 1 << 20
"""Bytes of a letter's common part in one message."""
MAX_LETTER = 64 << 20
"""Bytes of the part of a letter that all its recipients get, under a subject of `afml.consortium.makers`: a model or a
key; or of `afml.consortium.overlap`, where it is besides as long as the run's people make it. In memory until it is
whole."""
MAX_NOTE = 256 << 10
"""Bytes of that part of any other letter: a signed head with its proof."""
MAX_OWN = 3 << 10
"""Bytes of the part that one recipient gets: a tag or a sealed key, 1.2 KB with ML-KEM's ciphertext; a
countersignature."""
MAX_SUBJECT = 40
"""Characters of a letter's subject."""
LETTERS, LETTERS_PER_NODE = 16, 2
"""Letters of one sender, and how many more for each node of the run; a run needs fewer."""
MAX_TOLD = 300
"""Characters of a refusal in the log: it may quote what was sent."""

# -- streams of one node at a time; the newest stand, since what is left of a broken connection is the older one -------

UPDATES_AT_ONCE = 1
"""Updates on their way, and so half uploads on disk: one counts."""
LETTERS_AT_ONCE = 1
"""Letters on their way, and so in memory: a node writes them one after the other."""
SUMS_AT_ONCE = 2
"""Sums that are read: a node reads one, and may have lost a connection in the middle of it."""
FOLLOWED_AT_ONCE = 16
"""Streams of announcements: a node follows one; `benchmarks/load.py` tries a thousand of 64 nodes."""
AWAITED_AT_ONCE = 4
"""Letters that are waited for: a node waits for one."""

# -- time ----------------------------------------------------------------------------------------------

SILENCE_S = 60.0
"""Seconds between two messages of an update or a letter: longer than both ends take to notice that a connection is gone
(`afml/consortium/connection.py`)."""
HANDSHAKE_S = 20
"""Seconds for a TLS handshake: a file handle each meanwhile."""
IDLE_S = 60
"""Seconds that a connection may be open without a call: a node always follows the announcements by one."""

# -- file handles --------------------------------------------------------------------------------------

FILES_KEPT, FILES_PER_NODE = 64, 4
"""File handles that connections leave to the store, the log and the adding processes; and to what each node of the run
may have open on disk: an update, a letter, two sums."""
MOST_FILES = 65_536
"""File handles that the aggregator asks the system for."""
FEWEST_CONNECTIONS = 16
"""Connections that are let in however few file handles there are."""

TIME_MS = "afml-time-ms"
"""Trailing metadata of the aggregator's health check: its clock, Unix milliseconds."""
