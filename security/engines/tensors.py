"""Safetensors, read by its description (huggingface/safetensors, README "Format") and no more leniently.

Eight bytes with the length of the header, the header (a JSON object, maybe padded with spaces), then the tensors: one
after the other from the first byte to the last, without a gap, an overlap or a rest. So no byte of a file is nobody's.
Bounds: a header of `HEADER` bytes, `TENSORS` tensors of `RANK` dimensions.
"""

import re
from collections.abc import Iterator
from typing import Any

from security.engines import notation
from security.engines.finite import WIDTHS, Tensor, size
from security.engines.unfit import Unfit, told

HEADER = 16 << 20
TENSORS = 100_000
RANK = 16
WRITERS = ("np", "pt", "tf", "flax", "mlx")
"""What the metadata may say. Its texts are anybody's, and people and programs read them."""
NAME = re.compile(r"[\w.:/\[\]-]{1,200}", re.ASCII)


def read(data: memoryview) -> list[Tensor]:
    """The tensors of a file, in the order of their bytes, or `Unfit`."""
    if len(data) < 8:
        raise Unfit("form", "the header", f"{len(data)} bytes", "its length in eight bytes")
    length = int.from_bytes(data[:8], "little")
    if length > HEADER:
        raise Unfit("size", "the header", f"a length of {length:,} bytes", f"at most {HEADER:,}")
    head = bytes(data[8 : 8 + length])
    if len(head) != length or head[:1] != b"{":
        raise Unfit("form", "the header", "no object of JSON of its length", "one that begins at once")
    told = notation.parsed(head.rstrip(b" "), "the header")
    if not isinstance(told, dict):
        raise Unfit("form", "the header", "no object", "an object of JSON")
    found = sorted(_tensors(told), key=lambda each: (each.start, each.stop))
    if not found:
        raise Unfit("form", "the header", "no tensor", "at least one")
    at = 0
    for each in found:
        if each.start != at:
            raise Unfit("form", f"tensor {each.name}", f"bytes from {each.start:,}", f"from {at:,}, where the last end")
        at = each.stop
    if at != len(data) - 8 - length:
        raise Unfit("form", "the tensors", f"{len(data) - 8 - length:,} bytes", f"{at:,}, as the header says")
    return [each._replace(start=each.start + 8 + length, stop=each.stop + 8 + length) for each in found]


def _tensors(header: dict[str, Any]) -> Iterator[Tensor]:
    if len(header) > TENSORS:
        raise Unfit("size", "the header", f"{len(header):,} tensors", f"at most {TENSORS:,}")
    for name, value in header.items():
        if name == "__metadata__":
            if not (isinstance(value, dict) and value.keys() == {"format"} and value["format"] in WRITERS):
                raise Unfit("form", "__metadata__", "something else", f"a format: {', '.join(WRITERS)}")
            continue
        place = f"tensor {told(name)}"
        if not NAME.fullmatch(name):
            raise Unfit("form", place, "such a name", "letters, digits and . _ : / [ ] -")
        if not isinstance(value, dict) or value.keys() != {"dtype", "shape", "data_offsets"}:
            raise Unfit("form", place, "other keys", "dtype, shape, data_offsets")
        kind, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
        if not isinstance(kind, str) or kind not in WIDTHS:
            raise Unfit("form", place, "a type that is not known", ", ".join(sorted(WIDTHS)))
        if not (_counts(shape) and len(shape) <= RANK and _counts(offsets) and len(offsets) == 2):
            raise Unfit("form", place, "a shape or a place that is none", f"at most {RANK} counts; from and to")
        start, stop = offsets
        if stop - start != size(kind, tuple(shape)):
            found, wanted = f"{stop - start:,} bytes", f"{size(kind, tuple(shape)):,}, as its type and shape say"
            raise Unfit("form", place, found, wanted)
        yield Tensor(name, kind, tuple(shape), start, stop)


def _counts(value: Any) -> bool:
    """Whether it is a list of whole numbers from 0, none of which is a boolean or past 2**53."""
    return isinstance(value, list) and all(type(each) is int and 0 <= each <= 1 << 53 for each in value)
