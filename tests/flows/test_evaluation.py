"""What a model is measured by is in the plan: thresholds, split, code and data, each of which is another plan."""

import copy
import importlib.util
import json
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest

from configs import load
from flows import brief as briefs
from flows import evaluation as measured
from flows import plan as planning
from security import gate as gates
from security.errors import PlanError
from security.policy import Plan
from security.registry import GATES
from tasks.home import Home
from tasks.recommender import split

NAME = "metric_thresholds"


def sealed(home: Home, folder: Path, stages: list[str], **limits: Any) -> Plan:
    """A plan by the shipped document, under a laptop's policy with other limits of the gate; None leaves one out."""
    policy = copy.deepcopy(load.text(load.find("local", "policies")))
    told = policy["gates"][NAME]["limits"] | limits
    policy["gates"][NAME]["limits"] = {name: value for name, value in told.items() if value is not None}
    (folder / "given.yaml").write_text(json.dumps(policy))
    brief = briefs.read("sample", str(folder / "given.yaml"))
    inputs = {"2023-10-27": "d" * 64}
    return planning.plan(brief, home, "", partition="2023-10-27", window=None, stages=stages, inputs=inputs)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("measured") / "home")


def test_a_plan_says_what_the_model_is_measured_by_before_there_is_one(home: Home, tmp_path: Path) -> None:
    """Also one that does not get as far: what is measured later is held to it."""
    whole = sealed(home, tmp_path, list(load.SHORT.values()))
    first = sealed(home, tmp_path, ["ingest", "features", "train"])
    assert whole.evaluation == first.evaluation
    assert whole.evaluation["split"] == {"test": 0.2, "validation": 0.1, "least": 5}
    assert whole.evaluation["code"]["lists"] == measured._lists()
    assert whole.evaluation["code"][NAME] == gates.engine(GATES[NAME]).sha256
    assert whole.inputs == {"2023-10-27": "d" * 64}
    thresholds = whole.document["stages"][3]["thresholds"]
    assert whole.terms["evaluate"]["score"][NAME].limits["thresholds"] == thresholds == {"precision@10": 0.75}
    assert first.document == whole.document


def test_every_gate_over_scores_is_in_it(home: Home, tmp_path: Path) -> None:
    after = load.matrix()["evaluate"]["score"]["after"]
    code = sealed(home, tmp_path, list(load.SHORT.values())).evaluation["code"]
    assert {*code} == {"lists", *(name for name in after if GATES[name].kind == "scores")}
    assert NAME in code


def test_another_split_is_another_plan(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    before = measured.evaluation(load.matrix())
    monkeypatch.setattr(measured, "TEST", split.TEST / 2)
    assert measured.evaluation(load.matrix())["split"] != before["split"]


@pytest.mark.parametrize("name", measured.LISTS)
def test_other_code_that_makes_lists_is_another_plan(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.util.find_spec
    found = real(name)
    assert found is not None
    assert found.origin is not None
    altered = tmp_path / "altered.py"
    altered.write_text(Path(found.origin).read_text() + "\n# one line more\n")

    def elsewhere(asked: str) -> ModuleSpec | None:
        return ModuleSpec(asked, None, origin=str(altered)) if asked == name else real(asked)

    measured._lists.cache_clear()
    before = measured._lists()
    monkeypatch.setattr(importlib.util, "find_spec", elsewhere)
    measured._lists.cache_clear()
    assert measured._lists() != before
    monkeypatch.setattr(importlib.util, "find_spec", lambda asked: None)
    measured._lists.cache_clear()
    with pytest.raises(PlanError, match="cannot be found: what measures a model cannot be sealed"):
        measured._lists()
    measured._lists.cache_clear()


@pytest.mark.parametrize("attempts", [None, 0, 1001, "many"])
def test_a_policy_has_to_bound_attempts(home: Home, tmp_path: Path, attempts: Any) -> None:
    with pytest.raises(PlanError, match=r"metric_thresholds: limits\.attempts: "):
        sealed(home, tmp_path, ["ingest", "features", "train", "evaluate"], attempts=attempts)


def test_shipped_policies_bound_them() -> None:
    bounds = {
        name: load.text(load.find(name, "policies"))["gates"][NAME]["limits"]["attempts"]
        for name in ("local", "kubernetes_test", "kubernetes_prod")
    }
    assert bounds == {"local": 100, "kubernetes_test": 5, "kubernetes_prod": 5}


@pytest.mark.parametrize(
    "name", ["security.bootstrap", "security.memo", "security.rows.lists", "tasks.groups", "tasks.recommender.joint"]
)
def test_what_makes_intervals_groups_and_the_control_is_sealed(name: str) -> None:
    assert name in measured.LISTS
