"""What a file says: encodings, windows, strings among bytes, members of packed files; and what nobody can look into."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from security.engines import content, packed
from security.engines.content import KINDS, WINDOW, Opaque, View, joined, lines, views


def cut(data: bytes, size: int = 7) -> Iterable[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def told(name: str, data: bytes, size: int = 1 << 16) -> list[tuple[str, list[tuple[int, str]]] | Opaque]:
    found = views(name, lambda: cut(data, size))
    return [each if isinstance(each, Opaque) else (each.name, list(each.lines)) for each in found]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-16-be"])
def test_a_text_is_read_in_the_encoding_that_it_is_in(encoding: str) -> None:
    data = "alpha beta gamma\r\n\r\nümlaut and more\nlast".encode(encoding)
    for size in (1, 7, 1 << 16):
        assert told("a.txt", data, size) == [("a.txt", [(1, "alpha beta gamma"), (3, "ümlaut and more"), (4, "last")])]


@given(st.text("ab\n", max_size=60), st.integers(1, 9))
def test_lines_do_not_depend_on_pieces(text: str, size: int) -> None:
    found = list(lines(cut(text.encode(), size), "utf-8"))
    assert found == [(n, line) for n, line in enumerate(text.split("\n"), 1) if line]


@pytest.mark.parametrize("count", [WINDOW, WINDOW + 1, 3 * WINDOW, 1_000_000])
def test_a_long_line_comes_in_windows_that_overlap(count: int) -> None:
    text = "".join(chr(97 + n % 26) for n in range(count))
    found = list(lines(cut(text.encode(), 1 << 18), "utf-8"))
    assert {number for number, _ in found} == {1}
    assert all(len(part) <= WINDOW for _, part in found)
    for at in range(0, count - 900, 911):
        assert any(text[at : at + 900] in part for _, part in found)
    assert joined(found) == text


def test_strings_are_found_among_bytes() -> None:
    data = b"\1\2" * 99 + b"\0narrow string\0" + b"\xff\xfe\0\0" + "wide string".encode("utf-16-le") + b"\0\0\xff" * 99
    ((_, found),) = told("a.bin", data)
    assert {part for _, text in found for part in text.split("\t")} >= {"narrow string", "wide string"}
    assert {number for number, _ in found} == {0}


def zipped(*members: tuple[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in members:
            made.writestr(name, data)
    return file.getvalue()


def tarred(name: str, data: bytes, mode: str) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as made:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        made.addfile(info, io.BytesIO(data))
    return file.getvalue()


def zstd(data: bytes) -> bytes:
    from backports import zstd as module

    return bytes(module.compress(data))


PACKED = {
    "a.whl": (zipped(("b/c.py", b"x = 1")), "a.whl!b/c.py"),
    "a.tar": (tarred("b.py", b"x = 1", "w"), "a.tar!b.py"),
    "a.tar.gz": (tarred("b.py", b"x = 1", "w:gz"), "a.tar!b.py"),
    "a.gz": (gzip.compress(b"x = 1"), "a"),
    "a.bz2": (bz2.compress(b"x = 1"), "a"),
    "a.xz": (lzma.compress(b"x = 1"), "a"),
    "a.zst": (zstd(b"x = 1"), "a"),
    "b.zip": (zipped(("c.zip", zipped(("d.py", b"x = 1")))), "b.zip!c.zip!d.py"),
}


@pytest.mark.parametrize("name", PACKED)
def test_packed_files_are_opened_by_what_they_begin_with(name: str) -> None:
    data, member = PACKED[name]
    assert told(name, data) == [(member, [(1, "x = 1")])]
    assert told("odd.py", data)[0][1] == [(1, "x = 1")]


def test_what_cannot_be_opened_is_told() -> None:
    sealed = bytearray(zipped(("a", b"x")))
    sealed[6] |= 1
    sealed[sealed.index(b"PK\1\2") + 8] |= 1
    deep = b"x"
    for _ in range(content.DEEPEST + 1):
        deep = zipped(("a", deep))
    cases = {
        "sealed by a password": bytes(sealed),
        "broken": b"PK\3\4 and no more",
        "too deep": deep,
        "7z": b"7z\xbc\xaf\x27\x1c",
        "a pointer to what lies elsewhere": b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n",
        "key store": b"0\x82\1\2\2\1\x030 and more",
    }
    for kind, data in cases.items():
        assert [each.kind for each in told("a", data) if isinstance(each, Opaque)] == [kind]
    assert "7z" in KINDS
    assert told("a.gz", gzip.compress(b"x" * 999)[:-9])[-1] == Opaque("a.gz", "broken")


def test_what_is_too_large_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "LARGEST", 100)
    data = zipped(("a", b"x" * 90), ("b", b"x" * 20))
    assert told("a.zip", data)[1:] == [Opaque("a.zip!b", "too large")]
    assert told("a.gz", gzip.compress(b"x" * 101)) == [Opaque("a.gz", "too large")]
    monkeypatch.setattr(content, "NOTEBOOK", 10)
    assert told("a.ipynb", b'{"a": "0123456789"}')[-1] == Opaque("a.ipynb", "too large")


def test_a_notebook_is_read_without_its_escapes() -> None:
    data = b'{"cells": [{"source": ["a = \\"b\\"\\n", "c"]}], "x": 1}'
    assert told("a.ipynb", data)[1] == ("a.ipynb!text 1", [(1, 'a = "b"'), (2, "c")])
    assert told("a.ipynb", b"{")[-1] == Opaque("a.ipynb", "broken")


def test_an_empty_file_says_nothing() -> None:
    assert told("a", b"") == []


def test_a_view_tells_what_its_lines_are_of() -> None:
    names = {
        "a.py": "code",
        "a.PY": "code",
        "a.yaml": "config",
        ".env": "config",
        "a.md": "prose",
        "Dockerfile": "config",
    }
    for name, flavour in names.items():
        ((view,),) = [list(views(name, lambda: (b"x",)))]
        assert isinstance(view, View)
        assert view.flavour == flavour
