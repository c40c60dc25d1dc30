"""A database of bbolt, written as Trivy's is read: one leaf page of buckets that lie within each other."""

import struct
from pathlib import Path
from typing import Union

PAGE = 4096
Tree = dict[str, Union[bytes, "Tree"]]


def _page(tree: Tree, number: int, overflow: int = 0) -> bytes:
    """A leaf page: its header, the elements in the order of their keys, then keys and values."""
    rows = [(key.encode(), value) for key, value in tree.items()]
    elements, data, at = b"", b"", 16 * len(rows)
    for count, (key, value) in enumerate(sorted(rows, key=lambda row: row[0])):
        body = value if isinstance(value, bytes) else struct.pack("<QQ", 0, 0) + _page(value, 0)
        kind = 0 if isinstance(value, bytes) else 1
        elements += struct.pack("<IIII", kind, at - 16 * count + len(data), len(key), len(body))
        data += key + body
    return struct.pack("<QHHI", number, 2, len(rows), overflow) + elements + data


def _meta(number: int, high: int) -> bytes:
    body = struct.pack("<IIIIQQQQQ", 0xED0CDAED, 2, PAGE, 0, 3, 0, 2, high, number)
    sum_ = 0xCBF29CE484222325
    for byte in body:
        sum_ = (sum_ ^ byte) * 0x100000001B3 & (1 << 64) - 1
    return struct.pack("<QHHI", number, 4, 0, 0) + body + struct.pack("<Q", sum_)


def write(path: Path, tree: Tree) -> None:
    """The database of a tree of buckets."""
    more = (len(_page(tree, 3)) - 1) // PAGE
    pages = [_meta(0, 4 + more), _meta(1, 4 + more), struct.pack("<QHHI", 2, 0x10, 0, 0), _page(tree, 3, more)]
    path.write_bytes(b"".join(each.ljust(-(-len(each) // PAGE) * PAGE, b"\0") for each in pages))
