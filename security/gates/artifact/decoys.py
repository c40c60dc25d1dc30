"""Known-bad models: for each rule a maker that takes a model's files and breaks that rule, in a way that is drawn.

Most put a small hostile file beside the others, where nothing else is wrong with it; what is about tensors alters the
model's own, where it has some that can be read.
"""

import json
import random
from collections.abc import Sequence
from typing import Any

from security.engines import tensors
from security.engines.finite import WIDTHS
from security.engines.unfit import Unfit
from security.gate import Violation
from security.gates.artifact import forge, hostile
from security.gates.artifact.facts import Item

_ODD = {"F16": b"\x00\x7c", "BF16": b"\xc0\x7f", "F32": b"\x00\x00\xc0\x7f", "F64": b"\0\0\0\0\0\0\xf0\xff"}
_PLAIN = {"w": ("F32", (4,), b"\0" * 16)}


def _beside(put: hostile.Put) -> Violation[Item]:
    """Puts a file beside the others."""

    def make(sample: Sequence[Item], draw: random.Random) -> list[Item]:
        name, data = put(draw)
        return [*sample, Item(name, "file", len(data), data)]

    return make


def _stranger(sample: Sequence[Item], draw: random.Random) -> list[Item]:
    kind = draw.choice(("link", "other", "file"))
    name = hostile.word(draw) + ".json"
    if kind == "file":
        name = draw.choice((f".{name}", f"../{name}", f"a/../{name}", f"{name}\n.json", f"/{name}", f"a\\{name}"))
    return [*sample, Item(name, kind, 2, b"{}" if kind == "file" else None)]  # type: ignore[arg-type]


def _unknown(draw: random.Random) -> tuple[str, bytes]:
    ends = (".pkl", ".pt", ".bin", ".npy", ".onnx", ".py", ".so", ".pbtxt", ".md", ".jsonl", ".safetensor", ".pb")
    return hostile.word(draw) + draw.choice(ends), draw.choice((b"\x80\x04N.", draw.randbytes(30), b"plain"))


def _two(draw: random.Random) -> tuple[str, bytes]:
    """A file that a reader of another format takes, by its begin or by its end."""
    archive, plain = hostile.packed({"x.py": b"1"}), forge.safetensors(_PLAIN)
    pickle = b"cbuiltins\nlist\n(tR."
    ways = (
        (".safetensors", plain + archive),
        (".safetensors", forge.safetensors({"w": ("U8", (len(archive),), archive)})),
        (".json", pickle),
        (".json", archive),
        (".json", b"{}" + b" " * 510 + forge.hdf(b"\0" * 16)),
        (".safetensors", archive),
        (".safetensors", forge.hdf(b"\0" * 16)),
        (".json", b"\x80\x04" + pickle),
    )
    end, data = draw.choice(ways)
    return hostile.word(draw) + end, data


def _malformed(draw: random.Random) -> tuple[str, bytes]:
    plain = forge.safetensors(_PLAIN)
    gap = plain.replace(b'"data_offsets":[0,16]', b'"data_offsets":[4,20]')
    ways = (
        (".safetensors", plain + draw.randbytes(draw.randrange(1, 9))),
        (".safetensors", plain[: -draw.randrange(1, 9)]),
        (".safetensors", gap + b"\0" * 4),
        (".safetensors", forge.safetensors({"w": ("X9", (4,), b"\0" * 16)})),
        (".json", b'{"a": 1, "a": 2}'),
        (".json", b'{"a": NaN}'),
        (".json", b'{"a": 1e999}'),
        (".json", b'{"a": 1}' + draw.choice((b"x", b"{}", b"\0"))),
        (".json", b'{"a": "\xff"}'),
    )
    end, data = draw.choice(ways)
    return hostile.word(draw) + end, data


def _bomb(sample: Sequence[Item], draw: random.Random) -> list[Item]:
    name, deep = hostile.word(draw), draw.randrange(70, 2000)
    ways = (
        Item(f"{name}.json", "file", 1 << 50, None),
        Item(f"{name}.json", "file", 2 * deep, b"[" * deep + b"]" * deep),
        Item(f"{name}.safetensors", "file", 16, (draw.randrange(1 << 32, 1 << 62)).to_bytes(8, "little") + b"{}      "),
    )
    return [*sample, draw.choice(ways)]


def _model(sample: Sequence[Item], draw: random.Random) -> tuple[int, dict[str, tuple[str, Sequence[int], bytes]]]:
    """Where a file of tensors is among the files, and what is in it; of a sample without one, a new one."""
    for place, item in enumerate(sample):
        if item.name.endswith(".safetensors") and item.data is not None:
            try:
                held = tensors.read(memoryview(item.data))
            except Unfit:
                continue
            return place, {each.name: (each.kind, each.shape, item.data[each.start : each.stop]) for each in held}
    return len(sample), {hostile.word(draw): _PLAIN["w"]}


def _written(sample: Sequence[Item], place: int, held: Any) -> list[Item]:
    data = forge.safetensors(held)
    name = sample[place].name if place < len(sample) else "canary.safetensors"
    return [*sample[:place], Item(name, "file", len(data), data), *sample[place + 1 :]]


def _infinite(sample: Sequence[Item], draw: random.Random) -> list[Item]:
    """One number of one tensor is not finite."""
    place, held = _model(sample, draw)
    floats = [name for name, (kind, _, data) in held.items() if kind in _ODD and data]
    if not floats:
        place, held, floats = len(sample), dict(_PLAIN), ["w"]
    name = draw.choice(floats)
    kind, shape, data = held[name]
    at = draw.randrange(len(data) // WIDTHS[kind]) * WIDTHS[kind]
    held[name] = kind, shape, data[:at] + _ODD[kind] + data[at + WIDTHS[kind] :]
    return _written(sample, place, held)


def _unfit(sample: Sequence[Item], draw: random.Random) -> list[Item]:
    """A tensor has another name, is not there, or is one more."""
    place, held = _model(sample, draw)
    name, way = draw.choice(sorted(held)), draw.randrange(3)
    if way == 2 or len(held) < 2:
        held[hostile.word(draw)] = _PLAIN["w"]
    else:
        taken = held.pop(name)
        if way:
            held[hostile.word(draw)] = taken
    return _written(sample, place, held)


def _more(draw: random.Random) -> tuple[str, bytes]:
    return hostile.word(draw) + ".json", b'{"a": 1}'


def _code(draw: random.Random) -> tuple[str, bytes]:
    key = draw.choice(("auto_map", "chat_template", "class_name", "py/object", "_target_", "trust_remote_code"))
    value: Any = {key: "x"}
    for _ in range(draw.randrange(4)):
        value = draw.choice(([value], {"a": value}))
    return hostile.word(draw) + ".json", json.dumps(value).encode()


VIOLATIONS: dict[str, Violation[Any]] = {
    "ART-01": _stranger,
    "ART-02": _beside(_unknown),
    "ART-03": _beside(_two),
    "ART-04": _beside(_malformed),
    "ART-05": _bomb,
    "ART-06": _infinite,
    "ART-07": _unfit,
    "ART-08": _beside(_more),
    "ART-09": _beside(_code),
    **{rule: _beside(put) for rule, put in hostile.PUTS.items()},
}
