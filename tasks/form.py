"""The form of each kind of output: which files it has, and how they agree with one another and with their origin.

The runner's part: a gate looks at what is handed out, and here is seen that nothing lies beside it, that what a task
says of its own work adds up, and that what an evaluation is measured against is not the evaluation's own word.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from safetensors.numpy import load

from security.errors import BadInput
from security.gates.fairness import PREFIX
from tasks import declared, groups
from tasks.approved import Approved
from tasks.dataset import Features, read
from tasks.recommender import fold
from tasks.recommender.baselines import Neighbours, Popularity, Random
from tasks.recommender.histories import Scorer
from tasks.recommender.joint import RIDGES, closed
from tasks.recommender.metrics import evaluate
from tasks.recommender.shape import NAMES
from tasks.recommender.split import TEST, VALIDATION, pairs, temporal
from tasks.recommender.weight import TYPES

FILES = {
    "rows": {"rows.parquet", "manifest.json", "manifest.dsse"},
    "protected": {"rows.parquet", "handled.json"},
    "features": {"rows.parquet", "vocabulary.json", "start.json", "start.safetensors", declared.FILE},
    "scores": {"scores.parquet"},
}
"""Kind -> every file that an output of it has. A model's are those that its signature lists."""


def files(kind: str, folder: Path, wanted: set[str] | None = None) -> None:
    """`BadInput` unless the folder holds exactly the files of its kind."""
    names, wanted = {path.name for path in folder.iterdir()}, wanted or FILES[kind]
    if odd := sorted(names ^ wanted):
        found = "a file that nobody looks at" if odd[0] in names else "no such file"
        raise BadInput(f"{kind}/{odd[0]}", "file", found, ", ".join(sorted(wanted)))


def rows(folder: Path, told: dict[str, Any], counted: int | None, kept: int) -> None:
    """`BadInput` unless every row that came in was rejected, a duplicate, of a suspected bot, or went out.

    `counted` is what the runner counted in quarantine, None where that was another run's; `kept` what the file holds.
    """
    counts = told["counts"]
    came, went = counts["rows in"], counts["rejected"] + counts["duplicates"] + counts["rows of suspected bots"] + kept
    if counts["rows out"] != kept or came != went or counted not in (None, came):
        found = f"{came:,} rows in ({counted if counted is not None else came:,} counted), {went:,} accounted for"
        raise BadInput("rows/manifest.json", "counts", found, "each row accounted for once")


def protected(folder: Path, of: str, observation: str, came: int, kept: int) -> None:
    """`BadInput` unless what was handled are the rows `of` this digest, as this observation found them, and each of the
    `came` rows is among the `kept` ones or was dropped."""
    try:
        told = json.loads((folder / "handled.json").read_text(encoding="utf-8"))
        origin, seen, dropped = told["of"], told["observation"], told["dropped"]
    except (ValueError, KeyError, TypeError):
        found = "an account that cannot be read"
        raise BadInput("protected/handled.json", "file", found, "of, observation and dropped") from None
    if origin != of or not observation or seen != observation:
        found = "rows or findings that were not looked at before"
        raise BadInput("protected/handled.json", "of", found, "those of the look before, by digest")
    if type(dropped) is not int or dropped < 0 or kept + dropped != came:
        found = f"{kept:,} rows and {dropped if type(dropped) is int else '?'} dropped, of {came:,}"
        raise BadInput("protected/handled.json", "dropped", found, "each row accounted for once")


def sources(told: dict[str, Any], pinned: dict[str, Any] | None) -> None:
    """`BadInput` unless the manifest lists what the runner found in quarantine; None where that was another run's."""
    if pinned is not None and told["sources"] != pinned:
        raise BadInput("rows/manifest.json", "sources", "other objects than were read", "each that was read, once")


def features(folder: Path) -> None:
    """`BadInput` unless vocabularies, indices and starting embeddings agree with the ids that the gate looked at."""
    found = read(folder)
    for name, listed, index in (("user_id", found.users, found.user), ("item_id", found.items, found.item)):
        ids = pq.read_table(folder / "rows.parquet", columns=[name])[name]
        plain = all(isinstance(each, str) for each in listed) and listed == sorted(set(listed))
        inside = bool(len(index)) and int(index.min()) >= 0 and int(index.max()) < len(listed)
        # As Arrow has them: NumPy would make every id as wide as the longest.
        if not plain or not inside or not pa.chunked_array([pa.array(listed).take(pa.array(index))]).equals(ids):
            raise BadInput("features/vocabulary.json", name, "ids that are not those of the rows", "each, sorted, once")
    split = temporal(found.user, found.item, found.time, test=TEST, validation=VALIDATION)
    parts = np.select([split.train, split.validation, split.test], [0, 1, 2])
    if not np.array_equal(found.part, parts):
        odd = int((found.part != parts).sum())
        raise BadInput("features/rows.parquet", "part", f"{odd:,} pairs that are split otherwise", "each user's last")
    if not ((found.says > 0) & (found.says <= max(TYPES.values()))).all():
        raise BadInput(
            "features/rows.parquet", "says", "weights out of range", f"more than 0, to {max(TYPES.values())}"
        )
    try:
        items, width = fold.check(found.start.weights)
    except ValueError as why:
        raise BadInput("features/start.safetensors", "array", str(why), "a model's four arrays") from None
    if items != len(found.items):
        raise BadInput("features/start.safetensors", "encoder", f"{items} items", f"{len(found.items)}")
    if found.start.closed != closed(width) or found.start.ridge not in RIDGES:
        told = f"{found.start.closed} columns of the closed form and a ridge of {found.start.ridge:g}"
        raise BadInput("features/start.json", "closed", told, f"{closed(width)}, and one of {RIDGES}")


def said(folder: Path, rows: Path, named: Mapping[declared.Of, list[str]]) -> None:
    """`BadInput` unless the pairs are those of the rows they are made of, each when it first occurs there, and each
    user and item is in the groups that these say, by the columns `named`."""
    told, vocabulary = pq.read_table(folder / declared.FILE), json.loads((folder / "vocabulary.json").read_text())
    there = pq.read_schema(rows).names  # of a column that is not, `gathered` tells
    columns = [name for of in declared.SIDES for name in (f"{of}_id", *named[of]) if name in there]
    held, places = pq.read_table(rows, columns=[*columns, "timestamp"]), dict[declared.Of, Any]()
    for of in declared.SIDES:
        at = pc.index_in(held[f"{of}_id"].combine_chunks(), pa.array(vocabulary[f"{of}s"], pa.string()))
        if at.null_count:
            odd = f"not the ids of {at.null_count:,} rows"
            raise BadInput("features/vocabulary.json", f"{of}s", odd, "every id of the rows")
        places[of] = at.to_numpy().astype(np.int64)
    _paired(folder / "rows.parquet", places["user"], places["item"], held["timestamp"])
    if not declared.gathered(held, named, places).equals(told):
        raise BadInput(f"features/{declared.FILE}", "groups", "others than the rows say", "what rows say of each")


def _paired(path: Path, user: Any, item: Any, time: Any) -> None:
    """`BadInput` unless a file's pairs are those of these rows, once each, when it first occurs."""
    table = pq.read_table(path, columns=["user", "item", "timestamp"])
    if table["timestamp"].type != time.type:
        raise BadInput("features/rows.parquet", "timestamp", f"{table['timestamp'].type}", f"{time.type}, as the rows")
    time = time.cast(pa.int64()).to_numpy()
    chosen = pairs(user, item, time)
    wanted = user[chosen], item[chosen], time[chosen]
    given = table["user"].to_numpy(), table["item"].to_numpy(), table["timestamp"].cast(pa.int64()).to_numpy()
    order = np.lexsort((given[1], given[2], given[0]))
    if len(order) != len(chosen) or not all(np.array_equal(a[order], b) for a, b in zip(given, wanted, strict=True)):
        found = f"{len(order):,} pairs, not all as the rows have them"
        raise BadInput("features/rows.parquet", "timestamp", found, f"the {len(chosen):,} of the rows, when each began")


def scores(
    path: Path,
    found: Features,
    model: Path,
    seed: int,
    cuts: tuple[int, ...],
    approved: Approved | None,
    named: Mapping[str, str],
    floor: int,
) -> int:
    """The number of users that there are to evaluate; `BadInput` unless the scores are measured against the features.

    What was held out and seen, and when, who is in which group, and the lists of popularity, random and knn, are made
    again here from the published features; the lists of the model, and what its embeddings tell of groups, from the
    files in the folder `model`; the lists of the `approved` one from the registry; those of the control are the task's
    word, as is the ceiling. `cuts`: every k that the document names; `named`: what it groups users by, and its kind;
    `floor`: the fewest users of a group that is told of.
    """
    table = pq.read_table(path)
    seen, held = found.histories("train", "validation"), found.histories("test")
    users = np.flatnonzero(np.diff(held.indptr))
    if not np.array_equal(table["user"].to_numpy(), users):
        raise BadInput("scores/scores.parquet", "user", f"{table.num_rows:,} users", f"the {len(users):,} of the test")
    told, ks = table.schema.metadata or {}, ",".join(map(str, cuts))
    if told.get(b"approved") != (approved.digest if approved else "").encode():
        wanted = f"the version {approved.version}" if approved else "that none is"
        raise BadInput("scores/scores.parquet", "approved", "another model as the approved one", wanted)
    parts = {"held": held, "seen": seen} | ({"learned": approved.learned.multiply(held).tocsr()} if approved else {})
    for name, part in parts.items():
        items, column = part[users], table[name].combine_chunks()
        same = np.array_equal(np.diff(column.offsets.to_numpy()), np.diff(items.indptr))
        if not same or not np.array_equal(column.flatten().to_numpy(), items.indices):
            raise BadInput("scores/scores.parquet", name, "items that are not the features'", "those of the split")
    for name, when in found.bounds().items():
        if not np.array_equal(table[name].to_numpy(), when[users]):
            raise BadInput("scores/scores.parquet", name, "times that are not the features'", "those of the split")
    weights = load((model / "model.safetensors").read_bytes())
    model_ = fold.Folded({name: weights[name] for name in NAMES})
    systems: dict[str, Scorer] = {
        "model": model_,
        "popularity": Popularity.fit(seen),
        "random": Random(seed),
        "knn": Neighbours.fit(seen),
    }
    if approved:
        systems["approved"] = approved
    for name, system in systems.items():
        lists = evaluate(system, seen, held, k=cuts[-1]).lists
        if not np.array_equal(table[f"top_{name}"].combine_chunks().flatten().to_numpy(), lists.reshape(-1)):
            raise BadInput("scores/scores.parquet", f"top_{name}", "lists that are not of this system", "its own")
    if told.get(b"items") != json.dumps(len(found.items)).encode():
        raise BadInput("scores/scores.parquet", "items", "another catalogue", f"{len(found.items):,} items")
    if told.get(b"k") != ks.encode():
        raise BadInput("scores/scores.parquet", "k", "other lists than the document's", ks)
    grouped(table, found, users, named, model_.weights, seen[users], floor)
    return len(users)


def grouped(
    table: Any, found: Features, users: Any, named: Mapping[str, str], weights: fold.Weights, seen: Any, floor: int
) -> None:
    """`BadInput` unless each user is in the groups that the features say, and so does what is said of these."""
    who = groups.columns(found, users, named)
    for name in sorted({each for each in table.column_names if each.startswith(PREFIX)} ^ who.keys()):
        found_ = "no such groups" if name in who else "groups that the document does not name"
        raise BadInput("scores/scores.parquet", name, found_, f"those by {', '.join(named)}")
    for name, wanted in who.items():
        if not table[name].combine_chunks().equals(wanted):
            raise BadInput("scores/scores.parquet", name, "groups that are not the features'", "those of the split")
    said = table.schema.metadata or {}
    for name, text in groups.told(found, who, named, weights, seen, floor).items():
        if said.get(name.encode()) != text.encode():
            raise BadInput("scores/scores.parquet", name, "another account of groups than is made again", text)
