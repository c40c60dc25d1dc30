"""Whether bytecode is what its source compiles to: the header, which Python goes by, says nothing of it.

A `.pyc` whose header names the time and size of its source is run instead of that source, whatever it holds. So the
source is compiled again and both are compared, object for object. Python's own reader of such files may crash over one
that is damaged on purpose: here it is read by itself, as far as it is needed to compare, and nothing of it is made or
run. Names of files are left out, since they tell where it was compiled.
"""

import hashlib
import importlib.util
import marshal
import re
import struct
import sys
import warnings
from pathlib import PurePosixPath

from security.memo import Memo

HEADER = 16
LARGEST = 32 << 20
"""Bytes of a file of bytecode."""
DEEPEST = 150
"""How deep objects may lie in each other."""
_REF = 0x80
_TEXT = {b"u": "<i", b"t": "<i", b"a": "<i", b"A": "<i", b"z": "<B", b"Z": "<B"}
_NUMBERS = {b"i": 4, b"I": 8, b"g": 8, b"y": 16}
_MANY = {b"(": "<i", b")": "<B", b"[": "<i", b"<": "<i", b">": "<i"}
_FILENAME = 5
"""Which of the objects of a code object names the file: after code, constants, names and both lists of variables."""


_SINGLE = (b"N", b"T", b"F", b".", b"S")
_UNKEPT = (*_SINGLE, b"r")


_SIZES = struct.Struct("<2Q")


class _Reader:
    """Digests of what is written, in which two spellings of the same are the same."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0
        self.seen: list[bytes | None] = []

    def take(self, size: int) -> bytes:
        found = self.data[self.at : self.at + size]
        if size < 0 or len(found) != size:
            raise ValueError("it ends too early")
        self.at += size
        return found

    def number(self, form: str) -> int:
        return int(struct.unpack(form, self.take(struct.calcsize(form)))[0])

    def object(self, depth: int = 0) -> bytes:
        """The digest of the next object."""
        if depth > DEEPEST:
            raise ValueError("it is too deep")
        first = self.take(1)[0]
        kind = bytes([first & ~_REF])
        # Python keeps no reference to these, flagged or not: to one who counts it, every later one is another's.
        if first & _REF and kind in _UNKEPT:
            raise ValueError("it is written as nothing writes it")
        if kind == b"r":
            place = self.number("<i")
            found = self.seen[place] if 0 <= place < len(self.seen) else None
            if found is None:
                raise ValueError("it refers to what is not there")
            return found
        place = len(self.seen)
        if first & _REF:
            self.seen.append(None)
        told = self._told(kind, depth)
        if first & _REF:
            self.seen[place] = told
        return told

    def _told(self, kind: bytes, depth: int) -> bytes:
        if kind in _SINGLE:
            return _digest(kind)
        if kind in _NUMBERS:
            return _digest(kind, self.take(_NUMBERS[kind]))
        if kind == b"l":
            size = self.number("<i")
            return _digest(kind, struct.pack("<i", size), self.take(2 * abs(size)))
        if kind == b"s":
            return _digest(kind, self.take(self.number("<i")))
        if kind in _TEXT:
            text = self.take(self.number(_TEXT[kind]))
            # Of these kinds Python takes each byte for a letter: above ASCII they would be other letters than here.
            if kind in b"aAzZ" and not text.isascii():
                raise ValueError("it holds text in another encoding than it says")
            return _digest(b"u", text)
        if kind in _MANY:
            return self._many(kind, depth)
        if kind == b"c":
            return self._code(depth)
        raise ValueError("it holds what no source compiles to")

    def _many(self, kind: bytes, depth: int) -> bytes:
        count = self.number(_MANY[kind])
        if not 0 <= count <= len(self.data) - self.at:
            raise ValueError("it ends too early")
        each = [self.object(depth + 1) for _ in range(count)]
        return _digest(kind.replace(b")", b"("), *(sorted(each) if kind in b"<>" else each))

    def _code(self, depth: int) -> bytes:
        numbers = self.take(20)
        objects = [self.object(depth + 1) for _ in range(8)]
        del objects[_FILENAME]
        line = self.take(4)
        return _digest(b"c", numbers, *objects, line, *(self.object(depth + 1) for _ in range(2)))


def _digest(kind: bytes, *parts: bytes) -> bytes:
    total = hashlib.sha256(kind)
    for part in parts:
        total.update(len(part).to_bytes(8, "big") + part)
    return total.digest()


def digest(body: bytes) -> bytes:
    """What written code is; `ValueError` where it cannot be read."""
    reader = _Reader(body)
    found = reader.object()
    if reader.at != len(body):
        raise ValueError("it goes on after its end")
    return found


def source(path: str) -> str:
    """The source that a file would be the bytecode of, as paths are written in a checkout; empty where it is none."""
    each = PurePosixPath(path)
    if each.parent.name != "__pycache__" or each.suffix != ".pyc":
        return ""
    return (each.parent.parent / f"{each.name.partition('.')[0]}.py").as_posix()


def _optimized(name: str) -> int | None:
    """How a file of bytecode in `__pycache__` was compiled, as its name says; none where not by this interpreter."""
    tag = re.escape(sys.implementation.cache_tag or "none")
    found = re.fullmatch(rf"[^.]+\.{tag}(?:\.opt-([12]))?\.pyc", name)
    return int(found[1] or 0) if found else None


def fault(name: str, data: bytes, source: bytes) -> str:
    """Why a file of bytecode in `__pycache__` is not what its source compiles to; empty where it is."""
    own = name.encode("utf-8", "surrogateescape")
    try:
        return _KNOWN(_SIZES.pack(len(own), len(data)) + own + data + source)
    except (RecursionError, MemoryError):
        return "bytecode of a source that does not compile"


def _fault(told: bytes) -> str:
    """The same of name, bytecode and source in one: what comes of them depends on nothing else."""
    name, data = _SIZES.unpack_from(told)
    text, rest = told[_SIZES.size : _SIZES.size + name], told[_SIZES.size + name :]
    return _compared(text.decode("utf-8", "surrogateescape"), rest[:data], rest[data:])


def _compared(name: str, data: bytes, source: bytes) -> str:
    level = _optimized(name)
    if level is None:
        return "bytecode of another interpreter or tool, which cannot be made again here"
    if data[:4] != importlib.util.MAGIC_NUMBER or data[4:8] not in (b"\0\0\0\0", b"\1\0\0\0", b"\3\0\0\0"):
        return "bytecode of another interpreter"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            code = compile(source, "source", "exec", dont_inherit=True, optimize=level)
    except (SyntaxError, ValueError):
        return "bytecode of a source that does not compile"
    body, again = data[HEADER:], marshal.dumps(code)
    try:
        same = body == again or digest(body) == digest(again)
    except ValueError as why:
        return f"bytecode that cannot be read: {why}"
    return "" if same else "other code than its source compiles to"


_KNOWN = Memo(_fault, 4096)
"""Each look of a run compares the same files."""
