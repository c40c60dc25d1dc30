"""A small signed model: its files, what is said about it, and keys for every role."""

import json
import time
from pathlib import Path
from typing import Any, NamedTuple

from configs import load
from configs.card import Card
from configs.card import card as declared
from security.gates.model import contents, sign
from security.keys import UnsafeLocalKeys
from security.models import bill, provenance, statement
from security.models.bill import Metric
from security.models.statement import Judged
from security.policy import Plan
from security.verdict import Outcome

NOW = float(int(time.time()))
DAY = 86_400.0
ATTACHED = {"bill.cdx.json": b"{}", "provenance.dsse": b"p", "statement.dsse": b"s"}
"""In place of what is said about a model, where a test is about something else."""
DATASETS = {"features": "a" * 64, "rows": "e" * 64}
METRICS = [
    Metric(type="precision@10", value=0.31, slice="test, all users", interval=(0.3, 0.32)),
    Metric(type="precision@10", value=0.02, slice="test, popularity"),
]
VERDICTS = [
    Judged(
        stage="train",
        task="fit",
        gate=gate,
        outcome=Outcome.PASS,
        because="enforced",
        observation=digit * 64,
        rules="f" * 64,
    )
    for gate, digit in (("data_contract", "1"), ("model_signature", "2"))
]


class Model(NamedTuple):
    """Bytes of a model, by name."""

    files: dict[str, bytes]
    attached: dict[str, bytes]

    @property
    def without(self) -> dict[str, bytes]:
        """What is attached, but for the statement."""
        return {name: data for name, data in self.attached.items() if name != "statement.dsse"}


def card(**changes: Any) -> dict[str, Any]:
    """What `model.json` says, with changes."""
    shas = {name: letter * 64 for name, letter in (("data", "a"), ("code", "b"), ("lock", "c"), ("plan", "d"))}
    usual = {"name": "sample", "version": 3, "run": "run-3", "created": NOW - 60, "expires": NOW + 30 * DAY}
    return {**usual, **shas, "hyperparameters": {"learning_rate": 0.001}, **changes}


def files(folder: Path, keys: UnsafeLocalKeys, more: Any = (), **changes: Any) -> dict[str, bytes]:
    """The files of a model, signed by the producer in a fresh folder."""
    written = {"model.safetensors": b"weights " * 20, "deep/er/ids.json": b"{}", "empty.txt": b""} | dict(more)
    for name, data in (written | {"model.json": json.dumps(card(**changes)).encode()}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    sign(folder, keys.signer("producer"))
    return contents(folder)


def plan(keys: UnsafeLocalKeys, **changes: Any) -> Plan:
    """A sealed plan, as far as a provenance tells of it."""
    usual: dict[str, Any] = {
        "run": "run-3",
        "started": NOW - 60,
        "document": load.text(load.find("sample", "pipelines")),
        "document_sha256": "1" * 64,
        "policy": {"name": "local"},
        "policy_sha256": "2" * 64,
        "signed": "UnsafeUnsignedPolicy",
        "target": "local",
        "partition": "2023-10-27",
        "window": None,
        "contract": {},
        "baseline": "establish",
        "matrix": {},
        "terms": {},
        "signer": keys.public("producer").id,
        "isolation": "none",
        "code": "b" * 64,
        "lock": "c" * 64,
        "source": "",
        "index": "",
    }
    return Plan(**usual | changes)


def terms() -> Card:
    """The card that is shipped."""
    return declared(load.text(load.find("recommender", "cards")), "recommender.yaml")


def model(
    folder: Path, keys: UnsafeLocalKeys, more: Any = (), version: int = 3, metrics: Any = METRICS, **changes: Any
) -> Model:
    """A whole model, signed by the producer in a fresh folder."""
    sealed = plan(keys, run=f"run-{version}", started=changes.get("created", NOW - 60))
    says = {"version": version, "run": sealed.run, "plan": sealed.sha256} | changes
    made, signer = files(folder, keys, more, **says), keys.signer("producer")
    listed = bill.made(made, DATASETS, terms(), metrics, seconds=12.5, frameworks={"tensorflow": "2.20.0"})
    attached = {"bill.cdx.json": listed, "provenance.dsse": provenance.sign(sealed, made, DATASETS, NOW, signer)}
    said = statement.sign(made, attached, DATASETS, VERDICTS, signer)
    return Model(made, {**attached, "statement.dsse": said})
