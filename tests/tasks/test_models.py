"""The registry of a home: what is entered is kept and believed again, by its name, a version or an alias."""

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from configs.load import Policy, find, text
from configs.load import policy as parsed
from security.errors import KeyBroken, LogBroken, PlanError, Refused
from security.keys import UnsafeLocalKeys
from security.models.chain import Keys
from security.proof import Held, Proof
from security.verdict import Basis, Coverage, Effect, Engine, Observation, Outcome, Ref, Subject, Verdict
from tasks import chains, models
from tasks.home import Home
from tests.security.models.chains import keys
from tests.security.models.making import DATASETS, METRICS, VERDICTS, Model, model, plan, terms


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> UnsafeLocalKeys:
    return UnsafeLocalKeys(tmp_path_factory.mktemp("models") / "keys")


@pytest.fixture(scope="module")
def trusted(local: UnsafeLocalKeys) -> Keys:
    return keys(local)


@pytest.fixture(scope="module")
def made(local: UnsafeLocalKeys, tmp_path_factory: pytest.TempPathFactory) -> list[Model]:
    folder = tmp_path_factory.mktemp("made")
    return [model(folder / str(version), local, version=version) for version in (3, 4)]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def enter(home: Home, made: Model, local: UnsafeLocalKeys, trusted: Keys) -> Any:
    return models.enter(home, made.files, made.attached, local.signer("producer"), trusted, "all gates passed")


def test_what_is_entered_is_the_candidate_and_is_believed(
    home: Home, made: list[Model], local: UnsafeLocalKeys, trusted: Keys
) -> None:
    version = enter(home, made[0], local, trusted)
    assert enter(home, made[0], local, trusted) == version  # the same again changes nothing
    assert len(chains.there(home, "sample")) == 2
    enter(home, made[1], local, trusted)
    assert enter(home, made[0], local, trusted) == version  # also where a newer one is the candidate
    assert len(chains.there(home, "sample")) == 4
    assert models.which(home, "sample@candidate", trusted) == ("sample", 4)
    found = models.verified(home, "sample", 3, trusted)
    assert found.claim.datasets == DATASETS
    assert models.stored(home, "sample", 3, trusted).files == made[0].files
    assert (home.root / "models").stat().st_mode & 0o777 == 0o700


def test_the_candidate_follows_where_a_run_was_broken_off(
    home: Home, made: list[Model], local: UnsafeLocalKeys, trusted: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(chains, "move", broken)
        with pytest.raises(KeyboardInterrupt):
            enter(home, made[0], local, trusted)
    assert models.which(home, "sample", trusted) == ("sample", 3)
    with pytest.raises(Refused, match="candidate names nothing"):
        models.which(home, "sample@candidate", trusted)
    enter(home, made[0], local, trusted)
    assert models.which(home, "sample@candidate", trusted) == ("sample", 3)


def test_an_older_version_is_not_entered(home: Home, made: list[Model], local: UnsafeLocalKeys, trusted: Keys) -> None:
    enter(home, made[1], local, trusted)
    with pytest.raises(LogBroken, match="version 3 after 4; versions only increase"):
        enter(home, made[0], local, trusted)
    assert (models.layout(home).root / "index.json").read_bytes().count(b"sample-3") == 0


def test_a_version_is_not_entered_with_other_content(
    home: Home, made: list[Model], local: UnsafeLocalKeys, trusted: Keys, tmp_path: Path
) -> None:
    enter(home, made[0], local, trusted)
    other = model(tmp_path / "other", local, {"more.bin": b"x"}, version=3)
    before = (models.layout(home).root / "index.json").read_bytes()
    with pytest.raises(Refused, match="version 3 was entered before, with other content"):
        enter(home, other, local, trusted)
    assert (models.layout(home).root / "index.json").read_bytes() == before
    assert models.stored(home, "sample", 3, trusted).files == made[0].files


def test_what_does_not_hold_is_not_entered(
    home: Home, made: list[Model], local: UnsafeLocalKeys, trusted: Keys, tmp_path: Path
) -> None:
    for files, attached in (
        (made[0].files, made[1].attached),
        ({**made[0].files, "more": b""}, made[0].attached),
        (made[0].files, {**made[0].attached, "bill.cdx.json": made[1].attached["bill.cdx.json"]}),
    ):
        with pytest.raises(LogBroken):
            enter(home, Model(files, attached), local, trusted)
    other = UnsafeLocalKeys(tmp_path / "other")
    both = Keys((*trusted.producer, other.public("producer")), trusted.verifier, trusted.owner)
    with pytest.raises(KeyBroken, match="and entered by another key"):
        models.enter(home, *made[0], other.signer("producer"), both, "all gates passed")
    assert not (home.root / "models").exists()
    assert chains.names(home) == []


@pytest.mark.parametrize(
    "spelled", ["other", "sample:9", "sample:03", "sample@newest", "sample:3@candidate", "sample@"]
)
def test_what_is_not_there_is_told(
    home: Home, made: list[Model], local: UnsafeLocalKeys, trusted: Keys, spelled: str
) -> None:
    enter(home, made[0], local, trusted)
    with pytest.raises(PlanError):
        models.which(home, spelled, trusted)


def test_a_folder_becomes_a_model(home: Home, local: UnsafeLocalKeys, trusted: Keys, tmp_path: Path) -> None:
    model(tmp_path / "model", local)
    signer, sealed = local.signer("producer"), plan(local)
    files, attached = models.attach(
        tmp_path / "model", sealed, DATASETS, VERDICTS, terms(), METRICS, signer, seconds=1.5, frameworks={}
    )
    models.enter(home, files, attached, signer, trusted, "all gates passed")
    assert models.verified(home, "sample", 3, trusted).provenance["runDetails"]["metadata"]["invocationId"] == "run-3"


def proof(local: UnsafeLocalKeys) -> Proof:
    """What a log may prove, as far as a model is told of it."""

    def scores(precision: float) -> dict[str, Any]:
        exact = {"value": 0.4, "low": 0.4, "high": 0.4}
        near = {"value": precision, "low": precision - 0.05, "high": precision + 0.05}
        return {"metrics": {"recall@10": exact, "precision@10": near}, "leaks": 0}

    subject = Subject(kind="scores", name="scores", sha256="1" * 64)
    seen = Observation(
        gate="metric_thresholds",
        subject=subject,
        coverage=Coverage(unit="users", expected=1, inspected=1),
        facts={"users": 1000, "systems": {"model": scores(0.8), "random": scores(0.1)}},
        canaries=(),
        basis=Basis.OBSERVED,
        engine=Engine(name="x", version="1", sha256="2" * 64),
        taken=1.0,
    )
    told = {
        "outcome": Outcome.PASS,
        "cause": "",
        "reason": "x",
        "findings": (),
        "observation": "1" * 64,
        "rules": "f" * 64,
    }
    effect = Effect(action="proceed", because="enforced")
    held = [
        Held("evaluate", "score", Verdict(gate=gate, **told), effect, seen)
        for gate in ("model_signature", "metric_thresholds")
    ]
    refs = {
        stage: Ref(kind=stage, uri="store:x", sha256=digit * 64, size=1, count=1, unit="rows")
        for stage, digit in (("ingest", "1"), ("features", "2"), ("train", "3"))
    }
    return Proof(plan(local), "9" * 64, held=held, available=refs)


def test_figures_and_datasets_are_those_of_the_log(local: UnsafeLocalKeys) -> None:
    found = models.figures(proof(local))
    assert [(each.type, each.value, each.interval) for each in found] == [
        ("precision@10", 0.8, (0.75, pytest.approx(0.85))),
        ("recall@10", 0.4, (0.4, 0.4)),
        ("precision@10 of the comparison random", 0.1, (0.05, pytest.approx(0.15))),
        ("recall@10 of the comparison random", 0.4, (0.4, 0.4)),
    ]
    assert {each.slice for each in found} == {"test: the held-out interactions of 1,000 users"}
    assert models.datasets(proof(local)) == {"ingest": "1" * 64, "features": "2" * 64}


def test_approvers_are_the_policys() -> None:
    told: dict[str, Any] = text(find("local", "policies"))
    shipped: Policy = parsed(told)
    assert models.approvers(shipped) == {}
    assert models.approvers(parsed(told | {"models": {"approvers": {"a" * 64: "Ada"}}})) == {"a" * 64: "Ada"}


def version(number: int) -> Any:
    return SimpleNamespace(name="sample", version=number, release=str(number) * 64)


def standing(approved: int = 0, past: int = 0) -> Any:
    """Of a name whose approved version stands, or stood until it expired."""
    aliases, gone = ({"approved": version(each)} if each else {} for each in (approved, past))
    return SimpleNamespace(aliases=aliases, past=gone)


@pytest.mark.parametrize(
    ("now", "then", "refused"),
    [
        (standing(), 0, ""),
        (standing(approved=1), 1, ""),
        (standing(past=1), 1, ""),
        (standing(approved=4), 0, ""),  # it is approved itself: the same again
        (standing(approved=1), 0, "beside none, and approved is 111111111111"),
        (standing(approved=2), 1, "beside 111111111111, and approved is 222222222222"),
        (standing(past=2), 1, "beside 111111111111, and approved is 222222222222"),
        (standing(), 1, "beside 111111111111, and approved is none"),
    ],
)
def test_only_what_was_evaluated_beside_the_approved_model_is_released(now: Any, then: int, refused: str) -> None:
    facts = {"approved": {"model": str(then) * 64} if then else None}
    if not refused:
        models.beside(now, version(4), facts)
        return
    with pytest.raises(Refused, match=f"sample 4: was evaluated {refused}: evaluate it again"):
        models.beside(now, version(4), facts)


def test_what_has_expired_is_a_measure_and_is_not_served(
    home: Home, made: list[Model], local: UnsafeLocalKeys, trusted: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(home, made[0], local, trusted)
    later = time.time() + 365 * 86_400
    monkeypatch.setattr(chains, "time", SimpleNamespace(time=lambda: later))
    with pytest.raises(Refused, match="expired on"):
        models.verified(home, "sample", 3, trusted)
    kept, found = models.believed(home, "sample", 3, trusted, measure=True)
    assert (kept.files, found.row.expired) == (made[0].files, True)
    told = {"what": "model", "target": found.row.claim.manifest, "name": "sample", "version": 3, "reason": "leaked"}
    chains.revoke(home, local.signer("owner"), trusted, **told)
    with pytest.raises(Refused, match="is revoked"):
        models.believed(home, "sample", 3, trusted, measure=True)
