"""Who may look: a token from the terminal or a file opens a session; a session's own word must come with every change.

Secrets are 32 random bytes. A link is good for one sign-in, and another one is printed when it was used; a token file
is read anew at every sign-in, so that replacing it shuts out whoever knew it. Sessions live in memory alone.
"""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from afml.core.errors import InputError
from afml.core.files import read_secret, write_secret

COOKIE = "afml-console"
SESSION_S = 8 * 3600.0
"""Seconds after which a session is over, whatever is done in it."""
MOST_SESSIONS = 64
LEAST_TOKEN = 32
"""Characters of a token file: what somebody types from memory is guessed."""


def _secret() -> str:
    return secrets.token_urlsafe(32)


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


@dataclass(frozen=True)
class Session:
    """Somebody who signed in.

    Attributes:
        csrf: What every form of this session must bring back.
        until: When it is over, by the clock of `Access`.
    """

    csrf: str
    until: float

    def vouches(self, given: str) -> bool:
        """Whether a form is of a page that this session was shown."""
        return _same(given, self.csrf)


class Links:
    """Tokens that are good once, one at a time.

    Args:
        tell: Is given each new token.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell, self._token, self._lock = tell, _secret(), threading.Lock()

    def begin(self) -> None:
        """Tell the first one."""
        self._tell(self._token)

    def take(self, given: str) -> bool:
        """Whether it is the one that was told last; if so, it is good no more and another one is told."""
        with self._lock:
            if not _same(given, self._token):
                return False
            self._token = _secret()
            told = self._token
        self._tell(told)
        return True


class TokenFile:
    """A token in a file that its owner alone may read; it is made where there is none.

    Args:
        path: The file.

    Raises:
        InputError: Others may read it, or it is too short.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        if not path.exists():
            write_secret(path, _secret().encode(), b"\n")
        self._read()

    def take(self, given: str) -> bool:
        """Whether it is what the file holds now.

        Raises:
            InputError: As the constructor.
        """
        return _same(given, self._read())

    def _read(self) -> str:
        token = read_secret(self._path).decode("utf-8", "replace").strip()
        if len(token) < LEAST_TOKEN:
            cure = "remove it, and `afml console` writes another one"
            raise InputError(f"holds fewer than {LEAST_TOKEN} characters", where=self._path, cure=cure)
        return token


class Access:
    """Sessions.

    Args:
        door: Says whether a token is good.
        clock: Seconds that never run backwards.
    """

    def __init__(self, door: Links | TokenFile, clock: Callable[[], float] = time.monotonic) -> None:
        self._door, self._clock, self._lock = door, clock, threading.Lock()
        self._sessions: dict[str, Session] = {}

    def enter(self, token: str) -> str | None:
        """Open a session for who brings a good token; returns its cookie.

        Raises:
            InputError: The token file is not what it must be.
        """
        if not self._door.take(token):
            return None
        cookie = _secret()
        with self._lock:
            self._drop_old()
            while len(self._sessions) >= MOST_SESSIONS:
                del self._sessions[next(iter(self._sessions))]  # the first one that was opened
            self._sessions[cookie] = Session(_secret(), self._clock() + SESSION_S)
        return cookie

    def session(self, cookie: str) -> Session | None:
        """Of a cookie; None where there is none any more."""
        with self._lock:
            self._drop_old()
            return self._sessions.get(cookie)

    def leave(self, cookie: str) -> None:
        """Sign out."""
        with self._lock:
            self._sessions.pop(cookie, None)

    def _drop_old(self) -> None:
        now = self._clock()
        self._sessions = {cookie: one for cookie, one in self._sessions.items() if one.until > now}
