"""Numbers as they lie in a file: how many of a tensor's are none (NaN) or infinite, in every type of float.

Types are named as safetensors names them. A type of less than a byte is none of these, and so is one of objects.
"""

import math
from typing import NamedTuple

import numpy as np

PIECE = 1 << 24


class Tensor(NamedTuple):
    """A tensor as a file declares it: its type, its shape, and where its bytes lie in the file."""

    name: str
    kind: str
    shape: tuple[int, ...]
    start: int
    stop: int


WIDTHS = {"BOOL": 1, "U8": 1, "I8": 1, "U16": 2, "I16": 2, "U32": 4, "I32": 4, "U64": 8, "I64": 8}
_FLOATS = {
    # Type -> width, the bits that tell, and what they are where it is no finite number.
    "F16": (2, 0x7C00, 0x7C00),
    "BF16": (2, 0x7F80, 0x7F80),
    "F32": (4, 0x7F80_0000, 0x7F80_0000),
    "F64": (8, 0x7FF0_0000_0000_0000, 0x7FF0_0000_0000_0000),
    "C64": (4, 0x7F80_0000, 0x7F80_0000),
    "F8_E5M2": (1, 0x7C, 0x7C),
    "F8_E4M3": (1, 0x7F, 0x7F),
    "F8_E4M3FNUZ": (1, 0xFF, 0x80),
    "F8_E5M2FNUZ": (1, 0xFF, 0x80),
    "F8_E8M0": (1, 0xFF, 0xFF),
}
WIDTHS |= {kind: 8 if kind == "C64" else width for kind, (width, _, _) in _FLOATS.items()}
"""Type -> bytes of one element."""


def size(kind: str, shape: tuple[int, ...]) -> int:
    """Bytes that a tensor of a known type takes."""
    return math.prod(shape) * WIDTHS[kind]


def odd(kind: str, data: memoryview) -> int:
    """How many numbers are not finite; of booleans, how many bytes are neither 0 nor 1."""
    if kind not in _FLOATS and kind != "BOOL":
        return 0
    width, mask, bad = _FLOATS.get(kind, (1, 0xFE, 0))
    total = 0
    for at in range(0, len(data), PIECE):
        bits = np.frombuffer(data[at : at + PIECE], f"<u{width}") & mask
        total += int(np.count_nonzero(bits if kind == "BOOL" else bits == bad))
    return total
