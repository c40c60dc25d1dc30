"""The readers of artefacts against the libraries whose files they read: what ours takes, theirs reads the same way.

Valid files, altered by some bytes: ours refuses them, or tells the same names, shapes and contents as the library. A
library sees only what ours took.
"""

import contextlib
import io
import json
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save

from security.engines import archive, bundle, columns, finite, hdf, notation, opcodes, tensors, wire
from security.engines.unfit import LONGEST, Unfit, told
from security.gates.artifact import forge
from security.gates.artifact.schema import SAVED
from tests.security.gates.artefacts import EVIL, h5, zipped

ARRAYS = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b.c": np.arange(4, dtype=np.int64),
    "d": np.ones((), np.float16),
    "e": np.zeros((0, 2), np.uint8),
}
SAFE = save(ARRAYS)
ZIP = zipped(("a.json", b"{}"), ("b/c.txt", b"hello" * 50), method=8)
JSON = json.dumps({"a": [1, 2.5, "x\ud83d\ude00", None, True], "b": {"c": '\\"[{'}}).encode()


def _write(file: Any) -> None:
    file.attrs["model_config"] = '{"a": 1}'
    file.attrs["names"] = ["one", "two"]
    file.attrs["fixed"] = np.bytes_(b"abc")
    file.attrs["none"] = np.zeros(0)
    group = file.create_group("layers")
    for number in range(12):
        group.create_group(f"layer{number}")["0"] = np.arange(
            number + 1, dtype=("<f4", "<f8", "<i8", "<u2")[number % 4]
        )
    file["scalar"] = np.float32(3)


HDF = h5(_write)
TOLD = [at for at, byte in enumerate(HDF) if byte]
"""Where a change of the file changes what it says."""


def altered(data: bytes, draw: st.DataObject) -> bytes:
    """A file with some bytes changed, cut out or put in."""
    made = bytearray(data)
    for _ in range(draw.draw(st.integers(1, 3))):
        at, way = draw.draw(st.integers(0, len(made) - 1)), draw.draw(st.integers(0, 9))
        if way < 7:
            made[at] = draw.draw(st.one_of(st.integers(0, 255), st.just(made[at] ^ 1)))
        elif way == 7:
            del made[at : at + draw.draw(st.integers(1, 8))]
        else:
            made[at:at] = draw.draw(st.binary(min_size=1, max_size=8))
        made = made or bytearray(b"\0")
    return bytes(made)


def taken(read: Callable[[memoryview], Any], data: bytes) -> Any:
    """What a reader tells, or nothing where it refuses."""
    try:
        return read(memoryview(data))
    except Unfit:
        return None


def test_tensors_are_what_was_saved() -> None:
    found = tensors.read(memoryview(SAFE))
    assert {each.name: each.shape for each in found} == {name: array.shape for name, array in ARRAYS.items()}
    for each in found:
        assert SAFE[each.start : each.stop] == ARRAYS[each.name].tobytes()


@settings(max_examples=400)
@given(st.data())
def test_tensors_that_are_taken_are_the_librarys(draw: st.DataObject) -> None:
    data = altered(SAFE, draw)
    if found := taken(tensors.read, data):
        theirs = load(data)
        assert {each.name: each.shape for each in found} == {name: array.shape for name, array in theirs.items()}
        assert all(data[each.start : each.stop] == theirs[each.name].tobytes() for each in found)


@settings(max_examples=400)
@given(st.data())
def test_json_that_is_taken_is_pythons(draw: st.DataObject) -> None:
    data = altered(JSON, draw)
    found = taken(lambda view: (notation.parsed(bytes(view)),), data)
    if found:
        assert found[0] == json.loads(data)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{", b"{}{}", b"{} x", b"\xef\xbb\xbf{}", '{"a":1}'.encode("utf-16"), b'{"a":1,"a":1}', b"[NaN]",
        b"[-Infinity]", b"[1e400]", b"[" + b"9" * 500 + b"]", b'["\\ud800"]', b'["\\uDFFF"]', b"[" * 65 + b"]" * 65,
        b"[" * 10**6, b'{"a":[{"b":{"c":1,"c":2}}]}', b'["\x01"]',
    ],
)  # fmt: skip
def test_json_that_readers_differ_over_is_refused(data: bytes) -> None:
    with pytest.raises(Unfit):
        notation.parsed(data)


def test_json_of_brackets_in_texts_is_not_deep() -> None:
    value = {"a": "[" * 500 + '\\"' + "{" * 500}
    assert notation.parsed(json.dumps(value).encode()) == value
    with pytest.raises(Unfit, match="bytes"):
        notation.parsed(b"[1, 2]", largest=3)


@settings(max_examples=400)
@given(st.data())
def test_archives_that_are_taken_are_pythons(draw: st.DataObject) -> None:
    data = altered(ZIP, draw)

    def read(view: memoryview) -> dict[str, bytes]:
        return {each.name: archive.content(view, each) for each in archive.members(view, 1 << 20)}

    if found := taken(read, data):
        with zipfile.ZipFile(io.BytesIO(data)) as theirs:
            assert found == {info.filename: theirs.read(info) for info in theirs.infolist()}


def spoiled(change: Callable[[zipfile.ZipInfo], None]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        info = zipfile.ZipInfo("a.json")
        change(info)
        file.writestr(info, b"{}")
    return made.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        ZIP[:-42] + archive.WIDE + ZIP[-38:],
        ZIP + b"\0", b"\0" + ZIP, ZIP[:-22] + ZIP[-22:-2] + b"\1\0x", zipped(("../a", b"")), zipped(("/a", b"")),
        zipped(("a\\b", b"")), zipped(("a/", b"")), zipped((".a", b"")), zipped(("a", b""), ("A", b"")), zipped(),
        spoiled(lambda info: setattr(info, "extra", b"\x75\x70\x01\0x")),
        spoiled(lambda info: setattr(info, "comment", b"x")),
        spoiled(lambda info: setattr(info, "external_attr", 0o120777 << 16)),
        spoiled(lambda info: setattr(info, "external_attr", 0o010777 << 16)),
        zipped(("a", bytes(4 << 20)), method=8), zipped(("a", b"x" * 99), method=12),
    ],
)  # fmt: skip
def test_archives_that_readers_differ_over_are_refused(data: bytes) -> None:
    with pytest.raises(Unfit):
        archive.members(memoryview(data), 1 << 30)
    with pytest.raises(Unfit, match="bytes"):
        archive.members(memoryview(zipped(("a", b"x" * 100))), 99)


def test_an_archive_is_found_in_whatever_it_is() -> None:
    for data in (ZIP, b"x" * 70_000 + ZIP, ZIP + b"x" * 60_000, zipped()):
        assert archive.found(memoryview(data))
        assert zipfile.is_zipfile(io.BytesIO(data))
    for data in (b"", b"PK", SAFE, random.Random(1).randbytes(1 << 18), ZIP[:-22], b"PK\5\6"):
        assert not archive.found(memoryview(data))


def test_what_was_packed_by_another_length_is_refused() -> None:
    packer = zlib.compressobj(wbits=-15)
    packed = packer.compress(b"a" * 50) + packer.flush()
    for size in (10, 49, 51):
        member = archive.Member("a", 8, zlib.crc32(b"a" * size), len(packed), size, 0)
        with pytest.raises(Unfit):
            archive.content(memoryview(packed), member)


def test_datasets_are_what_was_written() -> None:
    found = hdf.read(memoryview(HDF))
    assert found.texts["", "model_config"] == [b'{"a": 1}']
    assert found.texts["", "names"] == [b"one", b"two"]
    assert found.texts["", "fixed"] == [b"abc"]
    assert len(found.tensors) == 13
    assert _same(found, HDF)


def _same(found: hdf.File, data: bytes) -> bool:
    theirs: dict[str, Any] = {}
    with h5py.File(io.BytesIO(data)) as file:
        file.visititems(lambda name, each: theirs.update({name: each[()]} if isinstance(each, h5py.Dataset) else {}))
    ours = {each.name: (each.shape, data[each.start : each.stop]) for each in found.tensors}
    return ours == {name: (np.shape(value), np.asarray(value).tobytes()) for name, value in theirs.items()}


@settings(max_examples=400)
@given(st.data())
def test_datasets_that_are_taken_are_the_librarys(draw: st.DataObject) -> None:
    data = bytearray(HDF)
    for _ in range(draw.draw(st.integers(1, 3))):
        data[draw.draw(st.sampled_from(TOLD))] = draw.draw(st.integers(0, 255))
    if found := taken(hdf.read, bytes(data)):
        # It refuses what ours does not: free space that is none, parts of nodes that are not used.
        with contextlib.suppress(OSError, KeyError, RuntimeError):
            assert _same(found, bytes(data))


def test_a_message_is_read_by_its_list_alone() -> None:
    sound = forge.saved(forge.meta(forge.node("x", "NoOp")))
    read = wire.Reader(SAVED).read(memoryview(sound), "SavedModel")
    assert read["meta_graphs"][0]["graph"][0]["node"][0]["op"] == ["NoOp"]
    for data in (
        sound + forge.field(9, "x"),
        sound + forge.field(1, 1),
        sound + b"\x0b\x0c",
        sound[:-1],
        sound + b"\x08" + b"\xff" * 11,
        forge.field(1, "x"),
        forge.field(2, forge.field(1, forge.field(1, b"\xff"))),
        b"\0\0",
    ):
        with pytest.raises(Unfit):
            wire.Reader(SAVED).read(memoryview(data), "SavedModel")


def test_packed_numbers_are_read_and_signed() -> None:
    known = wire.schema("M 1:a:int* 2:b:f32* 3:c:f64* 4:d:f32")
    data = forge.field(1, b"\1\2") + forge.field(1, 3) + forge.field(2, struct.pack("<2L", 4, 5))
    data += forge.field(3, struct.pack("<Q", 6)) + b"\x25" + struct.pack("<L", 7)
    assert wire.Reader(known).read(memoryview(data), "M") == {"a": [1, 2, 3], "b": [4, 5], "c": [6], "d": [7]}
    with pytest.raises(Unfit):
        wire.Reader(known).read(memoryview(forge.field(2, b"abc")), "M")


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_no_bytes_break_a_reader(data: bytes) -> None:
    for read in (
        tensors.read,
        hdf.read,
        lambda view: archive.members(view, 1 << 20),
        lambda view: bundle.read(view, 10),
        lambda view: wire.Reader(SAVED).read(view, "SavedModel"),
        lambda view: hdf.read(memoryview(HDF[:96] + bytes(view))),
        lambda view: bundle.read(memoryview(bytes(view) + bytes(40) + bundle.MAGIC), 10),
        opcodes.found,
        archive.found,
    ):
        taken(read, data)


@pytest.mark.parametrize("kind", sorted(finite.WIDTHS))
def test_each_float_is_told_by_its_bits(kind: str) -> None:
    import ml_dtypes

    width = finite.WIDTHS[kind]
    named: dict[str, Any] = {
        "F16": np.float16, "BF16": ml_dtypes.bfloat16, "F32": np.float32, "F64": np.float64, "C64": np.complex64,
        "F8_E5M2": ml_dtypes.float8_e5m2, "F8_E4M3": ml_dtypes.float8_e4m3fn, "F8_E8M0": ml_dtypes.float8_e8m0fnu,
        "F8_E4M3FNUZ": ml_dtypes.float8_e4m3fnuz, "F8_E5M2FNUZ": ml_dtypes.float8_e5m2fnuz,
    }  # fmt: skip
    draw = random.Random(kind)
    data = bytes(range(256)) if width == 1 else draw.randbytes(4096)
    if width > 1:
        data += np.array([np.nan, np.inf, -np.inf, 1], named.get(kind, np.float16)).tobytes()
    data = data[: len(data) // width * width]
    if kind in named:
        values = np.frombuffer(data, named[kind])
        if kind == "C64":
            values = np.frombuffer(data, np.float32)
        with np.errstate(all="ignore"):
            bad = int((~np.isfinite(values.astype(np.float64))).sum())
        assert finite.odd(kind, memoryview(data)) == bad > 0
    else:
        assert finite.odd(kind, memoryview(data)) == (254 if kind == "BOOL" else 0)


def test_a_pickle_is_one_where_it_imports() -> None:
    assert opcodes.found(memoryview(EVIL))
    assert opcodes.found(memoryview(b"cos\nsystem\n(S'id'\ntR."))
    assert opcodes.found(memoryview(b"(" * 5000))
    for data in (b"\x80\x04N.", b"{}", JSON, SAFE, ZIP, HDF, b"", b"cos", b"X\xff\xff\xff\xff"):
        assert not opcodes.found(memoryview(data))


def test_columns_are_read_elsewhere_and_only_of_ids() -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    def made(**arrays: Any) -> memoryview:
        out = io.BytesIO()
        pq.write_table(pa.table(arrays), out)
        return memoryview(out.getvalue())

    sound = made(user=["a", "b", "b"], n=[1, 2, 3])
    assert columns.read(sound) == {"user": (3, False), "n": (3, True)}
    spoiled = bytearray(sound)
    spoiled[20] ^= 255
    for data in (
        made(a=[[1], [2]]),
        made(a=[{"b": 1}]),
        made(a=[1.5]),
        made(a=[b"x"]),
        made(a=["x", None]),
        memoryview(bytes(sound) + bytes(sound)),
        memoryview(b"PAR1" + b"x" * 100 + b"PAR1"),
        memoryview(b"PAR1"),
        memoryview(bytes(spoiled)),
    ):
        with pytest.raises(Unfit):
            columns.read(data)


def test_names_are_told_plainly_and_shortly() -> None:
    assert told("a/b.c") == "a/b.c"
    assert told("a\x1b[31m\u202e\ud800") == r"a\x1b[31m\u202e\ud800"
    assert len(told("x" * 1000)) == LONGEST
