"""How a bucket and the versions that were read are encrypted: what is a finding, and what is no answer."""

import random
from typing import Any

import pytest
from pydantic import ValidationError

from security.errors import CannotTell
from security.gate import judge, observe
from security.gates.rest import ABSENT, DEFAULT, VOLUMES, DataEncryptionAtRest, Facts, Kind, Limits, Sealed, material
from security.material import Handed, Material
from security.posture import Answer
from security.verdict import Basis, Outcome, Subject

KEY, OTHER = "arn:aws:kms:eu-west-1:123456789012:key/ours", "arn:aws:kms:eu-west-1:123456789012:key/theirs"
SUBJECT = Subject(kind="rows", name="quarantine:raw", sha256="0" * 64)
GATE = DataEncryptionAtRest()
LIMITS: dict[str, Any] = {"keys": [KEY]}
CRYPTED: dict[str, Any] = dict.fromkeys(("quarantine", "staging", "evidence", "store"), "encrypted")


def sealed(algorithm: str = "aws:kms", key: str = KEY) -> dict[str, Any]:
    return {"status": 200, "algorithm": algorithm, "key": key}


def answers(**changed: dict[str, Any]) -> list[Answer]:
    """The default, three objects and the volumes, as they should be but for what is changed; `default` is the bucket's
    own, `volumes` the machine's."""
    good = {name: sealed() for name in ("default", "p/a", "p/b", "p/c")} | {"volumes": dict(CRYPTED)}
    named = {"default": DEFAULT, "volumes": VOLUMES}
    return [(named.get(name, name), answer) for name, answer in (good | changed).items()]


def look(given: list[Answer]) -> Facts:
    return GATE.look(Handed(SUBJECT, iter(given)))


def found(given: list[Answer], **limits: Any) -> list[tuple[str, str]]:
    return [(each.rule, each.place) for each in GATE.judge(look(given), Limits.model_validate(LIMITS | limits))]


def test_good_is_told_in_few_words() -> None:
    facts = look(answers())
    assert facts == Facts(
        default=Sealed(algorithm="aws:kms", key=KEY),
        kinds=(Kind(algorithm="aws:kms", key=KEY, count=3, first="p/a"),),
        volumes=CRYPTED,
    )
    assert found(answers()) == []
    assert GATE.brief(facts) == "3 versions by aws:kms, volumes encrypted"


@pytest.mark.parametrize(
    "default",
    [{"status": 404, "code": ABSENT}, sealed("AES256", ""), sealed(key=""), sealed(key=OTHER), sealed("none", "")],
)
def test_a_default_by_no_expected_key_is_a_finding(default: dict[str, Any]) -> None:
    assert found(answers(default=default)) == [("S3-SSE", "default")]


@pytest.mark.parametrize("one", [sealed("none", ""), sealed("AES256", ""), sealed(key=""), sealed(key=OTHER)])
def test_one_version_by_no_expected_key_is_a_finding(one: dict[str, Any]) -> None:
    assert found(answers(**{"p/b": one})) == [("S3-SSE-OBJ", "p/b")]


def test_versions_that_are_alike_are_one_finding_that_counts_them() -> None:
    facts = look(answers(**{"p/c": sealed("AES256", ""), "p/b": sealed("AES256", "")}))
    (breach,) = GATE.judge(facts, Limits(keys=(KEY,)))
    assert (breach.place, breach.message.partition(";")[0]) == ("p/b", "found 2 versions encrypted by AES256")


def test_a_policy_that_names_no_key_allows_none() -> None:
    assert found(answers(), keys=[]) == [("S3-SSE", "default"), ("S3-SSE-OBJ", "p/a")]


def test_a_key_of_the_stores_own_cannot_be_named() -> None:
    with pytest.raises(ValidationError):
        Limits(keys=("",))


def test_double_encryption_is_allowed_unless_the_policy_says_otherwise() -> None:
    twice = answers(**{"p/a": sealed("aws:kms:dsse")})
    assert found(twice) == []
    assert found(twice, algorithms=["aws:kms"]) == [("S3-SSE-OBJ", "p/a")]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (answers(default={"status": 403, "code": "AccessDenied"}), "default encryption could not be .*AccessDenied"),
        (answers(default={"error": "ReadTimeoutError"}), "could not be asked for: ReadTimeoutError"),
        (answers(**{"p/b": {"status": 403, "code": "403"}}), "p/b could not be asked for: 403"),
        (answers(**{"p/b": {"status": 404, "code": ABSENT}}), "p/b could not be asked for"),
        (answers(**{"p/b": sealed("rot13")}), "words that are not known"),
        (answers(**{"p/b": {"status": 200, "algorithm": "aws:kms"}}), "words that are not known"),
        ([*answers(), ("p/a", sealed())], "p/a was answered twice"),
        (answers()[1:], "the default was not asked for"),
        ([answers()[0], answers()[-1]], "or no object was"),
        (answers()[:-1], "or the volumes were not"),
        ([*answers(), answers()[-1]], "was answered twice"),
        (answers(volumes={}), "not all told of"),
        (answers(volumes=CRYPTED | {"store": "rusty"}), "words that are not known"),
        (answers(volumes=CRYPTED | {"attic": "plain"}), "not all told of"),
        (answers(volumes={"quarantine": "encrypted"}), "not all told of"),
        ([], "the default was not asked for"),
    ],
)
def test_what_is_no_answer_tells_nothing(given: list[Answer], said: str) -> None:
    with pytest.raises(CannotTell, match=said):
        look(given)


def test_what_is_only_declared_needs_a_policy_that_accepts_it() -> None:
    given = answers()
    material = Material(SUBJECT, lambda: given, expected=5, unit="answers", basis=Basis.DECLARED)
    seen = observe(GATE, material, LIMITS, random.Random(1))
    assert judge(GATE, seen, LIMITS).cause == "basis"
    accepts = dict.fromkeys(GATE.rules, Basis.DECLARED)
    passed = judge(GATE, seen, LIMITS, accepts)
    assert passed.outcome is Outcome.PASS
    assert passed.reason == "5/5 answers, 3 versions by aws:kms, volumes encrypted, declared only"
    assert judge(GATE, seen, LIMITS, {"S3-SSE": Basis.DECLARED}).cause == "basis"


def test_a_plain_volume_is_a_finding_only_where_encryption_is_demanded() -> None:
    given = answers(volumes=CRYPTED | {"quarantine": "plain", "store": "plain"})
    assert found(given) == []
    assert "volumes encrypted/plain" in GATE.brief(look(given))
    assert found(given, volume="encrypted") == [("VOL-ENC", "quarantine"), ("VOL-ENC", "store")]
    assert found(answers(), volume="encrypted") == []
    reordered = dict(sorted((CRYPTED | {"quarantine": "plain", "store": "plain"}).items(), reverse=True))
    assert found(answers(volumes=reordered), volume="encrypted") == [("VOL-ENC", "quarantine"), ("VOL-ENC", "store")]


def test_a_volume_that_cannot_be_seen_is_inconclusive_where_encryption_is_demanded() -> None:
    def judged(given: list[Answer], **limits: Any) -> tuple[str, str]:
        material = Material(SUBJECT, lambda: given, expected=len(given), unit="answers")
        told = LIMITS | limits
        made = judge(GATE, observe(GATE, material, told, random.Random(1)), told)
        return made.outcome, made.cause

    dark = answers(volumes=CRYPTED | {"staging": "unknown"})
    assert judged(dark) == ("pass", "")
    assert judged(dark, volume="encrypted") == ("inconclusive", "unreadable")
    assert judged(answers(volumes=CRYPTED | {"staging": "unknown", "store": "plain"}), volume="encrypted")[0] == "fail"
    assert judged(answers(), volume="encrypted") == ("pass", "")


def test_what_is_not_demanded_needs_no_basis_and_is_no_canary() -> None:
    for volume, active in (("any", ["S3-SSE", "S3-SSE-OBJ"]), ("encrypted", list(GATE.rules))):
        assert GATE.active(Limits(keys=(KEY,), volume=volume)) == active
    given = answers()
    material = Material(SUBJECT, lambda: given, expected=5, unit="answers", basis=Basis.DECLARED)
    accepts = {"S3-SSE": Basis.DECLARED, "S3-SSE-OBJ": Basis.DECLARED}
    for volume, cause in (("any", ""), ("encrypted", "basis")):
        limits = LIMITS | {"volume": volume}
        assert judge(GATE, observe(GATE, material, limits, random.Random(1)), limits, accepts).cause == cause


@pytest.mark.parametrize("count", [1, 99, 100, 1000])
@pytest.mark.parametrize("demanded", ["any", "encrypted"])
def test_a_canary_can_be_made_of_any_number_of_versions(count: int, demanded: str) -> None:
    given = [(DEFAULT, sealed()), *((f"p/{number:04d}", sealed()) for number in range(count))]
    limits = LIMITS | {"volume": demanded}
    for seed in range(5):
        opened = material(SUBJECT, given, CRYPTED, count, Basis.OBSERVED)
        found = judge(GATE, observe(GATE, opened, limits, random.Random(seed)), limits)
        assert (found.outcome, found.cause) == (Outcome.PASS, ""), found.reason
    short = material(SUBJECT, given[:-1] if count > 1 else given, CRYPTED, count + (count == 1), Basis.OBSERVED)
    assert judge(GATE, observe(GATE, short, limits), limits).cause == "coverage"
