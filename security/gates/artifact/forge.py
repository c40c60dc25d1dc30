"""Writes small artefacts of every format, with a place for what a canary puts in. Needs no framework."""

import io
import json
import struct
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

from security.engines.hdf import MARK
from security.engines.hdfattr import UNSET

Node = tuple[str, str]
"""The name of a node of a graph, and its operation."""


def safetensors(tensors: Mapping[str, tuple[str, Sequence[int], bytes]]) -> bytes:
    """A file of tensors: name -> type, shape, bytes."""
    head, at = dict[str, Any](), 0
    for name, (kind, shape, data) in tensors.items():
        head[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [at, at + len(data)]}
        at += len(data)
    text = json.dumps(head, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + b"".join(data for _, _, data in tensors.values())


def _message(kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 8)
    return struct.pack("<HHB3x", kind, len(body), 0) + body


def _header(*messages: bytes) -> bytes:
    joined = b"".join(messages)
    return struct.pack("<BxHLL4x", 1, len(messages), 1, len(joined)) + joined


def hdf(data: bytes, *, cached: int = 0, root: Sequence[bytes] = (), more: Sequence[bytes] = ()) -> bytes:
    """HDF5 with one dataset of floats. `cached`: the kind of its entry in the root; `root`, `more`: messages besides,
    of the root and of the dataset."""
    header = len(_header(_message(17, bytes(16)), *root))
    tree = 96 + header
    heap, names, leaf, dataset = tree + 48, tree + 80, tree + 112, tree + 160
    body = _header(
        _message(1, struct.pack("<BBB5xQ", 1, 1, 0, len(data) // 4)),
        _message(3, b"\x11\x20\x1f\0" + struct.pack("<LHHBBBBL", 4, 0, 32, 23, 8, 0, 23, 127)),
        *(more or [_message(8, struct.pack("<BBQQ", 3, 1, 0, len(data)))]),
    )
    start = dataset + len(body)
    body = body.replace(struct.pack("<BBQQ", 3, 1, 0, len(data)), struct.pack("<BBQQ", 3, 1, start, len(data)))
    base = MARK + bytes((0, 0, 0, 0, 0, 8, 8, 0)) + struct.pack("<HHL4Q", 4, 16, 0, 0, UNSET, start + len(data), UNSET)
    base += struct.pack("<QQLLQQ", 0, 96, 1, 0, tree, heap)
    base += _header(_message(17, struct.pack("<QQ", tree, heap)), *root)
    base += b"TREE\0\0" + struct.pack("<HQQQQQ", 1, UNSET, UNSET, 0, leaf, 8)
    base += b"HEAP" + struct.pack("<4xQQQ", 32, 16, names) + b"\0" * 8 + b"w\0".ljust(24, b"\0")
    base += b"SNOD\1\0" + struct.pack("<HQQLL16x", 1, 8, dataset, cached, 0)
    return base + body + data


def link(kind: int) -> bytes:
    """A message of HDF5 with a link of new style that leads elsewhere: 1 soft, 64 into another file."""
    return _message(6, bytes((1, 8, kind)) + b"\1w\x06\0/else")


def message(kind: int) -> bytes:
    """A message of HDF5 of any kind, with nothing to be read in it."""
    return _message(kind, bytes(8))


def virtual() -> bytes:
    """A layout of HDF5 by which a dataset is put together from others."""
    return _message(8, b"\4\3" + bytes(14))


def layer(name: str, **config: Any) -> dict[str, Any]:
    """A layer of Keras as a configuration names it."""
    said = {"name": name.lower(), "trainable": True, **config}
    return {"module": "keras.layers", "class_name": name, "config": said, "registered_name": None}


def sequential(*layers: dict[str, Any]) -> dict[str, Any]:
    """A model of Keras of some layers."""
    config = {"name": "sequential", "trainable": True, "layers": list(layers)}
    return {"module": "keras", "class_name": "Sequential", "config": config, "registered_name": None}


def keras(config: Any, weights: bytes, **more: bytes) -> bytes:
    """An archive of Keras. `more`: members besides."""
    made = io.BytesIO()
    about = {"keras_version": "3.15.1", "date_saved": "2026-01-01@00:00:00"}
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("metadata.json", json.dumps(about))
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", weights)
        for name, data in more.items():
            archive.writestr(name, data)
    return made.getvalue()


def varint(value: int) -> bytes:
    """A number on the wire."""
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*made, value))


def field(number: int, value: bytes | str | int) -> bytes:
    """A field on the wire."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def node(name: str, op: str, attr: bytes = b"") -> bytes:
    """A node of a graph. `attr`: fields of the value of an attribute."""
    said = field(5, field(1, "a") + field(2, attr)) if attr else b""
    return field(1, name) + field(2, op) + said


def function(name: str, *nodes: bytes, signature: bytes = b"") -> bytes:
    """A function of a library."""
    return field(1, field(1, name) + signature) + b"".join(field(3, each) for each in nodes)


def meta(*nodes: bytes, functions: Sequence[bytes] = (), more: bytes = b"") -> bytes:
    """A meta graph. `more`: fields besides."""
    library = field(2, b"".join(field(1, each) for each in functions)) if functions else b""
    return field(2, b"".join(field(1, each) for each in nodes) + library) + more


def saved(*metas: bytes) -> bytes:
    """A SavedModel's graph."""
    return field(1, 1) + b"".join(field(2, each) for each in metas)
