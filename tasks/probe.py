"""Opens what a model's behaviour is probed by: its weights, what users took, and the lists that were measured.

The lists are those of the evaluation, which the runner has made again from features and model (`form.scores`). The
weights are of the bytes that were hashed.
"""

import hashlib
import secrets
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from safetensors import SafetensorError
from safetensors.numpy import load

from security.errors import BadInput, CannotTell
from security.gates import backdoor
from security.gates.backdoor import BackdoorProbe, Limits, Model, Probe
from security.material import Material
from security.verdict import Ref, Subject, digest
from tasks.approved import Approved
from tasks.dataset import Features
from tasks.recommender import fold
from tasks.recommender.histories import Histories
from tasks.recommender.shape import NAMES
from tasks.store import files, hashed

NAME = BackdoorProbe.name
WEIGHTS = "model.safetensors"


def opened(
    subject: Subject,
    scores: Path,
    model: Path,
    ref: Ref,
    found: Features,
    before: Approved | None,
    limits: dict[str, Any],
) -> Material[Any]:
    """The material for one look at the model in a folder, which must be what its reference says. `scores`: the folder
    of the evaluation; `found`: the features that it was made from; `before`: the approved model."""
    asked, told = Limits.model_validate(limits), pq.read_schema(scores / "scores.parquet").metadata or {}
    weights = _weights(model, ref)
    seen, held = found.histories("train", "validation"), found.histories("test")
    approved, items = before.digest if before else "", np.arange(len(found.items))
    if told.get(b"approved", b"") != approved.encode():
        raise CannotTell("the evaluation is beside another model than the approved one")
    fresh = np.setdiff1d(items, before.place) if before else items[:0]
    asks = Model(*(weights[name] for name in NAMES)), asked.triggers, asked.pairs, secrets.randbits(64)
    probe = Probe(*asks, approved, fresh)
    rest = seen[np.flatnonzero(np.diff(held.indptr) == 0)]
    others = partial(_others, rest)
    return backdoor.material(subject, [scores / "scores.parquet"], probe, others, len(found.users))


def _others(rest: Histories) -> Iterator[tuple[Any, Any]]:
    """What the users took who are not evaluated, some at a time."""
    for low in range(0, rest.shape[0], backdoor.BATCH):
        some = rest[low : low + backdoor.BATCH]
        yield some.indices.astype(np.int64), np.diff(some.indptr).astype(np.int64)


def _weights(folder: Path, ref: Ref) -> dict[str, Any]:
    """The arrays of the model's file, by the very bytes that are in the folder's digest."""
    data, listing = (folder / WEIGHTS).read_bytes(), list[dict[str, Any]]()
    for name, path in sorted((path.relative_to(folder).as_posix(), path) for path in files(folder)):
        sha, size = (hashlib.sha256(data).hexdigest(), len(data)) if name == WEIGHTS else hashed(path)
        listing.append({"name": name, "sha256": sha, "size": size})
    if digest({"files": listing}) != ref.sha256:
        raise CannotTell("the model's files are not those of the reference")
    try:
        weights = load(data)
        arrays = {name: weights[name] for name in NAMES}
        fold.check(arrays)
    except (SafetensorError, KeyError, ValueError) as why:
        raise BadInput(f"model/{WEIGHTS}", "arrays", f"what is no model ({why})", ", ".join(NAMES)) from None
    return arrays
