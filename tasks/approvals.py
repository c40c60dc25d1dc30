"""Opens the approvals of a home for the gate: those of the model that is about to be served; of others, how many.

How many there are is counted by another listing of the folder than reads them.
"""

import os
import time
from collections.abc import Collection

from security.errors import BadInput, LogBroken
from security.gates import approval
from security.gates.approval.claim import Read
from security.gates.approval.facts import Asked, Item
from security.material import Material
from security.models.chain import Keys
from security.verdict import Ref, Subject
from tasks import build, chains, envelopes, models
from tasks.home import Home
from tasks.run import Run

MOST = 100
"""Approvals of one model."""


def of(run: Run, ref: Ref, subject: Subject) -> Material[Item]:
    """Those of a run's model, in the image that its manifests name."""
    name, known = str(run.plan.document["pipeline_name"]), run.plan.registry
    return opened(run.home, models.trusted(run), name, ref.sha256, subject, known, image=build.image(run))


def opened(
    home: Home, keys: Keys, name: str, model: str, subject: Subject, known: Collection[str] = (), *, image: str = ""
) -> Material[Item]:
    """The approvals there are, for one look. `keys`: whose word on revoked keys counts; `known`: entries of the
    registry that were there when the plan was sealed; `image`: digest of that which brings the model there."""
    every = [(each.encode(), _read(each.encode())) for each in envelopes.there(home, "approvals")]
    mine = [(each, told) for each, told in every if told is None or told.model == model]
    if len(mine) > MOST:
        raise BadInput("approvals", model[:12], f"{len(mine):,} of one model", f"{MOST}; remove those that have ended")
    signers = {told.signer for _, told in mine if told}
    gone = signers & chains.standing(home, name, keys, known=known).barred.keys()
    asked = Asked(model=model, image=image, at=round(time.time(), 3), revoked=tuple(sorted(gone)))
    folder = home.root / "approvals"
    there = sum(entry.name.endswith(".json") for entry in os.scandir(folder)) if folder.is_dir() else 0
    return approval.material(asked, [each for each, _ in mine], len(every) - len(mine), there, subject)


def _read(envelope: bytes) -> Read | None:
    """An approval, its signature verified; None where it is none, or was altered."""
    try:
        return approval.read(envelope)
    except LogBroken:
        return None
