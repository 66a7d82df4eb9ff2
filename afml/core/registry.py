"""Named things that are loaded when asked for: one line in a table, one new file, and no `if` anywhere.

docs/EXTENDING.md adds one to each table of the product.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Generic, TypeVar, cast

from afml.core.errors import ConfigError

Thing = TypeVar("Thing")


class Registry(Generic[Thing]):
    """A table of name -> "module:attribute".

    The module is imported when its name is asked for: a room may list what stands above it, and who asks for one
    entry never loads the others.

    Args:
        what: One of them in words, for messages ("attack").
        entries: name -> "package.module:attribute".
    """

    def __init__(self, what: str, entries: Mapping[str, str]) -> None:
        self.what = what
        self._entries = dict(entries)

    def names(self) -> tuple[str, ...]:
        """All names, in the order of the table."""
        return tuple(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def get(self, name: str, *, where: object = "") -> Thing:
        """What is called `name`.

        Raises:
            ConfigError: Nothing is; the message lists what there is.
        """
        if name not in self._entries:
            raise ConfigError(
                f"there is no {self.what} called {name!r}", where=where, cure=f"use one of {', '.join(self._entries)}"
            )
        module, _, attribute = self._entries[name].partition(":")
        return cast(Thing, getattr(importlib.import_module(module), attribute))
