"""A zip file (PKWARE APPNOTE 6.3.10), read strictly: its members one after the other, its directory, and nothing else.

Readers of zip find a member by the directory or by walking the file, and disagree wherever the two do: a file that two
readers unpack differently is one that a check and a loader see differently. Here both must say the same, every byte
must be a member's or the directory's, and neither zip64, encryption, comments, extra fields nor links are taken; Keras
writes none of them. Bounds: `MEMBERS` members, `RATIO` to one, and the bytes that the caller allows.
"""

import re
import struct
import zlib
from typing import NamedTuple

from security.engines.unfit import Unfit, told

MEMBERS = 256
RATIO = 20
SLACK = 1 << 20
"""Bytes that any member may unpack to, however small it is packed."""
END, ENTRY, LOCAL = b"PK\x05\x06", b"PK\x01\x02", b"PK\x03\x04"
WIDE = b"PK\x06\x07"
"""Where it lies before the end of the directory, readers follow it to another."""
NAME = re.compile(r"(?!.*\.\.)[\w][\w.+=,@-]*(/[\w][\w.+=,@-]*)*", re.ASCII)
NEEDED = (10, 20)
"""What a reader must know, as versions of the format: stored, and deflated."""
_LOCAL = struct.Struct("<4s5H3L2H")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_UNIX = 3


class Member(NamedTuple):
    """A member as the directory and its own header have it; `start` is that of its packed bytes."""

    name: str
    method: int
    crc: int
    packed: int
    size: int
    start: int


def members(data: memoryview, largest: int) -> list[Member]:
    """The members of a file that unpack to at most `largest` bytes, in the order of their bytes, or `Unfit`."""
    if len(data) < _END.size or bytes(data[-_END.size :][:4]) != END:
        raise Unfit("form", "the directory", "no end of it as the last bytes", "one, without a comment")
    if bytes(data[-_END.size - 20 :][:4]) == WIDE:
        raise Unfit("form", "the directory", "another of 64 bits", "one")
    _, disk, first, here, count, size, start, comment = _END.unpack(data[-_END.size :])
    if disk or first or here != count or comment or start + size + _END.size != len(data):
        raise Unfit("form", "the directory", "an end that says something else", "one that fits the file")
    if not 0 < count <= MEMBERS:
        raise Unfit("size", "the directory", f"{count:,} members", f"1 to {MEMBERS:,}")
    found, at = list[Member](), start
    for _ in range(count):
        each, at = _entry(data, at, start + size)
        found.append(each)
    if at != start + size:
        raise Unfit("form", "the directory", "more bytes than members", "members and nothing else")
    _fit(found, start, largest)
    return sorted(found, key=lambda each: each.start)


def _entry(data: memoryview, at: int, end: int) -> tuple[Member, int]:
    if end - at < _ENTRY.size:
        raise Unfit("form", "the directory", "a member that is cut off", "whole ones")
    mark, made, needed, flags, method, _, _, crc, packed, size, named, extra, comment, disk, _, kind, start = (
        _ENTRY.unpack(data[at : at + _ENTRY.size])
    )
    stop = at + _ENTRY.size + named
    if mark != ENTRY or stop > end:
        raise Unfit("form", "the directory", "something else than a member", "members")
    raw = bytes(data[at + _ENTRY.size : stop])
    name = told(raw.decode("latin-1"))
    if not NAME.fullmatch(raw.decode("latin-1")):
        raise Unfit("name", f"member {name}", "a name that leads elsewhere or hides", "plain relative names")
    if flags & ~0x800 or method not in (0, 8) or needed not in NEEDED or extra or comment or disk:
        raise Unfit("form", f"member {name}", "encryption, or a way to pack that is not known", "stored or deflated")
    if made >> 8 == _UNIX and kind >> 16 & 0o170000 not in (0, 0o100000) or kind & 0x10:
        raise Unfit("name", f"member {name}", "a link, a folder or a device", "plain files")
    if start + _LOCAL.size + named > len(data):
        raise Unfit("form", f"member {name}", "no header where the directory says", "one")
    head = _LOCAL.unpack(data[start : start + _LOCAL.size])
    here = bytes(data[start + _LOCAL.size : start + _LOCAL.size + named])
    if (*head[:4], *head[6:], here) != (LOCAL, needed, flags, method, crc, packed, size, named, 0, raw):
        raise Unfit("form", f"member {name}", "two headers that disagree", "one that says what the other does")
    return Member(raw.decode("latin-1"), method, crc, packed, size, start + _LOCAL.size + named), stop


def _fit(found: list[Member], start: int, largest: int) -> None:
    """Members lie one after the other up to the directory, each once, and none is more than it may be."""
    if len({each.name.casefold() for each in found}) != len(found):
        raise Unfit("name", "the directory", "a name twice", "each once, in either case")
    at = 0
    for each in sorted(found, key=lambda each: each.start):
        if each.start != at + _LOCAL.size + len(each.name):
            raise Unfit("form", f"member {each.name}", "bytes before it, or shared with another", "one after another")
        at = each.start + each.packed
        if each.size > each.packed * RATIO + SLACK:
            ratio = each.size // max(each.packed, 1)
            raise Unfit("size", f"member {each.name}", f"{ratio:,} bytes for each that is packed", f"at most {RATIO}")
        if each.method == 0 and each.packed != each.size:
            raise Unfit("form", f"member {each.name}", "two sizes", "one, where it is stored")
    if at != start:
        raise Unfit("form", "the directory", "bytes before it that are nobody's", "members")
    if (total := sum(each.size for each in found)) > largest:
        raise Unfit("size", "the members", f"{total:,} bytes", f"at most {largest:,}")


def content(data: memoryview, member: Member) -> bytes:
    """What a member holds, unpacked no further than it says, its sum checked."""
    packed = data[member.start : member.start + member.packed]
    if member.method == 0:
        made = bytes(packed)
    else:
        unpacker = zlib.decompressobj(-15)
        try:
            made = unpacker.decompress(packed, member.size + 1)
        except zlib.error:
            raise Unfit("form", f"member {member.name}", "something else", "what was deflated") from None
        if not unpacker.eof or unpacker.unused_data or unpacker.unconsumed_tail:
            raise Unfit("form", f"member {member.name}", "more or less than it says", f"{member.size:,} bytes")
    if len(made) != member.size or zlib.crc32(made) != member.crc:
        raise Unfit("form", f"member {member.name}", "other bytes than their sum is of", "those")
    return made


def found(data: memoryview) -> bool:
    """Whether a reader of zip would find a directory in a file, whatever else the file is."""
    tail = bytes(data[-(_END.size + 0xFFFF) :])
    return any(_ends(tail, at.start()) for at in re.finditer(re.escape(END), tail))


def _ends(tail: bytes, at: int) -> bool:
    if at + _END.size > len(tail):
        return False
    _, _, _, _, count, size, _, _ = _END.unpack(tail[at : at + _END.size])
    # Python's reader finds the directory by its size, and takes a comment that is cut off.
    return not count or size > at or tail[at - size :][:4] == ENTRY
