"""What a file says, line by line: text of any encoding that can be told, strings among bytes, members of packed files.

Everything is read in pieces, and a line without an end in windows that overlap, so that memory does not depend on who
wrote the file. What cannot be opened, is sealed, or is larger or deeper than anybody would look is told by its kind: an
`Opaque` is no view without lines.
"""

import codecs
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from security.engines import packed
from security.engines.packed import Chunks
from security.engines.tokens import BINARY, CODE, CONFIG, PROSE

HEAD = 1 << 13
"""Bytes that tell what a file is."""
WINDOW, OVERLAP = 4096, 1024
"""Characters of a line that are looked at together, and how many of them again with the next."""
DEEPEST = 3
"""Packed files in packed files."""
NOTEBOOK = 64 << 20
"""Bytes of a notebook."""
SHORTEST = 8
"""Characters of a string among bytes."""


class View(NamedTuple):
    """Text of a file, or of a member of it: numbered lines, each with what it is of. Numbers among bytes are 0."""

    name: str
    flavour: str
    lines: Iterator[tuple[int, str]]


class Opaque(NamedTuple):
    """What could not be looked into, and why."""

    name: str
    kind: str


class Closed(OSError):
    """Raised by what opens a content: there is none, for a reason of one word or two."""


_CODE = re.compile(
    r"pyi?|pyx|[cm]?[jt]sx?|java|kt|scala|go|rs|c|h|cc|[ch]pp|cs|swift|m|rb|php|pl|lua|r|jl|sql|vue|dart|groovy|gradle"
    r"|html|xml|svg|css|ipynb|jsonl?|lock|map"
)
_PROSE = re.compile(r"md|rst|txt|log|adoc|tex|patch|diff|eml|[ct]sv")
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)
_SEALED = (
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!\x1a\x07", "rar"),
    (b"%PDF-", "pdf"),
    (b"PAR1", "parquet"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"PACK\0\0\0", "git pack"),
    (b"# v2 git bundle", "git bundle"),
    (b"# v3 git bundle", "git bundle"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "ole"),
    (b"\x1f\x9d", "compress"),
    (b"hsqs", "squashfs"),
    (b"KDBM", "keepass"),
    (b"\x03\xd9\xa2\x9a", "keepass"),
    (b"\xfe\xed\xfe\xed", "key store"),
    (b"version https://git-lfs.github.com/spec/", "a pointer to what lies elsewhere"),
    (b"/annex/objects/", "a pointer to what lies elsewhere"),
)
_STORE = re.compile(rb"0\x82..\x02\x01\x030", re.DOTALL)
KINDS = tuple(sorted({kind for _, kind in _SEALED}))
"""Kinds of files that nobody looks into, by how they begin."""
_STRINGS = bytes(byte if 32 <= byte < 127 or byte == 9 else 10 for byte in range(256))
_ODD = bytes(byte for byte in range(256) if byte < 32 and byte not in b"\t\n\r\f\x1b" or byte > 126)
_WIDE = re.compile(rb"(?:[\x20-\x7e]\0){%d,4096}" % SHORTEST)


def flavour(name: str) -> str:
    """What a file is of, by its name: where nothing else is known, of settings, in which values stand bare."""
    path = PurePosixPath(name.lower())
    if path.parts[:2] == (".git", "logs") or path.name.endswith("_editmsg"):
        return PROSE
    end = path.suffix.removeprefix(".")
    return CODE if _CODE.fullmatch(end) else PROSE if _PROSE.fullmatch(end) else CONFIG


def views(name: str, chunks: Chunks, depth: int = 0) -> Iterator[View | Opaque]:
    """Everything that a file says."""
    head = _head(chunks())
    if not head:
        return
    kind = next((kind for mark, kind in _SEALED if head.startswith(mark)), "")
    if kind or _STORE.match(head):
        yield Opaque(name, kind or "key store")
    elif opener := packed.opener(head):
        for told in packed.members(name, chunks, opener) if depth < DEEPEST else (packed.Shut(name, "too deep"),):
            if isinstance(told, packed.Shut):
                yield Opaque(told.name, told.kind)
            else:
                yield from views(*told, depth + 1)
    elif encoding := _encoding(head):
        yield View(name, flavour(name), lines(chunks(), encoding))
        if name.lower().endswith(".ipynb"):
            yield from _notebook(name, chunks)
    else:
        yield View(name, BINARY, _strings(chunks()))


def _head(chunks: Iterable[bytes]) -> bytes:
    """The first bytes of a content, however small its pieces are."""
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= HEAD:
            break
    return head[:HEAD]


def _notebook(name: str, chunks: Chunks) -> Iterator[View | Opaque]:
    """The texts of a notebook, without the escapes that JSON puts around them; the line is that of the text."""
    data = bytearray()
    for chunk in chunks():
        data += chunk
        if len(data) > NOTEBOOK:
            yield Opaque(name, "too large")
            return
    try:
        told = json.loads(data)
    except (ValueError, RecursionError):
        yield Opaque(name, "broken")
        return
    for number, text in enumerate(_texts(told), 1):
        yield View(f"{name}!text {number}", CODE, lines([text.encode("utf-8", "replace")], "utf-8"))


def _texts(told: Any) -> Iterator[str]:
    if isinstance(told, list) and all(isinstance(each, str) for each in told):
        yield "".join(told)
    elif isinstance(told, list | dict):
        for each in told.values() if isinstance(told, dict) else told:
            yield from _texts(each)
    elif isinstance(told, str):
        yield told


def lines(chunks: Iterable[bytes], encoding: str) -> Iterator[tuple[int, str]]:
    """Lines by number; a long one comes in windows. Bytes that are none of the encoding are replaced."""
    decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
    number, rest = 1, ""
    for chunk in chunks:
        *whole, rest = (rest + decoder.decode(chunk)).split("\n")
        for line in whole:
            yield from ((number, part) for part in _windows(line))
            number += 1
        while len(rest) > WINDOW:
            yield number, rest[:WINDOW]
            rest = rest[WINDOW - OVERLAP :]
    yield from ((number, part) for part in _windows(rest + decoder.decode(b"", final=True)))


def joined(kept: Sequence[tuple[int, str]]) -> str:
    """Lines by number as one text: between them empty ones, and windows of one put together."""
    rows, last = list[str](), 0
    for number, text in kept:
        if number == last:
            rows[-1] += text[OVERLAP:]
        else:
            rows += [""] * (number - last - 1) + [text]
        last = number
    return "\n".join(rows)


def _windows(line: str) -> Iterator[str]:
    line = line.rstrip("\r")
    if len(line) <= WINDOW:
        if line:
            yield line
        return
    for at in range(0, len(line) - OVERLAP, WINDOW - OVERLAP):
        yield line[at : at + WINDOW]


def _encoding(head: bytes) -> str:
    """The encoding of a text, or nothing where it is none."""
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    if b"\0" not in head:
        return "utf-8"
    even, odd = head[0::2].count(0), head[1::2].count(0)
    half = max(len(head) // 2, 1)
    if odd > 0.7 * half and even < 0.1 * half:
        return "utf-16-le"
    if even > 0.7 * half and odd < 0.1 * half:
        return "utf-16-be"
    # A byte that no text has does not make bytes of one: it would hide what stands bare.
    return "utf-8" if len(head.translate(None, _ODD)) > 0.9 * len(head) else ""


def _strings(chunks: Iterable[bytes]) -> Iterator[tuple[int, str]]:
    rest = b""
    for chunk in chunks:
        data = rest + chunk
        rest = data[-OVERLAP:]
        narrow = data.translate(_STRINGS).decode("ascii").split("\n")
        wide = [match[0][::2].decode("ascii") for match in _WIDE.finditer(data)]
        # One question for many strings, with a space between them.
        text = "\t".join(each for each in (*narrow, *wide) if len(each) >= SHORTEST)
        yield from ((0, part) for part in _windows(text))
