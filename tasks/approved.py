"""The model that is approved, on the users and histories of a new one: what an evaluation must not fall behind.

It is the registry's: the version of the pipeline's own name that the alias `approved` names, in the chains that the
plan knows, believed by signature, statement and standing. It ranks this run's catalogue from this run's histories; an
item that it never saw comes last. Held-out items that it was trained on, or stopped by, are named: of a user with one
the two say nothing.
"""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from safetensors.numpy import load

from security.errors import CannotTell
from tasks import chains, dataset, models
from tasks.recommender import fold
from tasks.recommender.histories import Histories, Scores, histories
from tasks.recommender.shape import NAMES
from tasks.run import Run
from tasks.store import measure

LAST = np.float32(np.finfo(np.float32).min)
"""The score of an item that it never saw."""


@dataclass(frozen=True, eq=False)
class Approved:
    """Who it is: version and digest; its weights; of each of its items where it is in this catalogue, -1 where it is
    not; and what it was trained on or stopped by, of this run's users and items."""

    version: int
    digest: str
    weights: dict[str, NDArray[np.float32]]
    place: NDArray[np.int64]
    learned: Histories

    def scores(self, given: Histories) -> Scores:
        """Scores of this run's catalogue."""
        known = self.place >= 0
        rows, columns = given.nonzero()
        back = np.full(given.shape[1], -1, dtype=np.int64)
        back[self.place[known]] = np.flatnonzero(known)
        kept = back[columns] >= 0
        mine = histories(rows[kept].astype(np.int64), back[columns[kept]], (given.shape[0], len(self.place)))
        found = fold.Folded(self.weights).scores(mine)
        scores = np.full(given.shape, LAST, dtype=np.float32)
        scores[:, self.place[known]] = found[:, known]
        return scores


def approved(run: Run, found: dataset.Features) -> Approved | None:
    """The one that is approved, also where it has expired since; None where none ever was, or where it was revoked.

    Raises:
        CannotTell: what it was trained on is not kept any more.
        LogBroken, Refused, KeyBroken: it is named, and does not hold.
    """
    keys, name = models.trusted(run), run.plan.document["pipeline_name"]
    standing = chains.standing(run.home, name, keys, known=run.plan.registry)
    if (claim := models.measure(standing)) is None:
        if why := standing.fallen.get("approved"):
            run.listener.step("evaluate", f"no model is approved any more: {why}")
        return None
    files = models.believed(run.home, name, claim.version, keys, known=run.plan.registry, measure=True)[0].files
    weights, own = load(files["model.safetensors"]), json.loads(files["ids.json"])["items"]
    return Approved(
        claim.version,
        claim.release,
        {each: weights[each] for each in NAMES},
        _places(own, found.items),
        _learned(run, json.loads(files["model.json"]), found),
    )


def _learned(run: Run, card: dict[str, Any], found: dataset.Features) -> Histories:
    """Its training and validation pairs as far as they are of this run's users and items."""
    folder = run.home.path(f"store:{card['data']}", run.plan.run)
    if not folder.is_dir() or measure(folder)[0] != card["data"]:
        words = f"the features {card['data'][:12]} that the approved version was trained on are not kept any more"
        raise CannotTell(words, "approved")
    # No more than is asked: it may have been made by code whose features held less than those of today.
    names = json.loads((folder / "vocabulary.json").read_text(encoding="utf-8"))
    table = pq.read_table(folder / "rows.parquet", columns=["user", "item", "part"])
    user, item, part = (table[name].to_numpy() for name in ("user", "item", "part"))
    user, item = _places(names["users"], found.users)[user], _places(names["items"], found.items)[item]
    kept = (part < dataset.PARTS.index("test")) & (user >= 0) & (item >= 0)
    return histories(user[kept], item[kept], (len(found.users), len(found.items)))


def _places(own: list[str], theirs: list[str]) -> NDArray[np.int64]:
    """Where each of the one's names is among the others', which are sorted; -1 where it is not."""
    names, others = np.array(own), np.array(theirs)
    at = np.minimum(np.searchsorted(others, names), len(others) - 1)
    return np.where(others[at] == names, at, -1).astype(np.int64)
