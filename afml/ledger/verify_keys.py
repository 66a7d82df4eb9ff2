"""Verifier, fifth part: which key signs which head, and whether every key has inherited the ledger."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from afml.ledger import independent
from afml.ledger.verify_spends import Copy


@dataclass(frozen=True)
class Keys:
    """The keys of a ledger: (entry of a succession, key before it), ascending, and the present one."""

    earlier: tuple[tuple[int, bytes], ...]
    present: bytes

    def at(self, size: int) -> bytes:
        """The key that signs the head of `size` entries: the new one from the succession's own head on."""
        return next((key for index, key in self.earlier if size <= index), self.present)


def keys_of(copy: Copy, present: bytes, peers: Mapping[str, bytes]) -> Keys:
    """Follow the successions of a ledger, each of which must be signed and vouched for.

    Args:
        copy: The ledger.
        present: Its key, from outside.
        peers: Origin -> key of other institutions, where the auditor has them.
    """
    found = [(i, body) for i, body in enumerate(copy.bodies) if body.get("kind") == "succession"]
    earlier = []
    for place, (index, body) in enumerate(found):
        follows = str(found[place + 1][1].get("old_key")) if place + 1 < len(found) else present.hex()
        where = f"entry {index}"
        if body.get("new_key") != follows:
            copy.result.add("wrong-key", where, "names another key than the one that came after it")
        problem = _problem(copy.result.origin, body, peers)
        if problem:
            copy.result.add("unvouched-succession", where, problem)
        earlier.append((index, _bytes(body.get("old_key"))))
    if found:
        copy.result.checked.append(f"{len(found)} successions of its key")
    return Keys(tuple(earlier), present)


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
