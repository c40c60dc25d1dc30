"""The card of a model: its numbers are those of observations, and what people wrote stays text."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from configs import load
from configs.card import Card
from configs.card import card as parsed
from security.verdict import Outcome
from tasks import card
from tests.security.gates import test_bias, test_fairness, test_metrics

DECLARED = parsed(load.text(load.find("recommender", "cards", paths=False)), "recommender")


@pytest.fixture(scope="module")
def seen() -> dict[str, dict[str, Any]]:
    people = {"activity": ["light", "heavy"] * 200, "age": ["old", "young"] * 190 + ["child"] * 20}
    rows = test_fairness.made(people, proxy={"activity": {"auc": 0.9, "users": 300}})
    return {
        "metric_thresholds": test_metrics.look(test_metrics.beside(test_metrics.sound(), hits=6)).model_dump(),
        "fairness_metrics": test_fairness.look(rows).model_dump(),
        "bias_detection": test_bias.look(test_bias.sound(300)).model_dump(),
    }


def proof(seen: dict[str, Any], **plan: Any) -> Any:
    """What a log proves of an evaluation, as far as a card reads it."""
    told = {"run": "run-1", "started": 1.7e9, "partition": "2023-10-27", "source": "a" * 40, "code": "c" * 64}
    told |= {"sha256": "d" * 64, "target": "local"} | plan
    document = {"stages": [{}, {}, {}, {"thresholds": {"precision@10": 0.75}}, {}]}
    held = [
        SimpleNamespace(
            stage="evaluate",
            verdict=SimpleNamespace(gate=gate, outcome=Outcome.PASS),
            seen=SimpleNamespace(facts=facts, basis="observed"),
        )
        for gate, facts in seen.items()
    ]
    available = {name: SimpleNamespace(sha256=name[0] * 64) for name in ("features", "train")}
    return SimpleNamespace(
        plan=SimpleNamespace(**told, document=document), held=held, available=available, head="e" * 64
    )


def written(folder: Path, found: Any, declared: Card = DECLARED, name: str = "sample") -> str:
    of: Any = SimpleNamespace(name=name, version=7)
    return card.write(folder, found, declared, of).read_text(encoding="utf-8")


def test_each_number_is_the_observations(tmp_path: Path, seen: dict[str, Any]) -> None:
    told = written(tmp_path, proof(seen))
    assert told.startswith("# sample 7\n")
    facts = seen["metric_thresholds"]
    lines = [line for line in told.splitlines() if line.startswith("| ")]

    def stands(row: str, text: str) -> bool:
        return any(line.startswith(f"| {row} | ") and text in line for line in lines)

    def between(found: dict[str, float]) -> str:
        return f"{found['value']:.3f} ({found['low']:.3f} to {found['high']:.3f})"

    for row, name in (("model", "model"), ("item-kNN", "knn"), ("popularity", "popularity")):
        assert stands(row, between(facts["systems"][name]["metrics"]["precision@10"])), row
    assert stands(card.WHAT["approved"], between(facts["approved"]["scores"]["metrics"]["precision@10"]))
    assert "Thresholds, met by the lower end: precision@10 0.75." in told
    whole = seen["fairness_metrics"]["whole"]
    assert stands("all", f"{whole['users']:,} | {whole['metrics']['precision']['mean']:.3f}")
    assert "age: declared; suppressed: child." in told
    assert "embeddings tell it with an AUC of 0.90" in told
    assert stands("Gini of exposure", between(seen["bias_detection"]["gini"]))
    assert "| evaluate | bias\\_detection | pass | observed |" in told
    for digest in ("a" * 40, "d" * 64, "e" * 64, "f" * 64, "t" * 64):
        assert digest in told


def test_what_no_gate_looked_at_is_said(tmp_path: Path, seen: dict[str, Any]) -> None:
    told = written(tmp_path, proof({"metric_thresholds": seen["metric_thresholds"]}))
    assert told.count("No gate has looked.") == 2


def test_what_people_declare_is_said_to_be_declared_and_stays_text(tmp_path: Path) -> None:
    evil = "<img src=x> [a](https://evil.example) | `b` ![c](d)"
    declared = DECLARED.model_copy(update={"description": evil})
    told = written(tmp_path, proof({}), declared)
    assert "<img" not in told
    assert not re.search(r"(?<!\\)\[a(?<!\\)\]", told)
    assert r"\|" in told
    assert told.index("Basis: declared by the model's owner.") < told.index(DECLARED.considerations.users[0][:20])
    assert "Who may be at a disadvantage" in told
