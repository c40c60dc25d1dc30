"""The statement and the provenance: bound to every byte of the model, to its card, and to each other."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from model_signing import verifying

from security.errors import KeyBroken, LogBroken, Refused
from security.gates.model import contents, sign
from security.keys import UnsafeLocalKeys, seal, unseal
from security.models import complete, manifest, provenance, statement
from security.models.belief import believe, entry
from security.models.chain import Keys
from security.models.proof import judged, proven
from security.models.statement import KIND, Claim, check
from security.proof import Held, Proof
from security.verdict import Effect, Outcome, Ref, Verdict, canonical
from tests.security.models.chains import History, keys
from tests.security.models.making import DATASETS, DAY, NOW, VERDICTS, Model, card, model, plan


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> UnsafeLocalKeys:
    return UnsafeLocalKeys(tmp_path_factory.mktemp("statements") / "keys")


@pytest.fixture(scope="module")
def made(local: UnsafeLocalKeys, tmp_path_factory: pytest.TempPathFactory) -> Model:
    return model(tmp_path_factory.mktemp("model") / "model", local)


def held(made: Model, local: UnsafeLocalKeys) -> Claim:
    return check(made.attached["statement.dsse"], made.files, made.without, local.public("producer"))


def said(made: Model, local: UnsafeLocalKeys) -> dict[str, Any]:
    return dict(unseal(made.attached["statement.dsse"], local.public("producer"))["predicate"])


def test_it_binds_what_it_should(made: Model, local: UnsafeLocalKeys) -> None:
    claim = held(made, local)
    told = json.loads(made.files["model.json"])
    for name in ("name", "version", "run", "data", "code", "lock", "plan", "created", "expires"):
        assert getattr(claim, name) == told[name], name
    assert (claim.datasets, list(claim.verdicts)) == (DATASETS, VERDICTS)
    assert claim.attached.keys() == {"bill.cdx.json", "provenance.dsse"}
    subject = unseal(made.attached["statement.dsse"], local.public("producer"))["subject"]
    assert [each["name"] for each in subject] == sorted(made.files)


def test_no_byte_of_the_model_can_be_changed(made: Model, local: UnsafeLocalKeys) -> None:
    key, envelope = local.public("producer"), made.attached["statement.dsse"]
    for name, data in made.files.items():
        for changed in (data + b"\n", data[:-1] if data else b"x"):
            with pytest.raises((LogBroken, KeyBroken)):
                check(envelope, {**made.files, name: changed}, made.without, key)
        with pytest.raises((LogBroken, KeyBroken)):
            check(envelope, {n: d for n, d in made.files.items() if n != name}, made.without, key)
        with pytest.raises((LogBroken, KeyBroken)):
            check(envelope, {(f"{n}.x" if n == name else n): d for n, d in made.files.items()}, made.without, key)
    for name, data in made.without.items():
        with pytest.raises(LogBroken, match="what is attached"):
            check(envelope, made.files, {**made.without, name: data + b"\n"}, key)
        with pytest.raises(LogBroken, match="what is attached"):
            check(envelope, made.files, {n: d for n, d in made.without.items() if n != name}, key)
    with pytest.raises(LogBroken, match="what is attached"):
        check(envelope, made.files, {**made.without, "more": b""}, key)


HIDDEN = (".git/evil.py", ".github/evil.py", ".gitignore", ".gitattributes", "deep/.git/evil.py")


@pytest.mark.parametrize("name", HIDDEN)
def test_nothing_is_looked_over(made: Model, local: UnsafeLocalKeys, tmp_path: Path, name: str) -> None:
    """What the signing library does not see by default is a file like any other here."""
    folder = tmp_path / "model"
    model(folder, local)
    place = folder / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(b"import os")
    (tmp_path / "key.pub").write_bytes(local.public("producer").pem)
    usual = verifying.Config().use_elliptic_key_verifier(public_key=tmp_path / "key.pub")
    if not name.startswith("deep"):
        usual.verify(folder, folder / "model.sig")  # so much for the library's own answer
    with pytest.raises(KeyBroken, match="hidden"):
        contents(folder)
    with pytest.raises(KeyBroken, match="hidden"):
        sign(folder, local.signer("producer"))
    with pytest.raises(KeyBroken, match="hidden"):
        check(made.attached["statement.dsse"], {**made.files, name: b"x"}, made.without, local.public("producer"))
    with pytest.raises(LogBroken, match="may not have"):
        manifest.made({**made.files, name: b"x"}, made.attached)


def test_another_models_statement_does_not_hold(made: Model, local: UnsafeLocalKeys, tmp_path: Path) -> None:
    other = model(tmp_path / "other", local, version=4)
    with pytest.raises(LogBroken, match="about other files"):
        held(Model(made.files, other.attached), local)
    assert held(other, local).version == 4


def test_another_key_does_not_count(made: Model, local: UnsafeLocalKeys, tmp_path: Path) -> None:
    for role in ("verifier", "owner", "approver"):
        with pytest.raises(LogBroken, match="not signed by the key given"):
            check(made.attached["statement.dsse"], made.files, made.without, local.public(role))  # type: ignore[arg-type]
    other = UnsafeLocalKeys(tmp_path / "keys")
    forged = seal(KIND, statement.shas(made.files), said(made, local), other.signer("producer"))
    with pytest.raises(LogBroken):
        check(forged, made.files, made.without, local.public("producer"))
    with pytest.raises(KeyBroken, match="not signed by the key given"):  # the files' own signature is by the first key
        check(forged, made.files, made.without, other.public("producer"))


Change = Callable[[dict[str, Any]], Any]
CHANGES: dict[str, Change] = {
    **{name: lambda told, name=name: told.update({name: "0" * 64}) for name in ("data", "code", "lock", "plan")},  # type: ignore[misc]
    "name": lambda told: told.update(name="other"),
    "version": lambda told: told.update(version=told["version"] + 1),
    "run": lambda told: told.update(run="other"),
    "created": lambda told: told.update(created=told["created"] + 1),
    "expires": lambda told: told.update(expires=told["expires"] + 1),
    "release": lambda told: told.update(release="0" * 64),
    "no verdicts": lambda told: told.update(verdicts=[]),
    "a verdict twice": lambda told: told["verdicts"].append(told["verdicts"][0]),
    "an outcome that is none": lambda told: told["verdicts"][0].update(outcome="fine"),
    "no datasets": lambda told: told.update(datasets={}),
    "other datasets": lambda told: told.update(datasets={"rows": "e" * 64}),
    "attached": lambda told: told["attached"].update({"bill.cdx.json": "0" * 64}),
    "nothing attached": lambda told: told.update(attached={}),
    "more": lambda told: told.update(more=1),
    "no expiry": lambda told: told.pop("expires"),
    "a version that is text": lambda told: told.update(version="3"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_it_says_must_be_true_of_the_bytes(made: Model, local: UnsafeLocalKeys, change: str) -> None:
    """Also where the producer signed it."""
    told = said(made, local)
    CHANGES[change](told)
    forged = seal(KIND, statement.shas(made.files), told, local.signer("producer"))
    with pytest.raises(LogBroken):
        check(forged, made.files, made.without, local.public("producer"))


def test_another_type_or_subject(made: Model, local: UnsafeLocalKeys) -> None:
    key, signer, told = local.public("producer"), local.signer("producer"), said(made, local)
    assert check(seal(KIND, statement.shas(made.files), told, signer), made.files, made.without, key) == held(
        made, local
    )
    for kind, subject in ((provenance.KIND, statement.shas(made.files)), (KIND, {"model": told["release"]})):
        with pytest.raises(LogBroken):
            check(seal(kind, subject, told, signer), made.files, made.without, key)


def test_what_would_not_hold_is_not_signed(made: Model, local: UnsafeLocalKeys, tmp_path: Path) -> None:
    signer = local.signer("producer")
    with pytest.raises(LogBroken, match="verdicts"):
        statement.sign(made.files, made.without, DATASETS, [], signer)
    with pytest.raises(LogBroken, match="not among the datasets"):
        statement.sign(made.files, made.without, {"rows": "e" * 64}, VERDICTS, signer)
    with pytest.raises(LogBroken, match="datasets"):
        statement.sign(made.files, made.without, {"rows": "no digest"}, VERDICTS, signer)
    with pytest.raises(LogBroken, match="what is attached"):
        statement.sign(made.files, {}, DATASETS, VERDICTS, signer)
    with pytest.raises(LogBroken, match="expires before it was made"):
        model(tmp_path / "old", local, expires=NOW - 120)
    with pytest.raises(LogBroken, match="found no card"):
        statement.sign({**made.files, "model.json": b"{}"}, made.without, DATASETS, VERDICTS, signer)


def test_verdicts_come_from_a_log(local: UnsafeLocalKeys) -> None:
    verdict = Verdict(
        gate="data_contract",
        outcome=Outcome.PASS,
        cause="",
        reason="x",
        findings=(),
        observation="1" * 64,
        rules="f" * 64,
    )
    effect = Effect(action="proceed", because="enforced")
    seen: Any = None
    assert judged([Held("train", "fit", verdict, effect, seen)]) == (VERDICTS[0],)


def test_the_provenance_is_slsas(made: Model, local: UnsafeLocalKeys) -> None:
    found = unseal(made.attached["provenance.dsse"], local.public("producer"))
    assert found["predicateType"] == "https://slsa.dev/provenance/v1"
    build, details = found["predicate"]["buildDefinition"], found["predicate"]["runDetails"]
    assert build.keys() == {"buildType", "externalParameters", "internalParameters", "resolvedDependencies"}
    assert build["externalParameters"]["document"]["name"] == "sample"
    went = {each["name"]: each["digest"]["sha256"] for each in build["resolvedDependencies"]}
    assert went == {"data:features": "a" * 64, "data:rows": "e" * 64, "code": "b" * 64, "lock": "c" * 64}
    assert details["builder"]["id"] == "urn:sluice:pipeline"
    assert details["metadata"].keys() == {"invocationId", "startedOn", "finishedOn"}
    assert details["metadata"]["invocationId"] == "run-3"
    assert provenance.moment(0) == "1970-01-01T00:00:00Z"


ALTERED: dict[str, Change] = {
    "run": lambda told: told["runDetails"]["metadata"].update(invocationId="other"),
    "plan": lambda told: told["buildDefinition"]["internalParameters"].update(plan="0" * 64),
    "builder": lambda told: told["runDetails"]["builder"].update(id="urn:other"),
    "build type": lambda told: told["buildDefinition"].update(buildType="urn:other"),
    "other data": lambda told: told["buildDefinition"]["resolvedDependencies"][0]["digest"].update(sha256="0" * 64),
    "no lock": lambda told: told["buildDefinition"]["resolvedDependencies"].pop(),
    "more went in": lambda told: told["buildDefinition"]["resolvedDependencies"].append({"name": "x"}),
    "ends before it begins": lambda told: told["runDetails"]["metadata"].update(finishedOn="1970-01-01T00:00:00Z"),
    "no time": lambda told: told["runDetails"]["metadata"].update(startedOn="soon"),
    "no metadata": lambda told: told["runDetails"].pop("metadata"),
    "more": lambda told: told.update(more=1),
    "no definition": lambda told: told.pop("buildDefinition"),
}


@pytest.mark.parametrize("change", ALTERED)
def test_the_provenance_must_agree(made: Model, local: UnsafeLocalKeys, change: str) -> None:
    key, signer = local.public("producer"), local.signer("producer")
    told = unseal(made.attached["provenance.dsse"], key)["predicate"]
    subject = statement.shas(made.files)
    claim = held(made, local)
    assert provenance.check(seal(provenance.KIND, subject, told, signer), made.files, claim, key) == told
    for odd in (seal(KIND, subject, told, signer), seal(provenance.KIND, {"x": "0" * 64}, told, signer)):
        with pytest.raises(LogBroken):
            provenance.check(odd, made.files, claim, key)
    ALTERED[change](told)
    with pytest.raises(LogBroken):
        provenance.check(seal(provenance.KIND, subject, told, signer), made.files, claim, key)


def entered(made: Model, local: UnsafeLocalKeys, **changes: Any) -> tuple[str, History]:
    sha = hashlib.sha256(manifest.made(made.files, made.attached)).hexdigest()
    return sha, History(local).version(**entry(sha, held(made, local)) | changes)


def test_a_model_is_believed_where_all_of_it_agrees(made: Model, local: UnsafeLocalKeys) -> None:
    sha, history = entered(made, local)
    trusted = keys(local)
    found = believe(sha, made.files, made.attached, trusted, history.standing(trusted))
    assert (found.claim.version, complete.missing(canonical(found.bill))) == (3, [])
    with pytest.raises(LogBroken, match="not those of the manifest"):
        believe("0" * 64, made.files, made.attached, trusted, history.standing(trusted))
    with pytest.raises(LogBroken, match="not those of the manifest"):
        believe(sha, {**made.files, "more": b""}, made.attached, trusted, history.standing(trusted))
    with pytest.raises(Refused, match="expired on"):
        believe(sha, made.files, made.attached, trusted, history.standing(trusted, NOW + 30 * DAY))
    history.revoke("model", sha, name="sample", version=3)
    with pytest.raises(Refused, match="is revoked: it leaked"):
        believe(sha, made.files, made.attached, trusted, history.standing(trusted))


def log(claim: Claim, local: UnsafeLocalKeys, **changes: Any) -> Proof:
    """What a log proves that bears the statement out, but for what is changed."""
    seen: Any = None
    held = [
        Held(
            each.stage,
            each.task,
            Verdict(gate=each.gate, outcome=each.outcome, cause="", reason="x", findings=(), **shas),
            Effect(action="proceed", because="enforced"),
            seen,
        )
        for each in claim.verdicts
        for shas in [{"observation": each.observation, "rules": each.rules}]
    ]
    refs = {
        name: Ref(kind=name, uri="store:x", sha256=sha, size=1, count=1, unit="files")
        for name, sha in {**claim.datasets, "train": claim.release}.items()
    }
    told: dict[str, Any] = {"plan": plan(local), "head": "9" * 64, "held": held, "available": refs}
    return Proof(**told | {"published": {"train": [refs["train"]]}} | changes)


def test_the_log_of_its_run_bears_it_out(made: Model, local: UnsafeLocalKeys) -> None:
    claim = held(made, local)
    good = log(claim, local)
    proven(claim, good)
    more = [*good.held, good.held[0]]
    proven(claim, log(claim, local, held=more))  # what came after the statement was made
    for changes, said in (
        ({"held": good.held[1:]}, "the verdicts are not those of the log"),
        ({"held": good.held[:1]}, "the verdicts are not those of the log"),
        ({"held": good.held[::-1]}, "the verdicts are not those of the log"),
        ({"held": [good.held[0], *good.held]}, "the verdicts are not those of the log"),
        ({"published": {}}, "does not publish this release"),
        ({"published": {"train": [good.available["rows"]]}}, "does not publish this release"),
        ({"available": {"features": good.available["features"]}}, "comes from a dataset"),
        ({"plan": plan(local, run="other")}, "names another run"),
        ({"plan": plan(local, lock="0" * 64)}, "names another run"),
    ):
        with pytest.raises(LogBroken, match=said):
            proven(claim, log(claim, local, **changes))
    for name in ("code", "lock", "plan", "run"):
        with pytest.raises(LogBroken, match="names another run"):
            proven(claim.model_copy(update={name: "0" * 64}), good)


@pytest.mark.parametrize(
    "changes",
    [
        {"release": "0" * 64},
        {"run": "other"},
        {"data": ("a" * 64,)},
        {"expires": NOW + 31 * DAY},
        {"manifest": "0" * 64},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_it_must_have_been_entered_so(made: Model, local: UnsafeLocalKeys, changes: dict[str, Any]) -> None:
    sha, history = entered(made, local, **changes)
    with pytest.raises(LogBroken, match="was entered otherwise"):
        believe(sha, made.files, made.attached, keys(local), history.standing(keys(local)))


def test_who_believes_a_model_carries_no_configuration() -> None:
    code = "import sys, security.models.belief; print({name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "'security'" in done.stdout
    assert not any(f"'{name}'" in done.stdout for name in ("configs", "tasks", "flows", "prefect", "cyclonedx"))


ROOT = Path(__file__).parents[3]


def test_one_producer_does_not_enter_what_another_signed(made: Model, local: UnsafeLocalKeys, tmp_path: Path) -> None:
    """So that what falls with a key falls whole."""
    other = UnsafeLocalKeys(tmp_path / "other")
    both = Keys((*keys(local).producer, other.public("producer")))
    sha, history = entered(made, local)
    believe(sha, made.files, made.attached, both, history.standing(both))
    history.lines.clear()
    history.local = other
    history.version(**entry(sha, held(made, local)))
    with pytest.raises(LogBroken, match="or by another key"):
        believe(sha, made.files, made.attached, both, history.standing(both))


def test_a_version_that_was_never_entered(made: Model, local: UnsafeLocalKeys) -> None:
    sha, _ = entered(made, local)
    with pytest.raises(Refused, match="no version 3 was entered"):
        believe(sha, made.files, made.attached, keys(local), History(local).version(2).standing(keys(local)))
    assert card()["version"] == 3
