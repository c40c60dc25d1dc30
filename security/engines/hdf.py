"""HDF5 (The HDF Group, "HDF5 File Format Specification Version 3.0"), the part of it that Keras writes.

Read by walking the bytes: the library of HDF5 opens other files where a link or a dataset says so, loads filters as
shared objects, and has had faults in nearly every kind of message. What is taken is superblock 0, groups of old style,
datasets in one piece of little-endian numbers, and attributes of numbers and texts. What leads outside is refused by
name: soft, external and user-defined links, external and virtual datasets, filters, references. So is anything that
is not known. Each object is reached once, so that nothing loops. Bounds: `OBJECTS`, `DEEPEST`, `MESSAGES` each.

Not seen: bytes that nothing points at, which HDF5 leaves wherever something was deleted.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from security.engines import hdfattr
from security.engines.finite import Tensor, size
from security.engines.hdfattr import UNSET, Bytes, number
from security.engines.unfit import Unfit, told

MARK = b"\x89HDF\r\n\x1a\n"
OBJECTS = 20_000
DEEPEST = 32
MESSAGES = 2_000
NODES = 20_000
_OUTSIDE = {
    6: "a link of new style",
    7: "data that lies in another file",
    11: "a filter, which is code that is loaded",
}
_SUPER = bytes((0, 0, 0, 0, 0, 8, 8, 0)) + struct.pack("<HHL", 4, 16, 0)
_NAME = re.compile(rb"[!-.0-~][ -.0-~]{0,254}")
_LINKS = {1: "a soft link", 64: "a link into another file"}


@dataclass
class File:
    """What a file holds: its datasets, named by their paths, and the texts of its attributes by object and name."""

    tensors: list[Tensor] = field(default_factory=list)
    texts: dict[tuple[str, str], list[bytes]] = field(default_factory=dict)


def read(data: memoryview) -> File:
    """What a file holds, or `Unfit`."""
    try:
        return _Walk(Bytes(data)).file()
    except (struct.error, IndexError):
        raise Unfit("form", "the file", "a part that is cut off", "whole ones") from None


class _Walk:
    def __init__(self, data: Bytes) -> None:
        self.data, self.found = data, File()
        self.seen = set[int]()
        self.nodes = 0

    def file(self) -> File:
        head = self.data.part(0, 96, "the superblock")
        if head[:8] != MARK or head[8:24] != _SUPER:
            raise Unfit("form", "the superblock", "another version or kind", "version 0, of nodes of the usual size")
        base, free, end, driver = struct.unpack("<4Q", head[24:56])
        if (base, free, driver) != (0, UNSET, UNSET) or end != len(self.data):
            raise Unfit("form", "the superblock", f"an end at {end:,}, or parts elsewhere", f"{len(self.data):,}")
        _, header, cached, _ = struct.unpack("<QQLL", head[56:80])
        self.object("", header, cached, head[80:96], 0)
        if not self.found.tensors and not self.found.texts:
            raise Unfit("form", "the file", "neither a dataset nor an attribute", "at least one")
        at = 0
        for each in sorted(self.found.tensors, key=lambda each: (each.start, each.stop)):
            if each.start < at and each.stop > each.start:
                raise Unfit("form", told(each.name), "bytes that are another's too", "its own")
            at = max(at, each.stop)
        return self.found

    def object(self, path: str, header: int, cached: int, scratch: bytes, depth: int) -> None:
        """A group or a dataset, and what is in it."""
        place = told(path) or "the root"
        if header in self.seen or len(self.seen) >= OBJECTS or depth > DEEPEST:
            raise Unfit("size", place, "an object that is reached twice, or too many", f"{OBJECTS:,}, each once")
        self.seen.add(header)
        told_of: dict[int, list[bytes]] = {}
        for kind, body in self.messages(header, place):
            if kind in _OUTSIDE:
                found = _LINKS.get(body[2], _OUTSIDE[6]) if kind == 6 and body[1:2] == b"\x08" else _OUTSIDE[kind]
                raise Unfit("outside", place, found, "what is in the file itself")
            told_of.setdefault(kind, []).append(body)
        named = set[str]()
        for body in told_of.pop(12, []):
            name, texts = hdfattr.attribute(self.data, body, place)
            if name in named:
                raise Unfit("form", place, f"the attribute {told(name)} twice", "it once")
            named.add(name)
            if texts is not None:
                self.found.texts[path, name] = texts
        for kind in (0, 18):  # nothing, and the time of a change
            told_of.pop(kind, None)
        if any(len(bodies) > 1 for bodies in told_of.values()):
            raise Unfit("form", place, "a message twice", "each once")
        single = {kind: body for kind, (body,) in told_of.items()}
        if single.keys() == {17}:
            self.group(path, single[17], cached, scratch, depth)
        elif single.keys() - {4, 5} == {1, 3, 8} and not cached:
            self.found.tensors.append(self.dataset(path, single))
        else:
            raise Unfit("form", place, "messages of another kind of object", "a group, or a dataset in one piece")

    def messages(self, header: int, place: str) -> Iterator[tuple[int, bytes]]:
        """The messages of an object header of version 1, those of its continuations too."""
        head = self.data.part(header, 16, place)
        version, _, count, links, length = struct.unpack("<BBHLL", head[:12])
        if version != 1 or links != 1 or count > MESSAGES:
            raise Unfit("form", place, f"a header of version {version}, {links} times linked", "version 1, once")
        todo, left = [(header + 16, length)], count
        while todo:
            at, length = todo.pop(0)
            body = self.data.part(at, length, place)
            here = 0
            while here + 8 <= length:
                kind, long, flags = struct.unpack("<HHB", body[here : here + 5])
                message = body[here + 8 : here + 8 + long]
                if len(message) != long or left == 0 or flags & ~5:
                    raise Unfit("form", place, "a message that is shared, or not as long as it says", "plain ones")
                left, here = left - 1, here + 8 + long
                if kind == 16:
                    where, more = struct.unpack("<QQ", message[:16])
                    todo.append((where, more))
                else:
                    yield kind, message
            if here != length or len(todo) > MESSAGES:
                raise Unfit("form", place, "a rest after the messages", "messages and nothing else")
        if left:
            raise Unfit("form", place, "fewer messages than it says", f"{count:,}")

    def group(self, path: str, body: bytes, cached: int, scratch: bytes, depth: int) -> None:
        tree, heap = struct.unpack("<QQ", body[:16])
        if cached > 1 or (cached == 1 and scratch != body[:16]):
            raise Unfit("form", told(path) or "the root", "a group that is elsewhere too", "one place")
        head = self.data.part(heap, 32, "a heap")
        length, _, at = struct.unpack("<QQQ", head[8:])
        if head[:8] != b"HEAP\0\0\0\0":
            raise Unfit("form", "a heap", "something else", "one of version 0")
        names = _Names(self.data.part(at, length, "a heap"))
        for name, entry in self.entries(tree, names):
            label = name.decode("ascii")
            inner = f"{path}/{label}" if path else label
            _, header, cached, _ = struct.unpack("<QQLL", entry[:24])
            if cached == 2:
                raise Unfit("outside", told(inner), "a soft link", "what is in the file itself")
            self.object(inner, header, cached, entry[24:40], depth + 1)

    def entries(self, tree: int, names: "_Names") -> list[tuple[bytes, bytes]]:
        """Names and entries of the leaves of a tree, in its order; the nodes beside each are its own.

        The library looks a name up by the keys and the order of the tree, and would miss what stands elsewhere.
        """
        mine, beside = set[int](), set[int]()

        def inside(node: int, low: bytes, high: bytes | None, depth: int) -> Iterator[tuple[bytes, bytes]]:
            self.nodes += 1
            if node in mine or self.nodes > NODES or depth > DEEPEST:
                raise Unfit("size", "a tree", "a node that is reached twice, or too many", f"{NODES:,}, each once")
            mine.add(node)
            kind = self.data.part(node, 8, "a tree")
            count = number(kind[6:8])
            if kind[:4] == b"TREE" and kind[4] == 0:
                rest = self.data.part(node + 8, 16 + 8 + 16 * count, "a tree")
                beside.update(struct.unpack("<QQ", rest[:16]))
                parts = struct.unpack(f"<{1 + 2 * count}Q", rest[16:])
                for at in range(0, 2 * count, 2):
                    yield from inside(parts[at + 1], names.at(parts[at]), names.at(parts[at + 2]), depth + 1)
            elif kind[:6] == b"SNOD\1\0" and high is not None:
                body = self.data.part(node + 8, 40 * count, "a tree")
                for at in range(0, len(body), 40):
                    name = names.at(number(body[at : at + 8]))
                    if not low < name <= high or not _NAME.fullmatch(name):
                        raise Unfit("form", "a tree", "a name that is none, or stands elsewhere", "names in order")
                    low = name
                    yield name, body[at : at + 40]
            else:
                raise Unfit("form", "a tree", "something else", "nodes of a group")

        found = list(inside(tree, b"", None, 0))
        if beside - mine - {UNSET} or [name for name, _ in found] != sorted({name for name, _ in found}):
            raise Unfit("form", "a tree", "a node beside it that is not in it, or names out of order", "its own nodes")
        return found

    def dataset(self, path: str, single: dict[int, bytes]) -> Tensor:
        place = told(path)
        shape, kind = hdfattr.space(single[1], place), hdfattr.kind(single[3], place)
        layout = single[8]
        if layout[:2] == b"\4\3":
            raise Unfit("outside", place, "a dataset put together from others", "what is in the file itself")
        if layout[:2] != b"\3\1" or len(layout) < 18:
            raise Unfit("form", place, "another layout", "one piece")
        start, length = struct.unpack("<QQ", layout[2:18])
        if length != size(kind, shape):
            raise Unfit("form", place, f"{length:,} bytes", f"{size(kind, shape):,}, as its type and shape say")
        if not length:
            start = 0
        self.data.check(start, length, place)
        return Tensor(path, kind, shape, start, start + length)


class _Names:
    """The names of a group, by their places in its heap."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def at(self, place: int) -> bytes:
        """A name; it ends with a byte of zero."""
        stop = self._data.find(b"\0", place) if place < len(self._data) else -1
        if stop < 0:
            raise Unfit("form", "a heap", "no name where it says", "one")
        return self._data[place:stop]
