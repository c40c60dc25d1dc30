"""Bytecode against its source: what compiles to the same is the same however it is written, and nothing else is."""

import importlib.util
import marshal
import py_compile
import sys
import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from security.engines import bytecode
from security.engines.bytecode import digest, fault

TAG = sys.implementation.cache_tag
NAME = f"code.{TAG}.pyc"
SOURCE = b'''"""A text."""
import os

class A:
    """Another."""
    x: int = 1
    def f(self, *a, k=(1, 2.5, -0.0, 3j, None, ..., b"z", 2**80, "\xc3\xbc", "\xf0\x9f\x98\x80"), **b):
        return [i for i in a if i in {1, 2, 3}] or {"k": k, "same": "same"}

async def g():
    try:
        yield lambda: __debug__
    finally:
        assert os
'''
HEADERS = (b"\0" * 12, b"\1\0\0\0" + b"\7" * 8, b"\3\0\0\0" + b"\7" * 8)


def written(source: bytes = SOURCE, level: int = 0, header: bytes = HEADERS[0], file: str = "x.py") -> bytes:
    code = compile(source, file, "exec", dont_inherit=True, optimize=level)
    return importlib.util.MAGIC_NUMBER + header + marshal.dumps(code)


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize(("level", "name"), [(0, NAME), (1, f"code.{TAG}.opt-1.pyc"), (2, f"code.{TAG}.opt-2.pyc")])
def test_what_its_source_compiles_to_is_its_sources(level: int, name: str, header: bytes) -> None:
    assert fault(name, written(level=level, header=header, file="/somewhere/else.py"), SOURCE) == ""
    for other in {0, 1, 2} - {level}:
        assert "other code" in fault(name, written(level=other), SOURCE)


def test_a_flag_on_what_python_keeps_no_reference_to_shifts_nothing() -> None:
    """One flagged None in front: whoever counts it takes every later reference for another's."""
    source = b'A = None\nB = "guest"\nC = "admin"\ndef role():\n    return B\n'
    plain = marshal.dumps(compile(source, "x.py", "exec", dont_inherit=True))
    at = plain.index(b"N", plain.index(b"guest") - 12)
    spoiled = plain[:at] + bytes([ord("N") | 0x80]) + plain[at + 1 :]
    assert marshal.loads(spoiled) == marshal.loads(plain)
    assert "written as nothing writes it" in fault(NAME, importlib.util.MAGIC_NUMBER + HEADERS[0] + spoiled, source)
    for kind in b"NTF.Sr":
        with pytest.raises(ValueError, match="as nothing writes it"):
            digest(bytes([kind | 0x80, 0, 0, 0, 0]))


def test_one_that_was_written_otherwise_is_the_same() -> None:
    """Which objects are written once and then referred to depends on who else holds them."""
    code = compile(SOURCE, "x.py", "exec", dont_inherit=True)
    held = [code.co_consts, code.co_names, *code.co_consts]
    again = marshal.dumps(marshal.loads(marshal.dumps(code)))
    plain = marshal.dumps(code, 2)
    assert plain != again
    assert digest(plain) == digest(again) == digest(marshal.dumps(code))
    assert held


CHANGES = [
    (b"x: int = 1", b"x: int = 2"),
    (b"x: int = 1", b"x: int = True"),
    (b"x: int = 1", b"x: int = 1.0"),
    (b"-0.0", b"0.0"),
    (b'b"z"', b'"z"'),
    (b"2.5", b"2.25"),
    (b"3j", b"4j"),
    (b"...", b"None"),
    (b"2**80", b"2**80+1"),
    (b"{1, 2, 3}", b"{1, 2, 4}"),
    (b"{1, 2, 3}", b"(1, 2, 3)"),
    (b"import os", b"import sys as os"),
    (b"def f", b"def h"),
    (b"*a, k", b"a, *, k"),
    (b"async def", b"def"),
    (b"A text", b"B text"),
    (b"\n\nasync", b"\n\n\nasync"),
    (b"finally", b"except Exception"),
]


@pytest.mark.parametrize(("old", "new"), CHANGES)
def test_any_change_is_told(old: bytes, new: bytes) -> None:
    changed = SOURCE.replace(old, new, 1)
    assert changed != SOURCE
    assert "other code" in fault(NAME, written(changed), SOURCE)


@pytest.mark.parametrize(
    "name",
    [
        "code.pyc",
        "code.cpython-39.pyc",
        f"code.{TAG}.opt-3.pyc",
        f"code.{TAG}-pytest-9.pyc",
        f"a.b.{TAG}.pyc",
        f".{TAG}.pyc",
    ],
)
def test_what_another_wrote_cannot_be_compared(name: str) -> None:
    assert "cannot be made again here" in fault(name, written(), SOURCE)


@pytest.mark.parametrize("data", [b"", b"\0" * 16, written()[:4] + b"\2" + written()[5:], written()[:4] + b"\0\1"])
def test_another_header_is_told(data: bytes) -> None:
    assert fault(NAME, data, SOURCE) == "bytecode of another interpreter"


@pytest.mark.parametrize("source", [b"(", b"\0", b"x = '\xff'", b"# coding: nonsense\n", b"(" * 300 + b")" * 300])
def test_a_source_that_does_not_compile_has_none(source: bytes) -> None:
    assert fault(NAME, written(), source) == "bytecode of a source that does not compile"


def test_a_source_that_warns_is_compared_in_silence() -> None:
    source = b"x = '\\d'\nx is 1\n"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = written(source)
    assert fault(NAME, data, source) == ""


BODY = written()[bytecode.HEADER :]


@given(st.integers(0, len(BODY) - 1), st.integers(1, 255))
def test_no_byte_can_be_changed_unseen(place: int, by: int) -> None:
    """Nor does any make the reader break; of the file's name and of what is referred to later nothing is kept."""
    changed = bytes([*BODY[:place], BODY[place] ^ by, *BODY[place + 1 :]])
    try:
        told = digest(changed)
    except ValueError:
        return
    if told == digest(BODY):
        before, after = marshal.loads(BODY), marshal.loads(changed)
        assert before == after


@given(st.binary(max_size=200))
def test_what_is_damaged_is_an_error_of_one_kind(data: bytes) -> None:
    for each in (data, b"c" + data, BODY[:50] + data):
        try:
            digest(each)
        except ValueError:
            continue


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "ends too early"),
        (b"NN", "goes on"),
        (b"r\0\0\0\0", "refers"),
        (b"\xa9\1r\0\0\0\0", "refers"),
        (b"r\xff\xff\xff\xff", "refers"),
        (b"(\xff\xff\xff\xff", "ends too early"),
        (b"(\xff\xff\xff\x7f", "ends too early"),
        (b"s\xff\xff\xff\xff", "ends too early"),
        (b"l\0\0\0\x80", "ends too early"),
        (b")\1" * 500 + b"N", "too deep"),
        (b"{NN0", "no source"),
        (b"0", "no source"),
        (b"c" + b"\0" * 21, "no source"),
        (b"z\2\xc3\xbc", "another encoding"),
        (b"A\2\0\0\0\xc3\xbc", "another encoding"),
    ],
)
def test_what_cannot_be_read_says_why(data: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        digest(data)
    assert why in fault(NAME, written()[:16] + data, SOURCE)


def test_what_refers_to_itself_over_and_over_is_read_in_time() -> None:
    """A tuple of two of the one before, a hundred times: as an object it would be larger than the world."""
    data = b"\xe9\1\0\0\0"
    for place in range(100):
        data = b"\xa9\2" + data + b"r" + (100 - place).to_bytes(4, "little")
    assert len(digest(data)) == 32


def test_the_library_is_what_its_sources_compile_to(tmp_path: Path) -> None:
    for name in ("dataclasses", "typing", "asyncio.tasks", "json.decoder"):
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.origin
        made = py_compile.compile(spec.origin, str(tmp_path / f"{name.rpartition('.')[2]}.{TAG}.pyc"))
        assert fault(Path(made).name, Path(made).read_bytes(), Path(spec.origin).read_bytes()) == ""
