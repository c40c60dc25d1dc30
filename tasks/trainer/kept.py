"""A training that was broken off goes on where it was: its state as bytes, and the file that a run keeps it in.

It is found by the digest of what the training is given, in a folder that is of the code and of the packages: the same
training finds it, and no other does. In the file are the digest of what follows, and the state; one that does not hold
is removed, as is after a week what nobody went on with (`Home.sweep`). What lies in the home is believed as its keys
are; the process that trains has no way to any other training's.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from safetensors.numpy import load, save

from tasks.recommender.shape import Progress, State
from tasks.trainer.form import Epoch


def written(state: State) -> bytes:
    """A state as bytes."""
    told = {name: value for name, value in asdict(state).items() if name != "arrays"}
    return save(dict(state.arrays), {"state": json.dumps(told)})


def read(data: bytes) -> State:
    """The state of bytes that `written` gave."""
    length = int.from_bytes(data[:8], "little")
    told = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["state"])
    epochs = [Epoch.model_validate(each, strict=True) for each in told.pop("progress")]
    progress = tuple(Progress(each.epoch, each.loss, each.validation, each.seconds) for each in epochs)
    told["powers"] = tuple(told["powers"])
    return State(load(data), progress=progress, **told)


def name(given: bytes) -> str:
    """The name of a training by what it is given, in the folder of its code and packages. Whoever writes safetensors
    orders neither arrays nor words: here both are."""
    start = 8 + int.from_bytes(given[:8], "little")
    header = json.loads(given[8:start])
    places = {each: told.pop("data_offsets") for each, told in header.items() if each != "__metadata__"}
    made = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for each in sorted(places):
        low, high = places[each]
        made.update(memoryview(given)[start + low : start + high])
    return made.hexdigest()


def found(path: Path) -> bytes | None:
    """The state in a file; None where there is none that holds. What does not hold is removed."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    if hashlib.sha256(data[32:]).digest() == data[:32]:
        return data[32:]
    path.unlink()
    return None


def keep(path: Path, data: bytes) -> None:
    """Put a state in its file, whole or not at all."""
    handle, fresh = tempfile.mkstemp(dir=path.parent, prefix=".")
    with os.fdopen(handle, "wb") as out:
        out.write(hashlib.sha256(data).digest() + data)
        out.flush()
        os.fsync(out.fileno())
    os.replace(fresh, path)


def begun(path: Path) -> tuple[bytes | None, Sequence[Progress]]:
    """The state that a training goes on from, and its epochs. One that cannot be read is removed: it begins anew."""
    if (data := found(path)) is None:
        return None, ()
    try:
        return data, read(data).progress
    except Exception:  # noqa: BLE001 - bytes from a process that is believed in nothing
        path.unlink(missing_ok=True)
        return None, ()
