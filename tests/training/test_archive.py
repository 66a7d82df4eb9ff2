"""Archives of arrays that somebody else made: what is not expected is refused, before memory is taken for it."""

from __future__ import annotations

import io
import struct
import tracemalloc
import warnings
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from afml.core.errors import IntegrityError
from afml.training.archive import read_archive
from afml.training.blob import dump, load

KNOWN = {"weights": 64, "game": 1000}


@given(
    st.dictionaries(
        st.from_regex(r"\Aa[a-z_]{1,8}\Z"),
        arrays.arrays(
            st.sampled_from(["<f8", "<f4", "<i8", "|i1", "|b1"]),
            arrays.array_shapes(min_dims=0, min_side=0, max_side=5),
        ),
        max_size=5,
    )
)
@settings(max_examples=60)
def test_what_is_written_is_read_as_numpy_reads_it(made: dict[str, np.ndarray]) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **made)
    found = read_archive(io.BytesIO(buffer.getvalue()))
    with np.load(io.BytesIO(buffer.getvalue()), allow_pickle=False) as reference:
        assert list(found) == list(reference.files)
        for name, array in found.items():
            np.testing.assert_array_equal(array, reference[name])
            assert array.dtype == reference[name].dtype
            assert array.shape == reference[name].shape
            assert array.flags.writeable


@given(st.binary(max_size=300), st.integers(0, 400), st.integers(0, 255))
@settings(max_examples=200)
def test_bytes_of_any_kind_end_in_one_error(noise: bytes, place: int, value: int) -> None:
    good = bytearray(dump({"weights": np.arange(8.0)}))
    good[place % len(good)] = value
    for blob in (noise, bytes(good), bytes(good[:place]), bytes(good) + noise):
        try:
            found = load(blob, "public part", KNOWN)
        except IntegrityError:
            continue
        assert set(found) <= set(KNOWN)
        assert all(array.size <= KNOWN[name] + 2048 for name, array in found.items())


def _zipped(members: list[tuple[str, bytes]], how: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", how) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a name may come twice, on purpose
        for name, data in members:
            archive.writestr(name, data)
    return buffer.getvalue()


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _boasting(count: int) -> bytes:
    """A member whose header says that it has `count` numbers; it has one."""
    honest = _npy(np.zeros(1))
    header = honest[10 : 10 + struct.unpack("<H", honest[8:10])[0]]
    told = header.replace(b"(1,)", f"({count},)".encode())[: len(header) - 1].ljust(len(header) - 1) + b"\n"
    return honest[:10] + told + honest[-8:]


def _overlapping(count: int) -> bytes:
    """One member that the directory lists `count` times, under different names of one length."""
    single = _zipped([("a0000000.npy", _npy(np.zeros(1 << 16)))])
    at = single.index(b"PK\x01\x02")
    body, entry, end = single[:at], single[at:-22], bytearray(single[-22:])
    entries = b"".join(entry.replace(b"a0000000", f"a{number:07d}".encode()) for number in range(count))
    struct.pack_into("<2H2L", end, 8, count, count, len(entries), at)
    return body + entries + bytes(end)


@pytest.mark.parametrize(
    "blob",
    [
        pytest.param(_zipped([("weights.npy", _npy(np.zeros(50_000_000 // 8)))], zipfile.ZIP_DEFLATED), id="deflated"),
        pytest.param(_zipped([("weights.npy", _npy(np.zeros(1 << 16)))]), id="larger than this run's"),
        pytest.param(_zipped([("weights.npy", _boasting(10**10))]), id="a header that asks for 80 GB"),
        pytest.param(_zipped([("other.npy", _npy(np.zeros(2)))]), id="unknown"),
        pytest.param(_zipped([("weights.txt", b"12")]), id="no array"),
        pytest.param(_zipped([("weights.npy", _npy(np.zeros(2)))] * 2), id="twice"),
        pytest.param(_zipped([(f"{number}.npy", b"") for number in range(60_000)]), id="a long directory"),
        pytest.param(_overlapping(60_000), id="one member many times"),
        pytest.param(_zipped([("weights.npy", _npy(np.array(["text"])))]), id="text"),
    ],
)
def test_what_was_not_agreed_on_is_refused_before_memory_is_taken(blob: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(IntegrityError, match="public part of the model cannot be read"):
            load(blob, "public part of the model", KNOWN)
        taken = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert taken < 1 << 20, f"{taken} bytes were allocated"


def test_a_model_on_disk_is_no_bomb_either() -> None:
    for blob in (
        _zipped([("weights.npy", _npy(np.zeros(50_000_000 // 8)))], zipfile.ZIP_DEFLATED),
        _zipped([("weights.npy", _boasting(10**10))]),
        _overlapping(2000),
        _zipped([("weights.npy", b"\x93NUMPY")]),
    ):
        with pytest.raises(ValueError):
            read_archive(io.BytesIO(blob))
