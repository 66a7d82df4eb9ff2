"""Verifier, fifth part: which key signs which head, and whether every key has inherited the ledger."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from afml.ledger import independent
from afml.ledger.verify_imports import import_problem
from afml.ledger.verify_spends import Copy


@dataclass(frozen=True)
class Keys:
    """The keys and names of a ledger.

    Attributes:
        earlier: (entry that changed it, key before it), ascending.
        present: Its key.
        names: (entry that imported what is before it, name before it), ascending.
        name: Its name.
    """

    earlier: tuple[tuple[int, bytes], ...]
    present: bytes
    names: tuple[tuple[int, str], ...]
    name: str

    def at(self, size: int) -> bytes:
        """The key that signs the head of `size` entries: the new one from the succession's own head on."""
        return next((key for index, key in self.earlier if size <= index), self.present)

    def named(self, size: int) -> str:
        """The name that the head of `size` entries bears, likewise."""
        return next((name for index, name in self.names if size <= index), self.name)

    def imported(self, name: str) -> int | None:
        """How many entries there are of an earlier name; None for any other."""
        return next((index for index, other in self.names if other == name), None)


def keys_of(copy: Copy, present: bytes, peers: Mapping[str, bytes]) -> Keys:
    """Follow the successions and imports of a ledger: each must be proven by what its entry holds.

    Args:
        copy: The ledger.
        present: Its key, from outside.
        peers: Origin -> key of other institutions, where the auditor has them.
    """
    found = [(i, body) for i, body in enumerate(copy.bodies) if body.get("kind") in ("succession", "import")]
    names = tuple((i, str(body.get("origin"))) for i, body in found if body.get("kind") == "import")
    earlier = tuple((index, _bytes(body.get("old_key"))) for index, body in found)
    keys = Keys(earlier, present, names, copy.result.origin)
    for place, (index, body) in enumerate(found):
        follows = str(found[place + 1][1].get("old_key")) if place + 1 < len(found) else present.hex()
        where = f"entry {index}"
        if body.get("new_key") != follows:
            copy.result.add("wrong-key", where, "names another key than the one that came after it")
        if body.get("kind") == "import":
            if problem := import_problem(copy.leaves, index, body, keys.at):
                copy.result.add("unproven-import", where, problem)
        elif problem := _problem(keys.named(index), body, peers):
            copy.result.add("unvouched-succession", where, problem)
    if more := len(found) - len(names):
        copy.result.checked.append(f"{more} successions of its key")
    for index, name in names:
        copy.result.checked.append(f"that its first {index} entries are all of {name}")
    return keys


def _problem(origin: str, body: Mapping[str, object], peers: Mapping[str, bytes]) -> str:
    plain = {name: body.get(name) for name in ("old_key", "new_key", "size", "root")} | {"origin": origin}

    def signed(key: object, signature: object, voucher: str) -> bool:
        text = json.dumps({**plain, "voucher": voucher}, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        message = b"afml/v1/succession\n" + text.encode()
        return independent.signed(_bytes(key), _bytes(signature), message)

    if not signed(body.get("old_key"), body.get("signature"), ""):
        return "is not signed by the key before it"
    vouches, others = body.get("vouches"), body.get("others")
    good = set()
    for one in vouches if isinstance(vouches, list) else []:
        name, key = str(one.get("origin")), one.get("key")
        known = name not in peers or peers[name].hex() == key
        if name != origin and known and signed(key, one.get("signature"), name):
            good.add(name)
    if not isinstance(others, int) or 2 * len(good) <= others:
        return f"{len(good)} of {others} other institutions vouch for it"
    return ""


def _bytes(value: object) -> bytes:
    try:
        return bytes.fromhex(str(value))
    except ValueError:
        return b""
