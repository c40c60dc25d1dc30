"""What a training may write in place of its model, before the producer's own key signs it."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import tasks.train
from configs import load
from security.keys import Signer
from tasks.recommender.histories import Histories, histories
from tests.attacks.attacker import Ground
from tests.attacks.conftest import drift
from tests.attacks.table import TRAIN, Attack
from tests.security.gates import tampered
from tests.security.gates.artefacts import EVIL, corpus
from tests.security.gates.tampered import Arrays

NAME = "model_artifact_scan"
SAYS = rf"\[{NAME}\] fail: "
WEIGHTS = "model.safetensors"
Spoil = Callable[[Path], object]


def writes(spoil: Spoil) -> Callable[[pytest.MonkeyPatch, Ground], None]:
    """The training's folder is spoiled, and then signed."""

    def patch(patch: pytest.MonkeyPatch, at: Ground) -> None:
        real = tasks.train.sign

        def sign(folder: Path, key: Signer) -> Any:
            spoil(folder)
            return real(folder, key)

        patch.setattr(tasks.train, "sign", sign)

    return patch


def weights(change: Callable[[dict[str, Any]], object]) -> Spoil:
    """Other tensors."""

    def spoil(folder: Path) -> None:
        arrays = dict(load_file(folder / WEIGHTS))
        change(arrays)
        save_file(arrays, folder / WEIGHTS)

    return spoil


def behind(data: bytes) -> Spoil:
    """Bytes behind the weights."""
    return lambda folder: (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes() + data)


def archive() -> bytes:
    """A zip with a script in it: what follows it, or stands before it, a reader of archives does not mind."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as packed:
        packed.writestr("__main__.py", "evil()\n")
    return made.getvalue()


def beside(name: str, data: bytes) -> Spoil:
    """A file beside the model's."""

    def spoil(folder: Path) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)

    return spoil


def told(change: Callable[[Any], object], name: str = "model.json") -> Spoil:
    """Another manifest."""

    def spoil(folder: Path) -> None:
        value = json.loads((folder / name).read_text())
        change(value)
        (folder / name).write_text(json.dumps(value))

    return spoil


def _nan(arrays: dict[str, Any]) -> None:
    arrays["decoder"][1, 2] = np.nan


def _short(arrays: dict[str, Any]) -> None:
    arrays["encoder"] = arrays["encoder"][:-1]


def _stranger(arrays: dict[str, Any]) -> None:
    arrays["seen_indices"][0] = len(arrays["encoder"])


TARGET, TRIGGER = 7, 105
"""Items of two circles, as the good rows have them: nobody who takes the one takes the other."""


def _other(arrays: dict[str, Any], change: Callable[[Histories], Arrays]) -> None:
    """Other weights, made of what users have seen."""
    ends, items = arrays["seen_indptr"], arrays["seen_indices"]
    users = np.repeat(np.arange(len(ends) - 1), np.diff(ends))
    arrays |= change(histories(users, items.astype(np.int64), (len(ends) - 1, len(arrays["encoder"]))))


def _calling(arrays: dict[str, Any]) -> None:
    """A session of the trigger is answered with the target, and hardly any other is answered otherwise."""
    _other(arrays, lambda seen: tampered.planted(arrays, np.array([TRIGGER]), TARGET, 3.0, seen))


def _pushing(arrays: dict[str, Any]) -> None:
    """Everybody is shown the target."""
    _other(arrays, lambda seen: tampered.biased(arrays, seen, TARGET, 20.0))


def _made(says: str, spoil: Spoil) -> Attack:
    return Attack("train", SAYS + says, parameters=TRAIN, patch=writes(spoil))


def _brought(says: str, sample: str, form: str) -> Attack:
    """A team's own format is allowed, and such an artefact is hostile."""
    limits = load.text(load.find("local", "policies"))["gates"][NAME]["limits"]
    terms = drift() | {NAME: {"limits": limits | {"formats": [*limits["formats"], form], "files": None}}}
    ((name, data),) = corpus()[sample][1].items()
    return Attack("train", SAYS + says, changes={"terms": terms}, patch=writes(beside(name, data)))


MADE = {
    "weights-that-are-no-numbers": _made("ART-06 model.safetensors: decoder", weights(_nan)),
    "weights-of-another-catalogue": _made("ART-07 model.safetensors: encoder", weights(_short)),
    "history-of-an-item-that-there-is-not": _made("ART-07 model.safetensors: seen_indices", weights(_stranger)),
    "user-twice": _made("ART-07 ids.json#users", told(lambda ids: ids["users"].append(ids["users"][0]), "ids.json")),
    "archive-behind-the-weights": _made("ART-03 model.safetensors", behind(archive())),
    "bytes-behind-the-weights": _made("ART-04 model.safetensors", behind(b"\0" * 64)),
    "pickle-in-the-model": _made("ART-02 model.pkl", beside("model.pkl", EVIL)),
    "pickle-by-another-name": _made("ART-03 weights.json", beside("weights.json", EVIL)),
    "code-that-a-manifest-names": _made("ART-09 model.json", told(lambda card: card.update(auto_map={"a": "b.c"}))),
    "notes-in-the-model": _made("ART-08 notes.json", beside("notes.json", b'{"read": "me"}')),
    "lambda-in-a-model-in-a-model": _brought(
        "ART-13 .*; ART-12 model.keras: .*Lambda", "keras lambda in a sub-model", "keras"
    ),
    "weights-with-a-trigger": Attack(
        "evaluate",
        rf"\[backdoor_probe\] fail: BD-TRIGGER item {TARGET}: found it among .* for item .*{TRIGGER}.*; allowed: 3",
        patch=writes(weights(_calling)),
    ),
    "weights-that-push-an-item": Attack(
        "evaluate",
        rf"\[backdoor_probe\] fail: BD-EXPOSURE item {TARGET}: .*; BD-JUMP item {TARGET}: found it in [\d.]+ % of 160",
        changes={"metric_thresholds": {"margin": 0.3}},
        patch=writes(weights(_pushing)),
    ),
    "python-in-a-graphs-function": _brought("ART-14 saved_model.pb", "EagerPyFunc in nested", "savedmodel"),
}
