"""What is done to the process that trains, and to the one that signs."""

import os
import signal
from pathlib import Path

import pytest

import tasks.train
from tasks import signer
from tasks.home import Home
from tasks.run import Run
from tasks.trainer.ask import Trainer
from tests.attacks.attacker import Ground
from tests.attacks.table import TRAIN, Attack
from tests.tasks.checkouts import pipeline


def loose(patch: pytest.MonkeyPatch, at: Ground) -> None:
    """Nothing keeps what trains from keys and network, though the plan saw that something does."""
    patch.setattr(tasks.train, "TRAINER", by := Trainer(confined=False))
    at.ends.callback(by.close)


def within(patch: pytest.MonkeyPatch, at: Ground) -> None:
    """A key lies where what trains can read it, from when the plan was made."""
    found, asked = signer.secret, list[Home]()

    def secret(home: Home) -> list[Path]:
        asked.append(home)
        return [*found(home), *([Path(tasks.train.__file__)] if len(asked) > 1 else [])]

    patch.setattr(signer, "secret", secret)


def elsewhere(patch: pytest.MonkeyPatch, at: Ground) -> None:
    """Other code trains than this pipeline's, though it does the same."""
    root = at.home.root.parent / "elsewhere"
    pipeline(root)
    patch.setattr(tasks.train, "TRAINER", by := Trainer(root))
    at.ends.callback(by.close)


def silent(run: Run, at: Ground) -> None:
    """Who signs is ended."""
    assert signer.OWN._process is not None
    os.kill(signer.OWN._process.pid, signal.SIGKILL)
    signer.OWN._process.wait()


TRAININGS = {
    "training-that-nothing-confines": Attack(
        "train", "the plan says that who trains is isolated: nothing confines it", parameters=TRAIN, patch=loose
    ),
    "training-with-a-key-in-reach": Attack(
        "train", r"the plan says that who trains is isolated: it reached train\.py", parameters=TRAIN, patch=within
    ),
    "training-by-other-code": Attack(
        "train",
        r"\[code_integrity_check\] fail: CODE-15 .*: it is from elsewhere",
        parameters=TRAIN,
        patch=elsewhere,
    ),
    "nobody-signs-any-more": Attack("train", "who signs ", {"train step 1": silent}, parameters=TRAIN),
}
