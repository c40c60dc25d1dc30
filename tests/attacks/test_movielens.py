"""Real ratings through the real pipeline: every month of MovieLens latest-small, by the shipped document and policy.

And four things done to it, each of which must be refused: a public bucket, an object that changes between listing and
reading, a model altered after it was signed, a statement removed from the log.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from configs import load
from deployments.lake.server import KMS_KEY
from flows import intake
from flows.local import PUBLIC
from flows.shell import once
from security.errors import SluiceError
from security.gates import bias
from security.verdict import Outcome
from security.verify import verify
from tasks import process
from tasks.home import Home
from tasks.run import REFUSED, Quiet, Run
from tasks.source import Place
from tasks.store import current
from tests.attacks.acts import logged, staged
from tests.attacks.attacker import Act, Attacker, Ground
from tests.attacks.bucket import Operator

pytestmark = pytest.mark.prove
ROWS, PEOPLE = 100_004, 671
SOURCE = load.document(load.text(load.find("movielens", "pipelines"))).stages[0].source


@pytest.fixture(scope="module")
def run(prefect: str, home: Home, shared: Path) -> Iterator[Run]:
    """The run over all months, once."""
    counts = intake.load(home, shared / "ml-latest-small" / "ratings.csv", {}, SOURCE, KMS_KEY)
    assert sum(counts.values()) == ROWS
    state, made = once(Quiet(), document="movielens", policy="local")
    assert state.is_completed(), state.message
    assert made is not None
    yield made
    process.stop(home.root / "service" / made.plan.run / "process.json")


def test_every_gate_passes_on_every_row(run: Run) -> None:
    proof = verify(run.log.path, run.trust)
    assert proof.closed
    weak = {each.verdict.gate: each.effect.because for each in proof.held if each.verdict.outcome is not Outcome.PASS}
    # This machine has no advisories, no list of who may sign, no cluster and no image; 671 people are too few to tell
    # how much the items of the long tail get.
    packages = ("dependency_scanning", "code_integrity_check", "registry_authorization")
    release = ("network_policy_enforcement", "workload_hardening", "image_vulnerability_scanning")
    release += ("deployment_authorization",)
    assert weak == dict.fromkeys((*packages, *release, "bias_detection"), "observed")
    tasks = [sides for stage in run.plan.matrix.values() for sides in stage.values()]
    assert len(proof.held) == sum(len(sides["before"] + sides["after"]) for sides in tasks)
    assert run.notes["clean"]["rows in"] == ROWS
    assert run.notes["features"]["users"] == PEOPLE


def test_the_model_is_better_than_what_needs_none(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    found = {system: scores["precision@10"]["value"] for system, scores in run.notes["metrics"].items()}
    with capsys.disabled():
        print("\nMovieLens, precision@10: " + ", ".join(f"{name} {value:.4f}" for name, value in found.items()))
    threshold = run.plan.document["stages"][3]["thresholds"]["precision@10"]
    assert found["model"] >= threshold
    assert found["model"] > found["popularity"] > found["random"]
    assert found["shuffled"] < threshold


def test_who_is_served_how_is_told_and_every_group_gets_half_or_more(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """Light users get three quarters of what all get, whom a random order would give a quarter."""
    facts, limits, rows = run.notes["groups"]
    ndcg = [row for row in rows if row.metric == "ndcg"]
    with capsys.disabled():
        told = (f"{row.group} {row.ratio:.2f} ({row.low:.2f} to {row.high:.2f})" for row in ndcg)
        print("\nMovieLens, nDCG@10 in that of all users: " + ", ".join(told))
        print("embeddings tell " + ", ".join(f"{name}: {each.auc:.3f}" for name, each in facts.proxy.items()))
    assert {row.kind for row in rows} == {"behavioural"}
    found = {(row.grouping, row.group): row for row in ndcg}
    assert len(found) == 8
    light = found["activity", "light"]
    assert limits.lowest("behavioural")["ndcg"] < light.low < light.high < 1
    (said,) = [each for each in run.notes["verdicts"] if each["gate"] == "fairness_metrics"]
    assert said["outcome"] == "pass"


def test_what_is_shown_leans_to_the_popular_and_is_told(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """More than what people chose themselves, and less than the lists of popularity; the tail gets next to nothing."""
    facts, limits = run.notes["exposure"]
    with capsys.disabled():
        print("\nMovieLens, exposure:")
        for row in bias.rows(facts, limits):
            print(f"  {row.side:<7}{row.rule} {row.place}: {row.sentence}")
    assert 0 < facts.lift.low < facts.lift.high < facts.beside["popularity"].lift
    assert facts.gini.value < facts.beside["popularity"].gini
    assert {row.side for row in bias.rows(facts, limits)} == {"kept", "open"}


def rewritten(run: Run, at: Ground) -> None:
    """The first month is put again: the same bytes, another version."""
    found = at.operator.s3.list_objects_v2(Bucket=at.bucket, Prefix=at.prefix, MaxKeys=1)["Contents"][0]["Key"]
    at.operator.put(at.bucket, found, at.operator.s3.get_object(Bucket=at.bucket, Key=found)["Body"].read())


def opened(home: Home, shared: Path) -> tuple[str, str]:
    """The ratings in the bucket that anybody may read; the document and policy that point there."""
    document, policy = load.text(load.find("movielens", "pipelines")), load.text(load.find("local", "policies"))
    document["stages"][0]["source"] = SOURCE.replace(Place.of(SOURCE).bucket, PUBLIC)
    policy["documents"] = {"movielens": load.sha256(document)}
    offered = Path(os.environ["SLUICE_CONFIGS"])
    offered.mkdir(parents=True, exist_ok=True)
    (offered / "movielens_public.json").write_text(json.dumps(document))
    (offered / "movielens_public.yaml").write_text(json.dumps(policy))
    intake.load(home, shared / "ml-latest-small" / "ratings.csv", {}, document["stages"][0]["source"], KMS_KEY)
    return "movielens_public", "movielens_public"


REMOVED = logged(lambda whole: [whole[0], *whole[2:]])
DONE: Mapping[str, tuple[str, dict[str, Act], list[str]]] = {
    "public-bucket": (r"\[access_control_s3\] fail: .*S3-PUB-READ", {}, []),
    "model-altered": ("SIG-ALTERED model.safetensors", {"signed": staged("model/model.safetensors")}, ["train"]),
    "statement-removed": ("line 2: does not follow", {"features gate 2": REMOVED}, ["features"]),
    "object-changed": ("as listed before it was read", {"listed": rewritten}, []),
}
"""What must be said, what is done at which moment, and which stage goes on from the run that passed (none: all).

An object that was put again is a version that no earlier run read, so that nothing goes on from those: it comes last.
"""


@pytest.mark.parametrize("name", DONE)
def test_what_was_tampered_with_is_refused(
    name: str, run: Run, home: Home, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    says, acts, stages = DONE[name]
    document, policy = opened(home, shared) if name == "public-bucket" else ("movielens", "local")
    parameters: dict[str, Any] = {"document": document, "policy": policy}
    if stages:
        parameters |= {"stages": stages, "after": run.plan.run}
    place, pointer = Place.of(SOURCE), current(home, "serving")
    attacker = Attacker(Ground(home, Operator(home), place.bucket, place.prefix, run), acts)
    attacker.wait(monkeypatch)
    state, made = once(attacker, **parameters)
    assert (state.is_failed(), state.name) == (True, REFUSED), state
    assert re.search(says, state.message), state.message
    assert attacker.acted == list(acts)
    assert made is not None
    assert [kind for kind, ref in made.published.items() if run.published.get(kind) != ref] == []
    assert current(home, "serving") == pointer
    with pytest.raises(SluiceError):
        verify(made.log.path, made.trust)
