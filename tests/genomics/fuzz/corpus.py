"""Mutated VCF and BCF files, made from simulated ones by numbers that say all about them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from afml.genomics.sources.bgzf import END

SAMPLES = tuple(f"P{number}" for number in range(7))
CSQ_FIELDS = "Allele|Consequence|IMPACT|SIFT|PolyPhen"
_BLOCK = 700  # bytes of content in a block: damage is to meet several


@dataclass(frozen=True)
class Mutant:
    """A file and what was done to it."""

    name: str
    suffix: str
    data: bytes


def bgzip(content: bytes, *, end: bool = True) -> bytes:
    """BGZF blocks of a content, by the book (SAM specification, 4.1)."""
    blocks = []
    for start in range(0, len(content), _BLOCK):
        part = content[start : start + _BLOCK]
        deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
        body = deflate.compress(part) + deflate.flush()
        head = bytes.fromhex("1f8b08040000000000ff0600424302 00".replace(" ", "")) + struct.pack("<H", len(body) + 25)
        blocks.append(head + body + struct.pack("<II", zlib.crc32(part), len(part)))
    return b"".join(blocks) + (END if end else b"")


def vcf_text(rng: np.random.Generator, *, contigs: bool = True, csq: bool = False) -> bytes:
    """A small VCF: SNVs, indels, several ALTs, missing calls, phases."""
    lines = ["##fileformat=VCFv4.2", '##FILTER=<ID=PASS,Description="All filters passed">']
    lines += ["##contig=<ID=22>"] * contigs
    lines += ['##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">']
    lines += ['##FORMAT=<ID=DP,Number=1,Type=Integer,Description="Depth">']
    lines += ['##INFO=<ID=AC,Number=A,Type=Integer,Description="Count">']
    if csq:
        lines.append(f'##INFO=<ID=CSQ,Number=.,Type=String,Description="From Ensembl VEP. Format: {CSQ_FIELDS}">')
    lines.append("\t".join(["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", *SAMPLES]))
    for site in range(24):
        ref, alt = [("A", "C"), ("G", "T"), ("AT", "A"), ("C", "CTT"), ("A", "G,T")][
            int(rng.integers(5)) if not csq else 0
        ]
        alleles = alt.count(",") + 2
        calls = []
        for _ in SAMPLES:
            pair = [str(one) if rng.random() > 0.05 else "." for one in rng.integers(alleles, size=2)]
            calls.append(f"{'/|'[int(rng.integers(2))].join(pair)}:{int(rng.integers(60))}")
        info = _csq(rng) if csq else f"AC={','.join('3' * (alleles - 1))}"
        lines.append("\t".join(["22", str(1000 + 50 * site), ".", ref, alt, "50", "PASS", info, "GT:DP", *calls]))
    return ("\n".join(lines) + "\n").encode()


def _csq(rng: np.random.Generator) -> str:
    sift, polyphen = rng.integers(0, 100, 2) / 100
    word = ("deleterious", "tolerated_low_confidence")[int(rng.integers(2))]
    entries = [f"C|missense_variant|MODERATE|{word}({sift:g})|benign({polyphen:g})", "C|intron_variant|MODIFIER||"]
    return "CSQ=" + ",".join(entries[: int(rng.integers(1, 3))])


def bcf_content(text: bytes) -> bytes:
    """The same as BCF 2.2, written by the book (VCF specification, 6): GT and DP, no INFO."""
    lines = text.decode().splitlines()
    header = "\n".join(line for line in lines if line.startswith("#")) + "\n\0"
    out = [b"BCF\2\2", struct.pack("<I", len(header)), header.encode()]
    for line in lines:
        if line.startswith("#"):
            continue
        fields = line.split("\t")
        alleles = [fields[3], *fields[4].split(",")]
        shared = struct.pack("<iiifII", 0, int(fields[1]) - 1, len(fields[3]), 50.0, len(alleles) << 16,
                             2 << 24 | len(SAMPLES))  # fmt: skip
        shared += b"\x07" + b"".join(bytes([len(one) << 4 | 7]) + one.encode() for one in alleles)
        shared += b"\x11\x00"  # FILTER: PASS, number 0 of the dictionary
        calls = b"\x11\x01\x21"  # GT, number 1, two int8 each
        for call in fields[9:]:
            genotype = call.partition(":")[0]
            for place, part in enumerate(genotype.replace("|", "/").split("/")):
                value = 0 if part == "." else (int(part) + 1) << 1
                calls += bytes([value | int(place > 0 and "|" in genotype)])
        calls += b"\x11\x02\x11" + bytes(int(call.partition(":")[2]) for call in fields[9:])
        out.append(struct.pack("<II", len(shared), len(calls)) + shared + calls)
    return b"".join(out)


# -- what is done to the text ---------------------------------------------------------------------------

Edit = Callable[[list[bytes], int, np.random.Generator], None]


def _column(number: int, value: bytes) -> Edit:
    def edit(lines: list[bytes], at: int, rng: np.random.Generator) -> None:
        fields = lines[at].split(b"\t")
        fields[min(number, len(fields) - 1)] = value
        lines[at] = b"\t".join(fields)

    return edit


def _drop_column(lines: list[bytes], at: int, rng: np.random.Generator) -> None:
    fields = lines[at].split(b"\t")
    del fields[int(rng.integers(len(fields)))]
    lines[at] = b"\t".join(fields)


def _byte(lines: list[bytes], at: int, rng: np.random.Generator) -> None:
    line = bytearray(lines[at])
    line[int(rng.integers(len(line)))] = int(rng.integers(256))
    lines[at] = bytes(line)


def _latin(lines: list[bytes], at: int, rng: np.random.Generator) -> None:
    lines[at] = lines[at].replace(b"PASS", b"PASS;\xe9").replace(b"P3", b"P\xe9")


def _cut(lines: list[bytes], at: int, rng: np.random.Generator) -> None:
    lines[at] = lines[at][: int(rng.integers(len(lines[at])))]
    del lines[at + 1 :]


def _header_again(lines: list[bytes], at: int, rng: np.random.Generator) -> None:
    lines[at:at] = [line for line in lines if line.startswith(b"#")]


def _no_contigs(lines: list[bytes], at: int, rng: np.random.Generator) -> None:
    lines[at] = lines[at][: int(rng.integers(1, 12))]
    lines[:] = [line for line in lines if not line.startswith(b"##contig")]


#: On one line, by its number.
EDITS: dict[str, Edit] = {
    "blank line": lambda lines, at, rng: lines.insert(at, b""),
    "line of spaces": lambda lines, at, rng: lines.insert(at, b"  "),
    "comment": lambda lines, at, rng: lines.insert(at, b"# a note"),
    "second header": _header_again,
    "column line again": lambda lines, at, rng: lines.insert(at, next(x for x in lines if x.startswith(b"#CHROM"))),
    "line twice": lambda lines, at, rng: lines.insert(at, lines[at]),
    "line gone": lambda lines, at, rng: lines.pop(at) and None,
    "column gone": _drop_column,
    "column more": lambda lines, at, rng: lines.__setitem__(at, lines[at] + b"\t0/0:1"),
    "any byte": _byte,
    "cut": _cut,
    "no contig lines": _no_contigs,
    "spaces for tabs": lambda lines, at, rng: lines.__setitem__(at, lines[at].replace(b"\t", b" ")),
    "carriage return": lambda lines, at, rng: lines.__setitem__(at, lines[at] + b"\r"),
    "latin-1": _latin,
    "zero byte": lambda lines, at, rng: lines.__setitem__(at, lines[at].replace(b"0", b"\0", 1)),
    "pos of letters": _column(1, b"12a"),
    "negative pos": _column(1, b"-7"),
    "huge pos": _column(1, b"99999999999999999999"),
    "endless pos": _column(1, b"9" * 5000),
    "pos zero": _column(1, b"0"),
    "no pos": _column(1, b""),
    "no ref": _column(3, b""),
    "ref of a dot": _column(3, b"."),
    "no alt": _column(4, b"."),
    "empty alt": _column(4, b""),
    "alt with a gap": _column(4, b"C,,T"),
    "symbolic": _column(4, b"<NON_REF>"),
    "breakend": _column(4, b"G]22:198982]"),
    "qual of letters": _column(5, b"high"),
    "unknown filter": _column(6, b"lowq"),
    "unknown info": _column(7, b"ZZ=1;;=;AC=x"),
    "info of gaps": _column(7, b";;;"),
    "unknown format": _column(8, b"GT:ZZ"),
    "no gt": _column(8, b"DP"),
    "gt last": _column(8, b"DP:GT"),
    "empty format": _column(8, b""),
    "prefixed phase": _column(9, b"|0|1:7"),
    "prefixed phase 2": _column(11, b"/0/1:7"),
    "haploid": _column(10, b"1:7"),
    "triploid": _column(10, b"0/1/1:7"),
    "allele too many": _column(12, b"0/9:7"),
    "genotype of letters": _column(12, b"a/b:7"),
    "half a genotype": _column(12, b"0/:7"),
    "negative allele": _column(12, b"0/-1:7"),
    "empty call": _column(13, b""),
    "dot": _column(13, b"."),
    "values too many": _column(13, b"0/1:7:8:9"),
}  # fmt: skip


def text_mutant(seed: int, *, csq: bool = False) -> Mutant:
    """A VCF with one thing wrong in its text, compressed by the book."""
    rng = np.random.default_rng([seed, 1])
    lines = vcf_text(rng, csq=csq).splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith(b"22"))
    name = list(EDITS)[seed % len(EDITS)]
    at = [first, len(lines) - 1, int(rng.integers(first, len(lines))), int(rng.integers(1, len(lines)))][
        seed // len(EDITS) % 4
    ]
    EDITS[name](lines, at, rng)
    return Mutant(f"text {seed}: {name} at line {at + 1}", ".vcf.gz", bgzip(b"\n".join(lines) + b"\n"))


# -- what is done to bytes -------------------------------------------------------------------------------


def _flip(data: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(data)
    changed[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _any_byte(data: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(data)
    changed[int(rng.integers(len(data)))] = int(rng.integers(256))
    return bytes(changed)


def _cut_bytes(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: int(rng.integers(1, len(data)))]


def _gone(data: bytes, rng: np.random.Generator) -> bytes:
    start = int(rng.integers(len(data)))
    return data[:start] + data[start + int(rng.integers(1, 40)) :]


def _zeros(data: bytes, rng: np.random.Generator) -> bytes:
    start = int(rng.integers(len(data)))
    return data[:start] + bytes(min(30, len(data) - start)) + data[start + 30 :]


BYTES: dict[str, Callable[[bytes, np.random.Generator], bytes]] = {
    "bit": _flip,
    "byte": _any_byte,
    "cut": _cut_bytes,
    "bytes gone": _gone,
    "zeros": _zeros,
    "zeros after the end": lambda data, rng: data + bytes(512),
    "text after the end": lambda data, rng: data + b"\n",
    "twice": lambda data, rng: data + data,
}


def file_mutant(seed: int) -> Mutant:
    """A VCF or BCF whose compressed bytes are damaged."""
    rng = np.random.default_rng([seed, 2])
    text = vcf_text(rng)
    bcf = bool(seed % 2)
    name = list(BYTES)[seed // 2 % len(BYTES)]
    data = BYTES[name](bgzip(bcf_content(text) if bcf else text), rng)
    return Mutant(f"file {seed}: {name}", ".bcf" if bcf else ".vcf.gz", data)


def bcf_mutant(seed: int) -> Mutant:
    """A BCF whose content is damaged and then compressed by the book: no checksum tells."""
    rng = np.random.default_rng([seed, 3])
    content = bcf_content(vcf_text(rng))
    records = content.index(b"\0", 9) + 1
    name = list(BYTES)[seed % len(BYTES)]
    if seed // len(BYTES) % 4:
        data = content[:records] + BYTES[name](content[records:], rng)
    else:
        data = BYTES[name](content, rng)
    return Mutant(f"bcf {seed}: {name}", ".bcf", bgzip(data))


def csq_mutant(seed: int) -> tuple[Mutant, list[bytes]]:
    """A VCF with a byte of one CSQ value changed, after its allele; and its lines."""
    rng = np.random.default_rng([seed, 4])
    lines = vcf_text(rng, csq=True).splitlines()
    at = int(rng.integers(next(n for n, line in enumerate(lines) if line.startswith(b"22")), len(lines)))
    begin = lines[at].index(b"CSQ=C|") + 6
    end = min(lines[at].index(b"\t", begin), (lines[at] + b",").index(b",", begin))
    for _ in range(int(rng.integers(1, 4))):
        line = bytearray(lines[at])
        line[int(rng.integers(begin, end))] = int(rng.choice(list(b"0159.eE+-_()|&;% abM\xe9\t\n")))
        lines[at] = bytes(line)
    return Mutant(f"csq {seed}", ".vcf.gz", bgzip(b"\n".join(lines) + b"\n")), lines
