"""Configuration: frozen pydantic models read from TOML or JSON, unknown keys refused."""

from __future__ import annotations

import difflib
import hashlib
import json
import tomllib
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from afml.core.errors import InputError
from afml.core.files import require_file


def canonical_json(value: object) -> bytes:
    """One byte string per value: sorted keys, no spaces, UTF-8. What digests and signatures are taken over."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def require_shallow(value: object, depth: int) -> None:
    """Refuse a JSON value that is nested more than `depth` deep.

    Raises:
        ValueError: Likewise.
    """
    parts: list[object] = [value]
    for _ in range(depth + 1):
        inside = [list(part.values()) if isinstance(part, dict) else part for part in parts]
        parts = [one for part in inside if isinstance(part, (list, tuple)) for one in part]
        if not parts:
            return
    raise ValueError(f"is nested more than {depth} deep")


def complaint(error: ValidationError) -> str:
    """What is wrong with a configuration, in one line: "key: what". A misspelt key comes before one that is missing."""
    errors = error.errors()
    first = next((one for one in errors if one["type"] == "extra_forbidden"), errors[0])
    told = _WORDS.get(first["type"], first["msg"].removeprefix("Value error, "))
    return ": ".join(part for part in (_key(first), told) if part)


_WORDS = {"extra_forbidden": "is not known here", "missing": "is missing"}


def _key(error: ErrorDetails) -> str:
    return ".".join(str(part) for part in error["loc"])


def later(default: Any, **about: Any) -> Any:
    """A field of a signed file that came after such files were signed without it.

    Where it has its default it is not written, so what was signed before it was known is the same bytes as ever. What
    a file without it means is `default` for good: another default is another format.

    Args:
        default: Its value in files that do not have it.
        about: As of `pydantic.Field`.
    """
    return Field(default=default, exclude_if=lambda value: value == default, **about)


class Settings(BaseModel):
    """Base of every configuration model: immutable, strict about names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def canonical(self) -> bytes:
        """Canonical JSON of this model."""
        return canonical_json(self.model_dump(mode="json"))

    def digest(self) -> bytes:
        """SHA-256 of the canonical JSON, 32 bytes."""
        return hashlib.sha256(self.canonical()).digest()

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read TOML (`.toml`) or JSON.

        Raises:
            InputError: Missing file, bad syntax, unknown key or bad value; the message names the key.
        """
        data = _read(path)
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise cls.refused(error, path) from None

    @classmethod
    def refused(cls, error: ValidationError, where: object) -> InputError:
        """What is wrong with a file, for whoever wrote it by hand, or gave another file than the one that is meant."""
        at_top = [one for one in error.errors() if len(one["loc"]) == 1]
        unknown, absent = ([_key(one) for one in at_top if one["type"] == kind] for kind in _WORDS)
        if unknown and absent:
            told = f"is another file than is asked for here: {unknown[0]} is not known, and {absent[0]} is missing"
            return InputError(told, where=where, cure="give the right one, or correct these keys")
        near = difflib.get_close_matches(unknown[0], cls.model_fields, n=1) if unknown else []
        meant = f"did you mean {near[0]}? Otherwise " if near else ""
        return InputError(complaint(error), where=where, cure=f"{meant}correct this key")


class Signed(Settings):
    """A file that another party signs: nobody here can correct it, and what is unknown in it may not be passed over."""

    @classmethod
    def refused(cls, error: ValidationError, where: object) -> InputError:
        """What is wrong with it; something unknown was written by a newer AFML."""
        first = error.errors()[0]
        if first["type"] == "extra_forbidden":
            key = ".".join(str(part) for part in first["loc"])
            return InputError(
                f"says {key}, which this version of AFML does not know: a newer one wrote it",
                where=where,
                cure="update AFML here, or have it made by the version that all parties have",
            )
        return super().refused(error, where)


class FiniteSettings(Settings):
    """Settings all of whose numbers are finite: no digest can be taken of any other."""

    model_config = ConfigDict(allow_inf_nan=False)


def read_settings(path: Path) -> dict[str, Any]:
    """A table of TOML (`.toml`) or JSON, for somebody else to validate.

    Raises:
        InputError: Missing file, bad syntax, or something else than a table.
    """
    data = _read(path)
    if not isinstance(data, dict):
        raise InputError("is not a table of settings", where=path, cure="write name = value, or a JSON object")
    return data


def _read(path: Path) -> Any:
    require_file(path, "configuration")
    try:
        text = path.read_text(encoding="utf-8")
        data = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
        if "\\u" in text:  # the one way to write half a pair of code units: of that there is no UTF-8 to sign or print
            json.dumps(data, ensure_ascii=False, default=str).encode()
        return data
    except UnicodeEncodeError:
        raise InputError("holds half of a character, which no JSON can say", where=path, cure="correct it") from None
    except RecursionError:
        raise InputError("is nested too deeply", where=path, cure="correct the syntax") from None
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be parsed ({error})", where=path, cure="correct the syntax") from None
