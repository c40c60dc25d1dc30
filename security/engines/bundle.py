"""The variables of a SavedModel: TensorFlow's "tensor bundle", an index and the bytes that it lists.

The index is a table of LevelDB's (doc/table_format.md): blocks of sorted entries, a block that lists them, a footer.
Each entry is a message with a tensor's type, shape and place. Taken is what TensorFlow writes for one machine: one file
of data, no compression, no slices; each byte of the data is one tensor's. All of them are numbers but one text, the
graph of the objects that were saved, which is handed on as it is.
"""

import struct
from collections.abc import Iterator

from security.engines import wire
from security.engines.finite import Tensor, size
from security.engines.unfit import Unfit, told

MAGIC = bytes.fromhex("57fb808b247547db")
ENTRIES = 100_000
TYPES = {
    1: "F32", 2: "F64", 3: "I32", 4: "U8", 5: "I16", 6: "I8", 8: "C64", 9: "I64", 10: "BOOL", 14: "BF16", 17: "U16",
    19: "F16", 22: "U32", 23: "U64", 24: "F8_E5M2", 25: "F8_E4M3",
}  # fmt: skip
GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_TEXT = 7
_KNOWN = wire.schema("""
Header 1:num_shards:int 2:endianness:int 3:version:Version
Version 1:producer:int 2:min_consumer:int
Entry 1:dtype:int 2:shape:Shape 3:shard_id:int 4:offset:int 5:size:int 6:crc32c:f32
Shape 2:dim:Dim*
Dim 1:size:int
""")


def read(index: memoryview, length: int) -> list[Tensor]:
    """What an index lists, over a file of data of this many bytes, or `Unfit`. Of the text the type is empty."""
    reader, found, at, last = wire.Reader(_KNOWN), list[Tensor](), 0, b""
    entries = _entries(index)
    name, value = next(entries, (b"-", b""))
    head = reader.read(memoryview(value), "Header") if name == b"" else {}
    if head.get("num_shards") != [1] or head.get("endianness", [0]) != [0]:
        raise Unfit("form", "the index", "another head", "one file of data, little-endian")
    listed = []
    for name, value in entries:
        if name <= last:
            raise Unfit("form", "the index", "names that are not sorted, or twice", "each once, in order")
        last = name
        listed.append((name.decode("latin-1"), reader.read(memoryview(value), "Entry")))
    for name_, entry in sorted(listed, key=lambda each: each[1].get("offset", [0])):
        place = f"variable {told(name_)}"
        start, long = entry.get("offset", [0])[0], entry.get("size", [0])[0]
        if entry.get("shard_id", [0]) != [0] or start != at:
            raise Unfit("form", place, f"bytes from {start:,}", f"from {at:,}, where the last end")
        at += long
        kind = entry.get("dtype", [0])[0]
        if kind == _TEXT and name_ == GRAPH:
            found.append(Tensor(name_, "", (), start, start + long))
            continue
        dims = entry.get("shape", [{}])[0].get("dim", [])
        shape = tuple(each.get("size", [0])[0] for each in dims)
        if kind not in TYPES or len(shape) > 16 or any(each >> 48 for each in shape):
            raise Unfit("form", place, "a type or a shape that is not known", ", ".join(sorted(TYPES.values())))
        if size(TYPES[kind], shape) != long:
            raise Unfit("form", place, f"{long:,} bytes", f"{size(TYPES[kind], shape):,}, as its type and shape say")
        found.append(Tensor(name_, TYPES[kind], shape, start, start + long))
    if at != length:
        raise Unfit("form", "the variables", f"{length:,} bytes", f"{at:,}, as the index says")
    return found


def text(data: memoryview) -> memoryview:
    """The one text that a tensor of texts holds: its length, the sum of that, and itself."""
    length, at = wire.varint(data, 0, "the graph of objects")
    if at + 4 + length != len(data):
        raise Unfit("form", "the graph of objects", "more or less than a text", "one")
    return data[at + 4 :]


def _entries(index: memoryview) -> Iterator[tuple[bytes, bytes]]:
    """Names and values of all blocks that the last one lists. Blocks lie one after the other, from the first byte."""
    if len(index) < 48 or bytes(index[-8:]) != MAGIC:
        raise Unfit("form", "the index", "no footer of a table", "one")
    footer, at, place = index[-48:], 0, list[int]()
    for _ in range(4):
        value, at = wire.varint(footer, at, "the index")
        place.append(value)
    end = 0
    for _, handle in _block(index, place[2], place[3]):
        start, at = wire.varint(memoryview(handle), 0, "the index")
        length, at = wire.varint(memoryview(handle), at, "the index")
        if start != end:
            raise Unfit("form", "the index", "a gap between its blocks", "one after the other")
        end = start + length + 5
        yield from _block(index, start, length)
    # Then a block about blocks, that of the list, and the footer.
    if place[0] != end or place[2] != end + place[1] + 5 or place[2] + place[3] + 5 + 48 != len(index):
        raise Unfit("form", "the index", "bytes that are nobody's", "blocks and a footer")
    if list(_block(index, place[0], place[1])):
        raise Unfit("form", "the index", "a block about blocks", "an empty one")


def _block(index: memoryview, begin: int, length: int) -> list[tuple[bytes, bytes]]:
    if length < 4 or begin + length + 5 > len(index) or index[begin + length]:
        raise Unfit("form", "the index", "a block that is packed, or past the end", "plain ones")
    block = index[begin : begin + length]
    (count,) = struct.unpack("<L", block[-4:])
    stop = length - 4 - 4 * count
    if stop < 0:
        raise Unfit("form", "the index", "a block that is cut off", "whole ones")
    made, at, name, whole = list[tuple[bytes, bytes]](), 0, b"", {0}
    while at < stop:
        start = at
        shared, at = wire.varint(block, at, "the index")
        more, at = wire.varint(block, at, "the index")
        long, at = wire.varint(block, at, "the index")
        if shared > len(name) or at + more + long > stop or len(made) >= ENTRIES:
            raise Unfit("form", "the index", "an entry that is cut off, or too many", f"{ENTRIES:,}")
        whole |= set() if shared else {start}
        name = name[:shared] + bytes(block[at : at + more])
        made.append((name, bytes(block[at + more : at + more + long])))
        at += more + long
    if {*struct.unpack(f"<{count}L", block[stop:-4])} - whole:
        raise Unfit("form", "the index", "an entry that is found elsewhere than it stands", "one place for each")
    return made
