"""A slow and obvious reader of VCF and BCF: what a file says, value by value, or that it is not one.

It shares nothing with `afml.genomics.sources` but the specifications: blocks by the gzip module, lines by `str.split`,
BCF by `struct`, one value at a time.
"""

from __future__ import annotations

import gzip
import io
import re
import struct
import zlib
from dataclasses import dataclass

from afml.genomics.contigs import canonical

Call = tuple[int, int]
Said = tuple[str, int, tuple[str, ...], list[Call] | None]
"""(contig, position, alleles, calls or None where there is no GT)."""

_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
_MOST = 2**31 - 1
_BCF_INTEGERS = {1: ("<b", -128), 2: ("<h", -(2**15)), 3: ("<i", -(2**31))}
_BCF_BYTES = {0: 0, 1: 1, 2: 2, 3: 4, 5: 4, 7: 1}


class NotOne(Exception):
    """The file breaks a rule; says which."""


@dataclass
class Content:
    """What a file says."""

    samples: list[str]
    records: list[Said]


def read(data: bytes) -> Content:
    """What a bgzipped VCF or BCF says.

    Raises:
        NotOne: It cannot be read.
    """
    if not data.endswith(_END):
        raise NotOne("no end-of-file block")
    try:
        content = gzip.GzipFile(fileobj=io.BytesIO(data)).read()
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise NotOne("damaged block") from error
    try:
        return _binary(content) if content.startswith(b"BCF\2") else _text(content)
    except (ValueError, KeyError, IndexError, struct.error, UnicodeDecodeError) as error:
        raise NotOne(repr(error)) from error


def _text(content: bytes) -> Content:
    lines = content.decode("latin-1").split("\n")
    if lines[-1] == "":
        lines.pop()
    names = next(number for number, line in [*enumerate(lines), (0, "#CHROM")] if line.startswith("#CHROM"))
    samples = _header([line.rstrip("\r") for line in lines[: names + 1]])
    return Content(samples, [_line(line.rstrip("\r"), len(samples)) for line in lines[names + 1 :]])


def _header(lines: list[str]) -> list[str]:
    for line in lines:
        line.encode("latin-1").decode("utf-8")
        if not line.startswith("#"):
            raise NotOne("a header line that is none")
    if not lines[0].startswith("##fileformat=VCF"):
        raise NotOne("no fileformat")
    names = lines[-1].split("\t")
    if names[:8] != ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO"] or names[8:9] not in (
        [],
        ["FORMAT"],
    ):
        raise NotOne("column names")
    samples = [name.encode("latin-1").decode("utf-8") for name in names[9:]]
    if len(set(samples)) < len(samples) or "" in samples:
        raise NotOne("sample names")
    return samples


def _line(line: str, people: int) -> Said:
    fields = line.split("\t")
    if len(fields) != 9 + people:
        raise NotOne("columns")
    if line.startswith("#"):
        raise NotOne("a header line")
    chrom, pos, _, ref, alt = fields[:5]
    if not re.fullmatch("[0-9]+", pos) or int(pos) > _MOST or not (chrom and ref and alt):
        raise NotOne("site")
    utf8 = [text.encode("latin-1").decode("utf-8") for text in (chrom, ref, alt)]
    alleles = (utf8[1].upper(), *([] if alt == "." else utf8[2].upper().split(",")))
    keys = fields[8].split(":")
    calls = None
    if "GT" in keys:
        place = keys.index("GT")
        parts = [column.split(":") for column in fields[9:]]
        calls = [_call(part[place] if place < len(part) else ".", len(alleles)) for part in parts]
    return canonical(utf8[0]), int(pos), alleles, calls


def _call(text: str, alleles: int) -> Call:
    """VCF 4.4 lets a phase stand before the first allele."""
    numbers = re.split(r"[/|]", text[1:] if text[:1] in ("/", "|") else text)
    if len(numbers) > 2:
        raise NotOne("ploidy")
    found = []
    for number in numbers:
        if number != "." and not re.fullmatch("[0-9]+", number):
            raise NotOne("genotype")
        found.append(-1 if number == "." else int(number))
        if found[-1] >= alleles:
            raise NotOne("allele")
    return (found[0], found[1] if len(found) == 2 else -2)


# -- BCF -----------------------------------------------------------------------------------------------


def _binary(content: bytes) -> Content:
    size = struct.unpack_from("<I", content, 5)[0]
    if 9 + size > len(content):
        raise NotOne("header")
    lines = content[9 : 9 + size].rstrip(b"\0").decode("utf-8").removesuffix("\n").split("\n")
    samples = _header([line.rstrip("\r") for line in lines])
    contigs = [line.partition("ID=")[2].rstrip(">").split(",")[0] for line in lines if line.startswith("##contig=<")]
    keys = ["PASS"]
    for line in lines:
        match = re.match(r"##(?:FILTER|INFO|FORMAT)=<ID=([^,>]+)", line)
        if match and match[1] not in keys:
            keys.append(match[1])
    at, records = 9 + size, []
    while at < len(content):
        shared, each = struct.unpack_from("<II", content, at)
        at += 8
        if at + shared + each > len(content):
            raise NotOne("length")
        records.append(_bcf_record(content[at : at + shared], content[at + shared : at + shared + each], contigs, keys))
        if records[-1][3] is not None and len(records[-1][3]) != len(samples):
            raise NotOne("people")
        at += shared + each
    return Content(samples, records)


def _bcf_record(shared: bytes, each: bytes, contigs: list[str], keys: list[str]) -> Said:
    contig, pos, _, _, counts, people = struct.unpack_from("<iiifII", shared)
    if contig < 0 or pos < -1:
        raise NotOne("site")
    at = 24
    texts = []
    for _ in range(1 + (counts >> 16)):
        kind, count, at = _typed(shared, at)
        if kind not in (0, 7) or at + count > len(shared):
            raise NotOne("text")
        texts.append(shared[at : at + count].decode("utf-8").upper())
        at += count
    alleles = tuple(texts[1:2] if texts[2:] == ["."] else texts[1:])
    calls, at = None, 0
    for _ in range(people >> 24):
        key, at = _number(each, at)
        kind, count, at = _typed(each, at)
        end = at + (people & 0xFFFFFF) * count * _BCF_BYTES[kind]
        if end > len(each) or key < 0:
            raise NotOne("calls")
        if keys[key] == "GT" and calls is None and count:
            calls = [_bcf_call(each, at + person * count * _BCF_BYTES[kind], kind, count, len(alleles))
                     for person in range(people & 0xFFFFFF)]  # fmt: skip
        at = end
    return canonical(contigs[contig]), pos + 1, alleles, calls


def _bcf_call(each: bytes, at: int, kind: int, count: int, alleles: int) -> Call:
    form, least = _BCF_INTEGERS[kind]
    values = [struct.unpack_from(form, each, at + n * _BCF_BYTES[kind])[0] for n in range(count)]
    numbers = []
    for place, value in enumerate(values):
        if value == least + 1:
            if any(other != least + 1 for other in values[place:]):
                raise NotOne("a value after the end of a call")
            break
        if value < 0 and value != least:
            raise NotOne("negative")
        number = -1 if value == least else (value >> 1) - 1
        if number >= alleles:
            raise NotOne("allele")
        numbers.append(number)
    if not 1 <= len(numbers) <= 2:
        raise NotOne("ploidy")
    return numbers[0], numbers[1] if len(numbers) == 2 else -2


def _typed(data: bytes, at: int) -> tuple[int, int, int]:
    kind, count = data[at] & 15, data[at] >> 4
    if kind not in _BCF_BYTES:
        raise NotOne("type")
    if count == 15:
        count, at = _number(data, at + 1)
        return kind, count, at
    return kind, count, at + 1


def _number(data: bytes, at: int) -> tuple[int, int]:
    kind, count, at = _typed(data, at)
    if count != 1:
        raise NotOne("number")
    return struct.unpack_from(_BCF_INTEGERS[kind][0], data, at)[0], at + _BCF_BYTES[kind]
