"""The model: trained from the document's hyperparameters, written as safetensors, signed by the producer.

The folder holds `model.safetensors` (weights, and what each user has seen), `ids.json`, `model.json` (what the model is
bound to: name, increasing version, run, data, code, lock and plan digests, and an expiry) and `model.sig` (OpenSSF
model signature). The service loads nothing else.
"""

import json
from importlib.metadata import version
from typing import Any

import numpy as np
from safetensors.numpy import save

from security.gates.model import sign
from security.verdict import Ref
from tasks import dataset, signer
from tasks.recommender.histories import Histories
from tasks.recommender.joint import Start
from tasks.recommender.shape import Progress, Settings, Trained
from tasks.run import Run, current
from tasks.stage import guarded
from tasks.store import measure
from tasks.trainer.ask import TRAINER

LIFE = 30 * 86_400.0
"""Seconds for which a model may be served."""


def learn(run: Run, found: dataset.Features, histories: Histories, start: Start, *, label: str = "") -> Trained:
    """Train on `histories` in the process that has nothing else, stopping early on the validation slice where there is
    one, telling each epoch, and at the end what the halves have to say."""
    hyper = dataset.settings(run)
    settings = Settings(
        learning_rate=hyper["learning_rate"],
        batch_size=hyper["batch_size"],
        epochs=hyper["epochs"],
        seed=hyper["seed"],
        closed=start.closed,
    )
    stage = "evaluate" if label else "train"
    held = found.histories("validation")
    if not held.nnz:
        said = f"{label}nobody has enough items to validate by: {settings.epochs} epochs, of which the last counts"
        run.listener.step(stage, said)

    def watch(progress: Progress) -> None:
        if progress.validation is not None:
            said = (
                f"{label}epoch {progress.epoch}: loss {progress.loss:.1f}, validation nDCG@10 {progress.validation:.3f}"
            )
            run.listener.step(stage, said)

    made, modules = TRAINER.train(
        histories,
        start.weights,
        settings,
        validation=held if held.nnz else None,
        watch=watch,
        secret=signer.secret(run.home),
        isolated=run.plan.isolation != "none",
        apart=run.home.folder("staging", run.plan.run, private=True),
        state=run.home.folder("training", f"{run.plan.code[:32]}{run.plan.lock[:32]}", private=True),
    )
    run.imported |= modules
    if made.share is not None and made.value is not None:
        said = f"{label}closed form (ridge {start.ridge:g}) has {made.share:.0%} to say, validation nDCG@10"
        run.listener.step(stage, f"{said} {made.value:.3f}")
    return made


def card(run: Run, data: Ref, start: Start, trained: Trained) -> dict[str, Any]:
    """What a model is bound to, and how it was made. `version` grows with the time the run began; times are seconds
    since the epoch."""
    chosen = {"best_epoch": trained.best, "closed": start.closed, "ridge": start.ridge, "share": trained.share}
    seconds = sum(each.seconds for each in trained.progress)
    return {
        "name": run.plan.document["pipeline_name"],
        "version": int(run.plan.started),
        "run": run.plan.run,
        "created": run.plan.started,
        "expires": run.plan.started + LIFE,
        "data": data.sha256,
        "code": run.plan.code,
        "lock": run.plan.lock,
        "plan": run.plan.sha256,
        "hyperparameters": dataset.settings(run) | chosen,
        "training": {"seconds": round(seconds, 3), "frameworks": {"tensorflow": version("tensorflow")}},
    }


@guarded(
    "train",
    before=["data_contract", "approved_inputs", "dependency_scanning", "code_integrity_check", "secrets_scanning"],
    after=["model_signature", "model_artifact_scan", "model_versioning", "code_integrity_check"],
)
def fit(data: Ref) -> Ref:
    """Train, write, sign."""
    run = current()
    found = dataset.read(run.path(data))
    trained = learn(run, found, found.trained(), found.start)
    folder = run.place("model")
    folder.mkdir()
    seen = found.histories(*dataset.PARTS)
    arrays: dict[str, np.ndarray[Any, Any]] = {
        **trained.weights,
        "seen_indptr": seen.indptr.astype(np.int64),
        "seen_indices": seen.indices.astype(np.int32),
    }
    (folder / "model.safetensors").write_bytes(save(arrays))
    ids = {"users": found.users, "items": found.items}
    (folder / "ids.json").write_text(json.dumps(ids, separators=(",", ":")), encoding="utf-8")
    told = card(run, data, found.start, trained)
    (folder / "model.json").write_text(json.dumps(told, indent=1, sort_keys=True), encoding="utf-8")
    sign(folder, run.keys.signer("producer"))
    sha, size = measure(folder)
    run.notes["epochs"] = [(p.epoch, p.loss, p.validation, p.seconds) for p in trained.progress]
    count = len(list(folder.iterdir()))
    return Ref(
        kind="model", uri="staging:model", sha256=sha, size=size, count=count, unit="files", version=run.plan.run
    )
