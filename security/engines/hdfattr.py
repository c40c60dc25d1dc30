"""The small parts of HDF5 that `hdf` meets everywhere: types, shapes, and attributes, whose texts lie in a heap."""

import math
import re
import struct

from security.engines.unfit import Unfit, told

UNSET = (1 << 64) - 1
RANK = 16
TEXTS = 100_000
LEAST = 64
SLACK = 64 << 20
"""Bytes that are read of any file, however small it is."""
_FLOATS = {
    # Size -> the bits and properties of IEEE's: sign, then place and length of exponent and mantissa, and the bias.
    2: ("F16", bytes((0x11, 0x20, 15, 0)), (0, 16, 10, 5, 0, 10, 15)),
    4: ("F32", bytes((0x11, 0x20, 31, 0)), (0, 32, 23, 8, 0, 23, 127)),
    8: ("F64", bytes((0x11, 0x20, 63, 0)), (0, 64, 52, 11, 0, 52, 1023)),
}
_NAME = re.compile(rb"[ -~]{1,255}\0")
_WHOLE = {1: "8", 2: "16", 4: "32", 8: "64"}


def number(data: bytes) -> int:
    """A little-endian number without a sign."""
    return int.from_bytes(data, "little")


class Bytes:
    """The bytes of a file; a part that is not in it is refused."""

    def __init__(self, data: memoryview) -> None:
        self._data, self._taken = data, 0

    def __len__(self) -> int:
        return len(self._data)

    def check(self, at: int, length: int, place: str) -> None:
        """Refuse a part that is not in the file."""
        if at + length > len(self._data):
            raise Unfit("form", place, "a place past the end", f"{len(self._data):,} bytes")

    def part(self, at: int, length: int, place: str) -> bytes:
        """Some bytes. All in all no more than four times the file are taken, and a little."""
        self.check(at, length, place)
        self._taken += max(length, LEAST)  # a read costs time, however little it takes
        if self._taken > 4 * len(self._data) + SLACK:
            raise Unfit("size", place, "parts that are read again and again", "each once")
        return bytes(self._data[at : at + length])


def space(body: bytes, place: str) -> tuple[int, ...]:
    """A shape: of a scalar, or of a fixed size."""
    if len(body) >= 8 and body[0] == 1:
        rank, flags, dims = body[1], body[2], body[8:]
    elif len(body) >= 4 and body[0] == 2 and body[3] == (body[1] > 0):
        rank, flags, dims = body[1], body[2], body[4:]
    else:
        raise Unfit("form", place, "another kind of shape", "a scalar, or a fixed size")
    if rank > RANK or flags & ~1 or len(dims) < 8 * rank * (1 + flags):
        raise Unfit("form", place, "another kind of shape", f"at most {RANK} dimensions")
    shape = struct.unpack(f"<{rank}Q", dims[: 8 * rank])
    if flags and dims[8 * rank : 16 * rank] != dims[: 8 * rank]:
        raise Unfit("form", place, "a shape that may grow", "a fixed size")
    if math.prod(shape) > 1 << 48:
        raise Unfit("size", place, "a shape of more elements than a file can have", "fewer")
    return shape


def kind(body: bytes, place: str) -> str:
    """A type of number, as `finite` names it."""
    if len(body) < 8:
        raise Unfit("form", place, "a type that is cut off", "a whole one")
    length = number(body[4:8])
    if body[0] == 0x10 and body[1] & ~8 == 0 and body[2:4] == b"\0\0" and length in _WHOLE:
        if struct.unpack("<HH", body[8:12]) == (0, 8 * length):
            return ("I" if body[1] & 8 else "U") + _WHOLE[length]
    elif length in _FLOATS:
        name, bits, properties = _FLOATS[length]
        if body[:4] == bits and len(body) >= 20 and struct.unpack("<HHBBBBL", body[8:20]) == properties:
            return name
    raise Unfit("form", place, "a type that is not known", "little-endian numbers")


def attribute(data: Bytes, body: bytes, place: str) -> tuple[str, list[bytes] | None]:
    """The name of an attribute, and its texts where it holds texts."""
    if len(body) < 8 or body[0] not in (1, 3) or body[1]:
        raise Unfit("form", place, "an attribute of another version", "1 or 3")
    named, typed, spaced = struct.unpack("<HHH", body[2:8])
    at, parts = 9 if body[0] == 3 else 8, list[bytes]()
    for length in (named, typed, spaced):
        parts.append(body[at : at + length])
        at += length if body[0] == 3 else -(-length // 8) * 8
    if not _NAME.fullmatch(parts[0]):
        raise Unfit("form", place, "an attribute without a name, or with another after it", "plain names")
    name, shape = parts[0][:-1].decode("ascii"), space(parts[2], place)
    place, count, given = f"{place}, attribute {told(name)}", math.prod(shape), body[at:]
    form = parts[1]
    if len(form) < 8 or count > TEXTS:
        raise Unfit("size", place, "a type that is cut off, or more texts", f"{TEXTS:,}")
    length = number(form[4:8])
    if not length or len(given) < count * length:
        raise Unfit("form", place, "fewer bytes than it says", "all of them")
    if form[0] == 0x13:
        return name, [given[at : at + length].rstrip(b"\0") for at in range(0, count * length, length)]
    if form[0] == 0x19 and form[1] & 15 == 1 and length == 16 and form[8:9] in (b"\x10", b"\x13"):
        return name, [_text(data, given[at : at + 16], place) for at in range(0, count * 16, 16)]
    kind(form, place)
    return name, None


def _text(data: Bytes, given: bytes, place: str) -> bytes:
    """A text of a heap that all objects share, by the place of the heap and its number there."""
    length, heap, index = struct.unpack("<LQL", given)
    if not length:
        return b""
    head = data.part(heap, 16, place)
    end = heap + number(head[8:16])
    if head[:8] != b"GCOL\1\0\0\0":
        raise Unfit("form", place, "no heap where it says", "one of version 1")
    at = heap + 16
    for _ in range(TEXTS):
        if at + 16 > end:
            break
        number_, _, _, size = struct.unpack("<HHLQ", data.part(at, 16, place))
        if number_ == index:
            if size != length or at + 16 + size > end:
                break
            return data.part(at + 16, size, place)
        if not number_:
            break
        at += 16 + -(-size // 8) * 8
    raise Unfit("form", place, "no text where it says", "one")
