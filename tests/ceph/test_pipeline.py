"""The whole pipeline over a real S3 server, at basis `observed`; and once with an object that lies there plain."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from configs import load
from flows.shell import once
from security.log import read
from security.verdict import Basis
from tasks import process
from tasks.home import Home
from tasks.run import REFUSED, Quiet, Run
from tasks.source import Source
from tasks.store import current
from tests.attacks.bucket import DAYS, body, key
from tests.ceph.gateway import KEY, Gateway
from tests.integration.conftest import verified
from tests.small import small

GOOD, MIXED = "real-lake", "mixed-lake"
RENDERED = ("network_policy_enforcement", "workload_hardening")
LAPTOP = (
    "dependency_scanning",
    "code_integrity_check",
    "registry_authorization",
    "data_poisoning",
    "fairness_metrics",
    *RENDERED,
    "image_vulnerability_scanning",
    "deployment_authorization",
)
"""Gates of which a laptop's policy observes that nobody can tell."""
TERMS: dict[str, dict[str, Any]] = {
    # radosgw compares the owner on no call, so the bucket's own word is compared once. It has no ownership controls.
    "access_control_s3": {"limits": {"owner": "operator"}, "observe": ["ownership"]},
    # Nothing is accepted that is only declared.
    "data_encryption_at_rest": {"limits": {"keys": [KEY], "volume": "any"}},
}
"""How the policy of these runs differs from `local`."""


def pair(bucket: str) -> tuple[str, str]:
    """A document over a bucket, soon learned, and the policy that pins it."""
    source = f"s3://{bucket}/good/{DAYS[-1]}/"
    told: dict[str, Any] = {"learning_rate": 0.01, "batch_size": 16, "thresholds": {"precision@10": 0.15}}
    return small(name="real", source=source, terms=TERMS, **told)


@pytest.fixture(scope="module", autouse=True)
def source(gateway: Gateway) -> Iterator[None]:
    """Runs of this module take their rows from radosgw."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLUICE_LAKE", str(gateway.folder / "lake.json"))
        yield


@pytest.fixture(scope="module")
def passed(gateway: Gateway, prefect: str, home: Home) -> Iterator[tuple[Run, str]]:
    """A run that passed, and its policy."""
    gateway.make(GOOD)
    for day in DAYS:
        gateway.put(GOOD, key("good", day), body(day))
    gateway.close(GOOD)
    document, policy = pair(GOOD)
    state, run = once(Quiet(), document=document, policy=policy)
    assert state.is_completed(), state.message
    assert run is not None
    yield run, policy
    process.stop(home.root / "service" / run.plan.run / "process.json")


def said(run: Run, gate: str) -> list[dict[str, Any]]:
    """What the log says of a gate: observation, verdict, effect."""
    return [told for told in statements(run) if told.get("gate") == gate]


def statements(run: Run) -> list[dict[str, Any]]:
    return [each["predicate"] for each in read(run.log.path, run.trust.key)[0]]


def test_this_source_is_no_embedded_one(home: Home) -> None:
    found = Source.read(home)
    assert (found.embedded, found.basis) == (False, Basis.OBSERVED)


def test_the_policy_of_these_runs_differs_from_local_in_nothing_else(gateway: Gateway) -> None:
    """Each line is an exception, or what the embedded lake needs and a real store does not."""
    _, name = pair(GOOD)
    mine, local = (load.text(load.find(each, "policies")) for each in (name, "local"))
    assert {each for each in mine if mine[each] != local[each]} == {"documents", "gates"}
    assert mine["gates"].keys() == local["gates"].keys()
    measured = local["gates"]["metric_thresholds"]["limits"]
    changed = {gate: terms for gate, terms in mine["gates"].items() if terms != local["gates"][gate]}
    assert changed == {
        "access_control_s3": {"limits": {"owner": "operator"}, "observe": ["ownership"]},
        "data_encryption_at_rest": {"limits": {"keys": ["lake-test"], "volume": "any"}},
        "metric_thresholds": {"limits": measured | {"attempts": 1000}},
    }


def published(run: Run) -> list[str]:
    """The stages that the log says to have published."""
    return [told["stage"] for told in statements(run) if "output" in told and "inputs" not in told]


def test_the_whole_pipeline_passes_and_verifies(passed: tuple[Run, str], home: Home) -> None:
    run, policy = passed
    told = verified(home, home.evidence(run.plan.run), policy)
    assert published(run) == ["ingest", "features", "train", "evaluate", "deploy"]
    assert current(home, "serving")[1]["run"] == run.plan.run
    assert "ownership" in json.dumps(told)


def test_encryption_at_rest_was_observed(passed: tuple[Run, str], gateway: Gateway) -> None:
    (rest,) = said(passed[0], "data_encryption_at_rest")
    assert (rest["verdict"]["outcome"], rest["observation"]["basis"]) == ("pass", "observed")
    (kind,) = rest["observation"]["facts"]["kinds"]
    assert (kind["algorithm"], kind["key"], kind["count"]) == ("aws:kms", KEY, len(DAYS))
    assert not gateway.stored(body(DAYS[0])[20:60])


def test_what_the_store_cannot_be_asked_is_the_one_thing_observed_of_it(passed: tuple[Run, str]) -> None:
    verdicts = [told for told in statements(passed[0]) if "verdict" in told]
    assert {told["observation"]["basis"] for told in verdicts if told["gate"] not in RENDERED} == {"observed"}
    weak = [t for t in verdicts if t["verdict"]["outcome"] != "pass" and t["gate"] not in LAPTOP]
    assert [(each["gate"], each["verdict"]["cause"]) for each in weak] == [("access_control_s3", "ownership")]
    assert (weak[0]["effect"]["action"], weak[0]["effect"]["because"]) == ("proceed", "observed")


def test_an_object_that_was_put_plain_is_refused_and_nothing_is_published(
    passed: tuple[Run, str], gateway: Gateway, home: Home
) -> None:
    gateway.make(MIXED, key="")
    plain, sealed = (key("good", day) for day in DAYS)
    gateway.put(MIXED, plain, body(DAYS[0]))
    gateway.encrypt(MIXED)
    gateway.put(MIXED, sealed, body(DAYS[1]))
    gateway.close(MIXED)
    assert gateway.stored(body(DAYS[0])[20:60])

    def kept() -> set[str]:
        return {path.name for path in Path(home.root, "store").iterdir()}

    before, serving = kept(), current(home, "serving")
    document, policy = pair(MIXED)
    state, run = once(Quiet(), document=document, policy=policy)
    assert run is not None
    assert state.name == REFUSED
    assert f"[data_encryption_at_rest] fail: S3-SSE-OBJ {plain}: found 1 versions encrypted by nothing" in state.message
    assert (kept(), current(home, "serving")) == (before, serving)
    assert published(run) == []
    (rest,) = said(run, "data_encryption_at_rest")
    assert (rest["verdict"]["outcome"], rest["observation"]["basis"]) == ("fail", "observed")
