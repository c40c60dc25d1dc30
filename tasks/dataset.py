"""What a run's datasets hold, read as they were written: cleaned rows with their manifest, and features."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import Field
from safetensors import SafetensorError
from safetensors.numpy import load

from configs.load import GROUPS
from security.errors import BadInput, LogBroken, StoreError
from security.gates.fairness import Limits
from security.gates.inputs import DATASET
from security.gates.metrics import cuts
from security.keys import PublicKey, unseal
from security.verdict import Frozen
from tasks import declared
from tasks.recommender.histories import Histories, histories
from tasks.recommender.joint import Start
from tasks.run import Run
from tasks.store import measure

MANIFEST, SEALED = "manifest.json", "manifest.dsse"
PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Features:
    """What the features folder holds. `time`: when a pair first occurred, in the column's own unit; `part`: 0 train,
    1 validation, 2 test, one value a pair; `says`: how much it counts in training; `start`: what that begins with;
    `columns`: every column that is there to be learned from; `groups`: what rows say of users and items, apart."""

    users: list[str]
    items: list[str]
    user: NDArray[np.int64]
    item: NDArray[np.int64]
    time: NDArray[np.int64]
    part: NDArray[np.int8]
    says: NDArray[np.float32]
    start: Start
    columns: tuple[str, ...]
    groups: declared.Groups

    def histories(self, *parts: str) -> Histories:
        """The pairs of some parts as user histories [users, items]."""
        chosen = np.isin(self.part, [PARTS.index(part) for part in parts])
        return histories(self.user[chosen], self.item[chosen], (len(self.users), len(self.items)))

    def trained(self) -> Histories:
        """The pairs to train on, each with what it says; ValueError where one says nothing."""
        chosen = self.part == PARTS.index("train")
        shape = len(self.users), len(self.items)
        return histories(self.user[chosen], self.item[chosen], shape, self.says[chosen])

    def bounds(self) -> dict[str, NDArray[np.int64]]:
        """Of each user, when the first pair of the test was taken, and the last of the other parts, as scores name
        them."""
        first = np.full(len(self.users), np.iinfo(np.int64).max)
        last = np.full(len(self.users), np.iinfo(np.int64).min)
        test = self.part == PARTS.index("test")
        np.minimum.at(first, self.user[test], self.time[test])
        np.maximum.at(last, self.user[~test], self.time[~test])
        return {"held_from": first, "seen_until": last}


class Begun(Frozen):
    """What `start.json` holds: the closed form's columns, and its ridge."""

    closed: int = Field(ge=1, strict=True)
    ridge: float = Field(gt=0, allow_inf_nan=False, strict=True)


COLUMNS = {"user": pa.int32(), "item": pa.int32(), "part": pa.int8(), "says": pa.float32()}


def read(folder: Path) -> Features:
    """The features in a folder; `BadInput` where a file of it cannot be read as what it is."""
    name = "vocabulary.json"
    try:
        vocabulary = json.loads((folder / name).read_text(encoding="utf-8"))
        ids = vocabulary["users"], vocabulary["items"]
        name = "start.json"
        told = Begun.model_validate_json((folder / name).read_bytes())
        name = "start.safetensors"
        weights = load((folder / name).read_bytes())
        name = "rows.parquet"
        names = tuple(pq.read_schema(folder / name).names)
        table = pq.read_table(folder / name, columns=[*COLUMNS, "timestamp"])
        time = table["timestamp"].cast(pa.int64())
    except (OSError, ValueError, KeyError, TypeError, SafetensorError, pa.ArrowException) as why:
        raise BadInput(f"features/{name}", "file", f"what cannot be read ({type(why).__name__})", "features") from None
    for column, kind in COLUMNS.items():
        if table[column].type != kind or table[column].null_count:
            found = f"{table[column].type}, {table[column].null_count:,} of them empty"
            raise BadInput("features/rows.parquet", column, found, f"{kind}, none empty")
    user, item, part, says = (table[column].to_numpy() for column in COLUMNS)
    pairs = user.astype(np.int64), item.astype(np.int64), time.to_numpy()
    groups = declared.read(folder, {"user": len(ids[0]), "item": len(ids[1])})
    return Features(*ids, *pairs, part, says, Start(weights, told.closed, told.ridge), names, groups)


def cut(run: Run) -> tuple[int, ...]:
    """Every k of the metrics and thresholds that the document names, ascending."""
    stage = run.plan.document["stages"][3]
    return cuts(*stage["metrics"], *stage["thresholds"])


def groupings(run: Run) -> dict[str, str]:
    """What the document groups users by, sorted, and what each is."""
    stage = run.plan.document["stages"][3]
    return dict(sorted(stage.get("groups", GROUPS).items()))


def floor(run: Run) -> int:
    """How many users a group has of which anything is told."""
    return Limits.model_validate(run.plan.terms["evaluate"]["score"]["fairness_metrics"].limits).k


def settings(run: Run) -> dict[str, Any]:
    """The document's hyperparameters, with the defaults of its reader."""
    given: dict[str, Any] = run.plan.document["stages"][2]["hyperparameters"]
    return {"width": 400, "epochs": 150, "seed": 7} | given


def listed(folder: Path, key: PublicKey) -> dict[str, Any]:
    """The manifest of cleaned rows, believed by its signature; `StoreError` unless the rows are the ones it lists."""
    try:
        claim = unseal((folder / SEALED).read_bytes(), key)
    except (OSError, LogBroken) as why:
        found = str(why) if isinstance(why, LogBroken) else "there is none"
        raise StoreError(f"the rows' signed manifest does not hold: {found}") from None
    listing = [{"name": MANIFEST, "digest": {"sha256": measure(folder / MANIFEST)[0]}}]
    if (claim["predicateType"], claim["subject"]) != (DATASET, listing):
        raise StoreError("the rows' manifest is not the one that was signed")
    told: dict[str, Any] = claim["predicate"]["manifest"]
    if told["rows"] != measure(folder / "rows.parquet")[0]:
        raise StoreError("the rows are not those that their signed manifest lists")
    return told
