"""What the run and the process that trains say to each other: arrays as safetensors, the rest as lines of JSON.

Nothing that comes back is ever run or unpickled: it is parsed, and held against what was asked for.
"""

import json
from dataclasses import asdict
from typing import IO, Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter, ValidationError
from safetensors.numpy import load, save
from scipy.sparse import csr_matrix

from security.errors import CannotTell
from security.verdict import Frozen
from tasks.recommender.fold import Weights
from tasks.recommender.histories import Histories

LINE = 16 << 20
"""Bytes of a line, at most."""


class Epoch(Frozen):
    """An epoch that was run; `validation` where it was looked at."""

    kind: Literal["epoch"] = "epoch"
    epoch: int = Field(ge=1)
    loss: float = Field(allow_inf_nan=False)
    validation: float | None = Field(default=None, allow_inf_nan=False)
    seconds: float = Field(ge=0, allow_inf_nan=False)


class Kept(Frozen):
    """So many bytes of the state after the last epoch are in the file for it, with this digest."""

    kind: Literal["kept"] = "kept"
    size: int = Field(ge=1)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class Done(Frozen):
    """The weights are written: the epoch that they are of, what the closed form has to say in them, and what they reach
    on the validation part, where there are both; each module that was imported, and its file, or why it has none
    (`standard`: a part of Python, `made`: by others)."""

    kind: Literal["done"] = "done"
    best: int = Field(ge=1)
    share: float | None = Field(default=None, ge=0, le=1)
    value: float | None = Field(default=None, ge=0, le=1)
    modules: dict[str, str]


class Failed(Frozen):
    """The training broke off: the kind of error, and none of its words, which may quote a row."""

    kind: Literal["failed"] = "failed"
    error: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,59}$")


Line = Epoch | Kept | Done | Failed
_LINE: TypeAdapter[Line] = TypeAdapter(Annotated[Line, Field(discriminator="kind")])


def write(line: Line, to: IO[bytes]) -> None:
    """Say it."""
    to.write(line.model_dump_json().encode() + b"\n")
    to.flush()


def read(from_: IO[bytes]) -> Line | None:
    """The next that is said; None at the end. `CannotTell` for what is none of the lines that there are."""
    text = from_.readline(LINE)
    if not text:
        return None
    try:
        return _LINE.validate_json(text, strict=True) if text.endswith(b"\n") else _broken("no whole line")
    except ValidationError as why:
        return _broken(str(why.errors()[0]["type"]))


def _broken(what: str) -> Line:
    raise CannotTell(f"the process that trains said what no training says ({what})", cause="isolation")


def given(train: Histories, validation: Histories | None, start: Weights, settings: Any) -> bytes:
    """What is trained on, as bytes."""
    arrays: dict[str, NDArray[Any]] = {f"start.{name}": value for name, value in start.items()}
    for name, part in (("train", train), ("validation", validation)):
        if part is not None:
            arrays |= {f"{name}.indptr": part.indptr.astype(np.int64), f"{name}.indices": part.indices.astype(np.int32)}
            arrays[f"{name}.data"] = part.data.astype(np.float32)
    shape = [int(side) for side in train.shape]
    return save(arrays, {"settings": json.dumps(asdict(settings)), "shape": json.dumps(shape)})


def taken(data: bytes) -> tuple[Histories, Histories | None, dict[str, NDArray[np.float32]], dict[str, Any]]:
    """What `given` gave: histories to train on and to validate with, starting weights, settings."""
    length = int.from_bytes(data[:8], "little")
    told = json.loads(data[8 : 8 + length])["__metadata__"]
    arrays, shape = load(data), tuple(json.loads(told["shape"]))
    parts: list[Histories | None] = []
    for name in ("train", "validation"):
        indices = arrays.pop(f"{name}.indices", None)
        if indices is None:
            parts.append(None)
            continue
        columns = arrays.pop(f"{name}.data"), indices, arrays.pop(f"{name}.indptr")
        parts.append(csr_matrix(columns, shape=shape))
    assert parts[0] is not None  # noqa: S101
    start = {name.removeprefix("start."): value for name, value in arrays.items()}
    return parts[0], parts[1], start, json.loads(told["settings"])


def weights(made: Weights) -> bytes:
    """Weights, as bytes."""
    return save(dict(made))


def trained(data: bytes, start: Weights) -> dict[str, NDArray[np.float32]]:
    """Weights that came back: those that were begun with, of the same shapes, float32 and finite; else `CannotTell`."""
    try:
        found = load(data)
    except Exception as why:  # noqa: BLE001 - bytes from a process that is believed in nothing
        raise CannotTell(f"the weights that came back cannot be read ({type(why).__name__})") from None
    if sorted(found) != sorted(start):
        raise CannotTell(f"found weights {', '.join(sorted(found)) or 'none'}; allowed: {', '.join(sorted(start))}")
    for name, value in found.items():
        if value.shape != start[name].shape or value.dtype != np.float32:
            raise CannotTell(f"{name}: found {value.dtype} {value.shape}; allowed: float32 {start[name].shape}")
        if not np.isfinite(value).all():
            raise CannotTell(f"{name}: found numbers that are not finite; allowed: finite ones")
    return {name: found[name] for name in start}
