"""Verifier, sixth part: whether an entry proves that what it takes over from an earlier ledger is all of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from afml.ledger import independent


def import_problem(
    leaves: Sequence[bytes], index: int, body: Mapping[str, object], key_at: Callable[[int], bytes]
) -> str:
    """What is wrong with an import; "" where nothing is.

    Args:
        leaves: Recomputed, of the whole ledger.
        index: Place of the entry: what is before it was imported.
        body: The entry.
        key_at: The key that signs the head of so many entries.
    """
    notes = body.get("heads")
    heads = [(str(note), _head(str(note), key_at)) for note in (notes if isinstance(notes, list) else [])]
    roots = _roots(leaves, {index, *(head.size for _, head in heads if head)})
    if (body.get("size"), body.get("root")) != (index, roots[index].hex()):
        return "names other entries than stand before it"
    last = _head(str(body.get("head")), key_at)
    if last is None or (last.origin, last.size, last.root) != (body.get("origin"), index, roots[index]):
        return "holds no head of the old ledger over all that was imported"
    peers = body.get("peers")
    known = {str(name): _bytes(key) for name, key in peers.items()} if isinstance(peers, dict) else {}
    vouching: set[str] = set()
    for note, head in heads:
        if head is None or head.origin != body.get("origin") or roots.get(head.size) != head.root:
            return "holds a head that others keep and that is not of what was imported"
        vouching |= {name for name, key in known.items() if independent.countersigned(note, name, key)}
    stated = {name: body.get(name) for name in ("origin", "old_key", "new_key", "size", "root")}
    text = json.dumps(stated, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    if signature := _bytes(body.get("signature")):
        if not independent.signed(_bytes(body.get("old_key")), signature, b"afml/v1/import\n" + text.encode()):
            return "is not signed by the old key"
        return ""
    if known and 2 * len(vouching) <= len(known):
        return f"{len(vouching)} of {len(known)} institutions that have met the old ledger vouch for it"
    return ""


def _head(note: str, key_at: Callable[[int], bytes]) -> independent.Head | None:
    try:
        return independent.read_head(note, key_at(int(note.split("\n", 2)[1])))
    except (ValueError, IndexError):
        return None


def _roots(leaves: Sequence[bytes], sizes: set[int]) -> dict[int, bytes]:
    tree, roots = independent.Counter(), {0: independent.Counter().root()}
    for size, leaf in enumerate(leaves, start=1):
        tree.add(leaf)
        if size in sizes:
            roots[size] = tree.root()
    return roots


def _bytes(value: object) -> bytes:
    try:
        return bytes.fromhex(str(value))
    except ValueError:
        return b""
