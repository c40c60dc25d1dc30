"""The log of the run that made a release: what keeps the service from starting."""

import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from configs.load import SHORT
from deployments.serving import log as module
from deployments.serving.load import Card, Model, load
from deployments.serving.log import believed
from security.errors import LogBroken, Refused, SluiceError
from security.keys import PublicKey, Signer
from security.walk import ORDER
from tests.deployments.serving import story
from tests.deployments.serving.release import Site
from tests.deployments.serving.story import Change, Step, after, alone
from tests.deployments.serving.test_service import refusal
from tests.security.damage import other

OTHER = "7" * 64
POLICY = story.digest(story.POLICY)


@pytest.fixture(scope="module")
def model(home: Site) -> Model:
    return load(home.release, home.keys.public("producer"))


@pytest.fixture(scope="module")
def signer(home: Site) -> Signer:
    return home.keys.signer("producer")


@pytest.fixture(scope="module")
def key(home: Site) -> PublicKey:
    return home.keys.public("producer")


@pytest.fixture(scope="module")
def earlier(model: Model, key: PublicKey) -> Card:
    """The card of the model, had it been trained by a run that did nothing after."""
    made = story.plan(key.id, stages=ORDER[:3])
    return msgspec.structs.replace(model.card, plan=story.digest(made))


def at(told: list[Step], kind: str, stage: str = "") -> dict[str, Any]:
    """What the first statement of a kind says, of a stage."""
    return next(each for of, each in told if of == kind and stage in ("", each.get("stage")))


def without(kind: str, stage: str) -> Change:
    """The log without the statement of a kind about a stage."""
    return lambda told: told.remove(next(each for each in told if (each[0], each[1].get("stage")) == (kind, stage)))


def said(kind: str, stage: str, **changes: Any) -> Change:
    """The log with another word in the statement of a kind about a stage."""
    return lambda told: at(told, kind, stage).update(changes)


def judged(stage: str, effect: dict[str, Any], **changes: Any) -> Change:
    """The log with another verdict, which follows another effect."""

    def change(told: list[Step]) -> None:
        made = story.verdict(stage, story.ref(stage, of(told)), **changes)
        made["effect"] |= effect
        at(told, "verdict", stage).update(made)

    return change


def of(told: list[Step]) -> str:
    """The digest of the model that a log is of."""
    return str(at(told, "output", "train")["output"]["sha256"])


def blind(told: list[Step]) -> None:
    """A verdict that passed where half was looked at."""
    mine = at(told, "verdict", "train")
    mine["observation"] = {**mine["observation"], "coverage": {**mine["observation"]["coverage"], "inspected": 0}}
    mine["verdict"] = {**mine["verdict"], "observation": story.digest(mine["observation"])}


def swapped(told: list[Step]) -> None:
    """A verdict beside another observation than its own."""
    mine = at(told, "verdict", "train")
    mine["observation"] = {**mine["observation"], "taken": 2.0}


def fewer(told: list[Step]) -> None:
    """A gate that counted less than there was."""
    mine = at(told, "output", "train")
    mine["output"] = {**mine["output"], "count": 2}
    at(told, "published", "train")["output"] = mine["output"]
    at(told, "output", "evaluate")["inputs"] = [mine["output"]]


def strange(told: list[Step]) -> None:
    """An evaluation of something that nobody made."""
    mine = at(told, "output", "evaluate")
    mine["inputs"] = [{**mine["inputs"][0], "sha256": OTHER}]


def scored(inputs: list[str]) -> Change:
    """An evaluation of what these stages made."""

    def change(told: list[Step]) -> None:
        mine = [story.ref(stage, of(told)).model_dump(mode="json") for stage in inputs]
        at(told, "output", "evaluate")["inputs"] = mine

    return change


def gateless(told: list[Step]) -> None:
    """A plan in which nobody looks at the model."""
    without("verdict", "train")(told)
    told[0][1]["plan"]["matrix"] = {**story.MATRIX, "train": {"work": {"before": [], "after": []}}}


def planless(told: list[Step]) -> None:
    told[0] = ("published", told[-1][1])


def twice(told: list[Step]) -> None:
    told.append(told[0])


def closed(outcome: str, more: int = 0) -> Change:
    return lambda told: told.append(("closed", {"count": len(told) + more, "outcome": outcome}))


STOP = {"action": "stop"}
SPOILS: dict[str, tuple[Change, type[SluiceError], str]] = {
    "refused-by-a-gate": (judged("evaluate", STOP, outcome="fail"), Refused, r"\[model_artifact_scan\] fail"),
    "a-fail-goes-on": (judged("evaluate", {}, outcome="fail"), LogBroken, "fail goes on because enforced"),
    "a-fail-is-waived-by-nobody": (judged("evaluate", {"because": "waived"}, outcome="fail"), LogBroken, "by nobody"),
    "unknown-is-waived": (
        judged("train", {"because": "waived", "waivers": [OTHER]}, outcome="inconclusive"),
        LogBroken,
        "inconclusive goes on because waived",
    ),
    "unknown-goes-on": (judged("train", {}, outcome="inconclusive"), LogBroken, "inconclusive goes on"),
    "passed-blind": (blind, LogBroken, "did not look at the whole"),
    "another-observation": (swapped, LogBroken, "another observation"),
    "counted-fewer": (fewer, LogBroken, "expected 1 files, there are 2"),
    "never-looked": (without("verdict", "train"), LogBroken, "train/work: model_artifact_scan never ran"),
    "never-looked-at-rows": (without("verdict", "ingest"), LogBroken, "ingest/work: model_artifact_scan never ran"),
    "another-gate": (said("verdict", "train", gate="drift"), LogBroken, "not a gate of this plan"),
    "never-made": (without("output", "features"), LogBroken, "features: published"),
    "of-what-nobody-made": (strange, LogBroken, "which nothing here made"),
    "not-evaluated": (lambda told: told.__delitem__(slice(-3, None)), Refused, "nothing that evaluate published"),
    "scores-not-published": (lambda told: told.pop(), Refused, "nothing that evaluate published"),
    "refused": (closed("refused"), Refused, "run run-7 ended as 'refused'"),
    "miscounted": (closed("passed", 1), LogBroken, "closing count"),
    "closed-before-its-end": (closed("passed"), LogBroken, "deploy published nothing"),
    "scores-of-nothing": (scored([]), Refused, "did not take in this release"),
    "scores-of-features": (scored(["features"]), Refused, "did not take in this release"),
    "ended-as-nothing": (closed(""), Refused, "ended as ''"),
    "no-gate": (gateless, LogBroken, "train/work has no gate"),
    "no-plan": (planless, LogBroken, "does not begin with its one plan"),
    "two-plans": (twice, LogBroken, "does not begin with its one plan"),
    "only-a-plan": (lambda told: told.__delitem__(slice(1, None)), Refused, "has no training by run run-7"),
}


def test_the_stages_are_those_of_documents() -> None:
    assert tuple(SHORT.values()) == ORDER


def test_a_log_of_the_training_and_the_evaluation_is_believed(
    tmp_path: Path, model: Model, signer: Signer, key: PublicKey
) -> None:
    head = alone(tmp_path, signer, model.digest)
    assert believed(tmp_path, key, model.card, model.digest, POLICY) == head


@pytest.mark.parametrize(("change", "kind", "why"), SPOILS.values(), ids=SPOILS)
def test_what_does_not_show_that_all_was_looked_at_is_not(
    change: Change, kind: type[SluiceError], why: str, tmp_path: Path, model: Model, signer: Signer, key: PublicKey
) -> None:
    alone(tmp_path, signer, model.digest, change)
    with pytest.raises(kind, match=why):
        believed(tmp_path, key, model.card, model.digest, POLICY)


PLANS: dict[str, tuple[dict[str, Any], type[SluiceError], str]] = {
    "another-pipeline": ({"document": {"pipeline_name": "other"}}, Refused, "the log is of 'other'"),
    "another-run": ({"run": "run-9"}, Refused, "has no training by run run-7"),
    "another-plan": ({"partition": "2026-01-06"}, Refused, "has no training by run run-7 with the plan"),
    "another-producer": ({"signer": OTHER}, LogBroken, "another producer"),
    "a-run-before-that-is-not-here": ({"predecessor": {"run": "run-6", "head": OTHER}}, LogBroken, "a run before it"),
    "another-policy": (
        {"policy": {"name": "lax"}, "policy_sha256": story.digest({"name": "lax"})},
        Refused,
        "under the policy",
    ),
    "another-policy-than-it-names": ({"policy": {"name": "lax"}}, LogBroken, "another policy than it names"),
    "no-document": ({"document": None}, LogBroken, "cannot be read"),
    "no-name": ({"document": {}}, LogBroken, "cannot be read"),
    "no-stage": ({"matrix": {}}, LogBroken, "not in a row"),
    "a-stage-of-its-own": ({"matrix": {**story.MATRIX, "zz": story.MATRIX["train"]}}, LogBroken, "cannot be read"),
    "a-stage-left-out": ({"matrix": {"ingest": {}, "deploy": {}}}, LogBroken, "not in a row"),
    "no-matrix": ({"matrix": None}, LogBroken, "cannot be read"),
}


@pytest.mark.parametrize(("changes", "kind", "why"), PLANS.values(), ids=PLANS)
def test_a_plan_that_is_not_the_releases_is_refused(
    changes: dict[str, Any],
    kind: type[SluiceError],
    why: str,
    tmp_path: Path,
    model: Model,
    signer: Signer,
    key: PublicKey,
) -> None:
    alone(tmp_path, signer, model.digest, lambda told: told[0][1]["plan"].update(changes))
    with pytest.raises(kind, match=why):
        believed(tmp_path, key, model.card, model.digest, POLICY)


def test_the_log_of_another_model_shows_nothing(tmp_path: Path, model: Model, signer: Signer, key: PublicKey) -> None:
    alone(tmp_path, signer, OTHER)
    with pytest.raises(Refused, match=f"whose train published {OTHER[:12]}; this release is {model.digest[:12]}"):
        believed(tmp_path, key, model.card, model.digest, POLICY)


def test_an_evaluation_of_another_model_shows_nothing(
    tmp_path: Path, model: Model, signer: Signer, key: PublicKey
) -> None:
    def change(told: list[Step]) -> None:
        for kind in ("output", "published"):
            mine = at(told, kind, "evaluate")
            mine["output"] = {**mine["output"], "version": OTHER}

    alone(tmp_path, signer, model.digest, change)
    with pytest.raises(Refused, match="evaluate published 777777777777"):
        believed(tmp_path, key, model.card, model.digest, POLICY)


def test_no_line_can_be_altered_moved_or_cut(tmp_path: Path, model: Model, signer: Signer, key: PublicKey) -> None:
    alone(tmp_path, signer, model.digest)
    file = tmp_path / "log.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    spoils: list[list[bytes]] = [[], lines[1:], [*lines, lines[-1]], [*lines[:-1], lines[-1][:-1]]]
    spoils += [[*lines[:at], *lines[at + 1 :]] for at in range(len(lines))]
    spoils += [[*lines[:at], other(lines[at]), *lines[at + 1 :]] for at in range(len(lines))]
    for each in spoils:
        assert each != lines
        file.write_bytes(b"".join(each))
        with pytest.raises((LogBroken, Refused)):
            believed(tmp_path, key, model.card, model.digest, POLICY)


def test_another_keys_log_is_refused(tmp_path: Path, home: Site, model: Model, key: PublicKey) -> None:
    alone(tmp_path, home.keys.signer("verifier"), model.digest)
    with pytest.raises(LogBroken, match="not signed by the key given"):
        believed(tmp_path, key, model.card, model.digest, POLICY)


def test_a_log_that_is_too_large_or_not_there_is_refused(
    tmp_path: Path, model: Model, signer: Signer, key: PublicKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(LogBroken, match="there is no log"):
        believed(tmp_path, key, model.card, model.digest, POLICY)
    alone(tmp_path, signer, model.digest)
    monkeypatch.setattr(module, "MOST", 100)
    with pytest.raises(LogBroken, match="more than 100 bytes"):
        believed(tmp_path, key, model.card, model.digest, POLICY)


def test_a_run_after_the_one_that_trained_is_believed_with_it(
    tmp_path: Path, model: Model, earlier: Card, signer: Signer, key: PublicKey
) -> None:
    head = after(tmp_path, signer, model.digest)
    assert believed(tmp_path, key, earlier, model.digest, POLICY) == head


def resealed(told: list[Step]) -> None:
    """Another model than that of the run before, as if this one had trained it."""
    mine = at(told, "output", "evaluate")
    mine["inputs"] = [story.ref("train", OTHER).model_dump(mode="json")]


LINKS: dict[str, tuple[dict[str, Any], str]] = {
    "another-head": ({"named": {"predecessor": {"run": story.RUN, "head": OTHER}}}, "not the one that the plan names"),
    "none-named": ({"named": {"predecessor": {}}}, "or none, and there is one"),
    "another-target": ({"named": {"target": "local"}}, "another document, policy, target"),
    "measured-otherwise": ({"named": {"evaluation": {"split": {"test": 0.5}}}}, "measured in another way"),
    "on-other-data": ({"named": {"inputs": {"2026-01-05": "v2"}}}, "measured in another way, or on other data"),
    "another-day": ({"named": {"partition": "2026-01-06"}}, "another document, policy, target, partition"),
    "another-document": ({"named": {"document_sha256": OTHER}}, "another document, policy, target, partition"),
    "another-window": ({"named": {"window": 3}}, "another document, policy, target, partition"),
    "not-closed": ({"before": lambda told: told.pop()}, "is not closed"),
    "closed-as-refused": ({"before": lambda told: told[-1][1].update(outcome="refused")}, "ended as 'refused'"),
    "another-model": ({"change": resealed}, "which nothing here made"),
    "its-training-never-looked": ({"before": without("verdict", "train")}, "never ran"),
}


@pytest.mark.parametrize(("told", "why"), LINKS.values(), ids=LINKS)
def test_a_run_before_that_is_not_whole_or_not_the_one_is_refused(
    told: dict[str, Any], why: str, tmp_path: Path, model: Model, earlier: Card, signer: Signer, key: PublicKey
) -> None:
    changes = {name: each for name, each in told.items() if name != "named"}
    after(tmp_path, signer, model.digest, **changes, **told.get("named", {}))
    with pytest.raises((LogBroken, Refused), match=why):
        believed(tmp_path, key, earlier, model.digest, POLICY)


def test_a_run_before_that_is_gone_is_missed(
    tmp_path: Path, model: Model, earlier: Card, signer: Signer, key: PublicKey
) -> None:
    after(tmp_path, signer, model.digest)
    shutil.rmtree(tmp_path / "predecessor")
    with pytest.raises(LogBroken, match="whose log is not here"):
        believed(tmp_path, key, earlier, model.digest, POLICY)


def test_many_runs_after_each_other_are_believed_to_a_bound(
    tmp_path: Path, model: Model, signer: Signer, key: PublicKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipeline that goes on from the run before, again and again."""
    monkeypatch.setattr(module, "DEEP", 8)
    sealed = story.plan(key.id, stages=ORDER[:3])
    card = msgspec.structs.replace(model.card, plan=story.digest(sealed))
    told, files = story.steps(sealed, model.digest, ORDER[:3], closed=True), list[Path]()
    for number in range(9):
        files.append(tmp_path / str(number) / "log.jsonl")
        named = {"run": told[0][1]["plan"]["run"], "head": story.put(files[-1].parent, signer, told)}
        sealed = story.plan(key.id, f"run-{number + 20}", ORDER[3:4], predecessor=named)
        told = story.steps(sealed, model.digest, ORDER[3:4], closed=True)

    def after(count: int) -> Path:
        root = tmp_path / f"deep{count}"
        for number, file in enumerate(reversed(files[:count])):
            folder = root.joinpath(*["predecessor"] * number)
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, folder)
        return root

    assert believed(after(8), key, card, model.digest, POLICY)
    with pytest.raises(LogBroken, match="more than 8 runs"):
        believed(after(9), key, card, model.digest, POLICY)


def test_scores_that_no_gate_looked_at_show_nothing(
    tmp_path: Path, model: Model, signer: Signer, key: PublicKey
) -> None:
    """By a plan that has the model looked at before it is evaluated, and its scores by nobody."""
    told = story.steps(story.plan(key.id), model.digest, ORDER[:4])
    told[0][1]["plan"]["matrix"] = {**story.MATRIX, "evaluate": {"work": {"before": [story.GATE], "after": []}}}
    without("verdict", "evaluate")(told)
    told.insert(-2, ("verdict", story.verdict("evaluate", story.ref("train", model.digest))))
    story.put(tmp_path, signer, told)
    card = msgspec.structs.replace(model.card, plan=story.digest(told[0][1]["plan"]))
    with pytest.raises(Refused, match="or that no gate looked at"):
        believed(tmp_path, key, card, model.digest, POLICY)


def test_the_service_does_not_start_without_the_log_of_its_release(
    home: Site, tmp_path: Path, model: Model, signer: Signer
) -> None:
    assert "there is no log" in refusal(home, log=tmp_path / "absent")
    alone(tmp_path / "other", signer, OTHER)
    assert f"this release is {model.digest[:12]}" in refusal(home, log=tmp_path / "other")
    alone(tmp_path / "refused", signer, model.digest, judged("evaluate", STOP, outcome="fail", reason="EVL-01 ndcg"))
    assert "[model_artifact_scan] fail: EVL-01 ndcg" in refusal(home, log=tmp_path / "refused")


def test_without_a_log_it_says_so(home: Site) -> None:
    with home.serve("--log", "UnsafeNone") as service:
        service.process.terminate()
        _, told = service.process.communicate(timeout=10)
    assert told == "UNSAFE: no log shows how the release was made\n"
