"""How a bucket and the versions that were read are encrypted: what is a finding, and what is no answer."""

import random
from typing import Any

import pytest
from pydantic import ValidationError

from security.errors import CannotTell
from security.gate import judge, observe
from security.gates.rest import (
    ABSENT,
    DEFAULT,
    VOLUMES,
    DataEncryptionAtRest,
    Facts,
    Held,
    Kept,
    Kind,
    Limits,
    Sealed,
    Sum,
    material,
)
from security.material import Handed, Material
from security.posture import Answer
from security.verdict import Basis, Outcome, Subject

KEY, OTHER = "arn:aws:kms:eu-west-1:123456789012:key/ours", "arn:aws:kms:eu-west-1:123456789012:key/theirs"
SUBJECT = Subject(kind="rows", name="quarantine:raw", sha256="0" * 64)
GATE = DataEncryptionAtRest()
LIMITS: dict[str, Any] = {"keys": [KEY]}
HERE, THERE = "a1" * 32, "b2" * 32
BYTES = {"sha256": HERE, "size": 7}
HELD = {"manifest": BYTES, "quarantine": BYTES}
CRYPTED: dict[str, Any] = dict.fromkeys(("quarantine", "staging", "evidence", "store"), "encrypted")


def sealed(algorithm: str = "aws:kms", key: str = KEY) -> dict[str, Any]:
    return {"status": 200, "algorithm": algorithm, "key": key}


def kept(**changed: Any) -> dict[str, Any]:
    """A version as it should be, but for what is changed of its bytes."""
    return sealed() | BYTES | HELD | changed


def answers(**changed: dict[str, Any]) -> list[Answer]:
    """The default, three objects and the volumes, as they should be but for what is changed; `default` is the bucket's
    own, `volumes` the machine's. Of an object that is changed the bytes are as they should be, unless told."""
    good = {name: sealed() for name in ("default", "p/a", "p/b", "p/c")} | {"volumes": dict(CRYPTED)}
    named = {"default": DEFAULT, "volumes": VOLUMES}
    told = {name: answer if name in named else BYTES | HELD | answer for name, answer in (good | changed).items()}
    return [(named.get(name, name), answer) for name, answer in told.items()]


def look(given: list[Answer]) -> Facts:
    return GATE.look(Handed(SUBJECT, iter(given)))


def summed(count: int, first: str, **changed: Any) -> Sum:
    """What is told of versions whose bytes agree alike."""
    told = {"manifest": Held(**BYTES), "quarantine": Held(**BYTES), "store": Kept(**BYTES)} | changed
    return Sum(count=count, first=first, **told)


def found(given: list[Answer], **limits: Any) -> list[tuple[str, str]]:
    return [(each.rule, each.place) for each in GATE.judge(look(given), Limits.model_validate(LIMITS | limits))]


def test_good_is_told_in_few_words() -> None:
    facts = look(answers())
    assert facts == Facts(
        default=Sealed(algorithm="aws:kms", key=KEY),
        kinds=(Kind(algorithm="aws:kms", key=KEY, count=3, first="p/a"),),
        sums=(summed(3, "p/a"),),
        volumes=CRYPTED,
    )
    assert found(answers()) == []
    said = "3 versions by aws:kms, volumes encrypted, 3 of 3 checked against the store's own checksum"
    assert GATE.brief(facts) == said


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


ANOTHER, LONGER = {"sha256": THERE, "size": 7}, {"sha256": HERE, "size": 8}
UNKEPT = {"sha256": ""}
ALLOWED = "; allowed: SHA-256 a1a1a1a1a1a1, 7 bytes, as the manifest says"


@pytest.mark.parametrize(
    ("one", "said"),
    [
        ({"quarantine": ANOTHER}, "SHA-256 b2b2b2b2b2b2, 7 bytes in quarantine"),
        ({"quarantine": LONGER}, "SHA-256 a1a1a1a1a1a1, 8 bytes in quarantine"),
        ({"quarantine": ANOTHER} | UNKEPT, "SHA-256 b2b2b2b2b2b2, 7 bytes in quarantine"),
        (ANOTHER, "SHA-256 b2b2b2b2b2b2, 7 bytes in the store"),
        (LONGER, "SHA-256 a1a1a1a1a1a1, 8 bytes in the store"),
        ({"size": 0} | UNKEPT, "SHA-256 not kept, 0 bytes in the store"),
        (
            {"quarantine": ANOTHER} | ANOTHER,
            "SHA-256 b2b2b2b2b2b2, 7 bytes in quarantine and SHA-256 b2b2b2b2b2b2, 7 bytes in the store",
        ),
    ],
)
def test_bytes_that_are_not_the_manifests_are_a_finding(one: dict[str, Any], said: str) -> None:
    given = answers(**{"p/b": kept(**one)})
    (breach,) = GATE.judge(look(given), Limits(keys=(KEY,)))
    assert (breach.rule, breach.place) == ("S3-SHA", "p/b")
    assert breach.message == f"found 1 versions with other bytes, the first {said}{ALLOWED}"


def test_a_manifest_that_lies_is_found_by_both_that_it_lies_about() -> None:
    (breach,) = GATE.judge(look(answers(**{"p/b": kept(manifest=ANOTHER)})), Limits(keys=(KEY,)))
    assert (breach.rule, breach.place) == ("S3-SHA", "p/b")
    assert breach.message == (
        "found 1 versions with other bytes, the first SHA-256 a1a1a1a1a1a1, 7 bytes in quarantine and "
        "SHA-256 a1a1a1a1a1a1, 7 bytes in the store; allowed: SHA-256 b2b2b2b2b2b2, 7 bytes, as the manifest says"
    )


def test_a_store_that_keeps_no_checksum_is_told_of_and_no_finding() -> None:
    given = answers(**{"p/a": kept(**UNKEPT), "p/c": kept(**UNKEPT)})
    facts = look(given)
    assert facts.sums == (summed(2, "p/a", store=Kept(sha256="", size=7)), summed(1, "p/b"))
    assert found(given) == []
    said = "3 versions by aws:kms, volumes encrypted, 1 of 3 checked against the store's own checksum"
    assert GATE.brief(facts) == said


def test_versions_whose_bytes_agree_alike_are_told_as_one_in_any_order() -> None:
    wrong = {"p/b": kept(quarantine=ANOTHER), "p/c": kept(**LONGER), "p/d": kept(**LONGER), "p/e": kept(**UNKEPT)}
    for given in (answers(**wrong), answers(**wrong)[::-1]):
        facts = look(given)
        assert [(each.first, each.count) for each in facts.sums] == [("p/a", 1), ("p/b", 1), ("p/c", 2), ("p/e", 1)]
        assert [(each.rule, each.place) for each in GATE.judge(facts, Limits(keys=(KEY,)))] == [
            ("S3-SHA", "p/b"),
            ("S3-SHA", "p/c"),
        ]


def test_however_many_versions_there_are_what_is_told_does_not_grow() -> None:
    """Five things agree or do not, and no two of the ways are told apart by more than these."""
    ways = [
        kept(quarantine={"sha256": sha, "size": size}, sha256=own, size=length)
        for sha in (HERE, THERE)
        for size in (7, 8)
        for own in (HERE, THERE, "")
        for length in (7, 8)
    ]
    few, many = (look(answers(**{f"q/{n:04d}": each for n, each in enumerate(ways * some)})) for some in (1, 20))
    assert len(few.sums) == len(many.sums) == len(ways) == 24
    assert sum(each.count for each in many.sums) == many.versions == 3 + 20 * 24


@pytest.mark.parametrize(
    ("one", "place"),
    [
        ({"manifest": None}, "manifest"),
        ({"manifest": {"sha256": HERE}}, "manifest.size"),
        ({"manifest": BYTES | {"sha256": ""}}, "manifest.sha256"),
        ({"manifest": BYTES | {"sha256": HERE.upper()}}, "manifest.sha256"),
        ({"manifest": BYTES | {"sha256": HERE + "\n"}}, "manifest.sha256"),
        ({"manifest": BYTES | {"size": 7.0}}, "manifest.size"),
        ({"manifest": BYTES | {"size": True}}, "manifest.size"),
        ({"manifest": BYTES | {"size": "7"}}, "manifest.size"),
        ({"manifest": BYTES | {"more": 1}}, "manifest.more"),
        ({"quarantine": {}}, "quarantine.sha256"),
        ({"quarantine": BYTES | {"sha256": None}}, "quarantine.sha256"),
        ({"quarantine": BYTES | {"size": -1}}, "quarantine.size"),
        ({"sha256": None}, "store.sha256"),
        ({"sha256": HERE[:-1]}, "store.sha256"),
        ({"sha256": "oaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaGhoaE="}, "store.sha256"),
        ({"size": None}, "store.size"),
        ({"size": 1 << 53}, "store.size"),
    ],
)
def test_bytes_that_are_told_in_another_form_tell_nothing(one: dict[str, Any], place: str) -> None:
    given = answers(**{"p/b": kept(**one)})
    with pytest.raises(CannotTell, match=f"^p/b: {place} was told in words that are not known$"):
        look(given)
    material = Material(SUBJECT, lambda: given, expected=5, unit="answers")
    verdict = judge(GATE, observe(GATE, material, LIMITS, random.Random(1)), LIMITS)
    assert (verdict.outcome, verdict.findings) == (Outcome.INCONCLUSIVE, ())


def test_facts_in_which_versions_have_no_bytes_are_none() -> None:
    facts = look(answers())
    for sums in ([], [summed(2, "p/a")], [summed(3, "p/a"), summed(1, "p/b")]):
        with pytest.raises(ValidationError, match="once by its encryption and once by its bytes"):
            Facts.model_validate(facts.model_dump() | {"sums": [each.model_dump() for each in sums]})


def test_every_way_in_which_bytes_may_differ_is_sent_as_a_canary() -> None:
    """Whether or not the store keeps a checksum: in quarantine, or in the store, the SHA-256 or the size."""
    for store in ({}, UNKEPT):
        sample = [(DEFAULT, sealed()), (VOLUMES, CRYPTED), ("p/a", kept(**store))]
        told = {GATE.look(Handed(SUBJECT, iter(made))).sums[0].form for made in canaries(sample)}
        unkept = bool(store)
        assert told == {
            (False, True, not unkept, True, unkept),
            (True, False, not unkept, True, unkept),
            (True, True, False, True, False),
            (True, True, not unkept, False, unkept),
        }


def canaries(sample: list[Answer]) -> list[list[Answer]]:
    return [list(GATE.violations["S3-SHA"](sample, random.Random(seed))) for seed in range(40)]


def test_what_is_only_declared_needs_a_policy_that_accepts_it() -> None:
    given = answers()
    material = Material(SUBJECT, lambda: given, expected=5, unit="answers", basis=Basis.DECLARED)
    seen = observe(GATE, material, LIMITS, random.Random(1))
    assert judge(GATE, seen, LIMITS).cause == "basis"
    accepts = dict.fromkeys(GATE.rules, Basis.DECLARED)
    passed = judge(GATE, seen, LIMITS, accepts)
    assert passed.outcome is Outcome.PASS
    assert passed.reason == (
        "5/5 answers, 3 versions by aws:kms, volumes encrypted, 3 of 3 checked against the store's own checksum, "
        "declared only"
    )
    for left in GATE.rules:
        some = {rule: basis for rule, basis in accepts.items() if rule != left}
        assert (judge(GATE, seen, LIMITS, some).cause == "basis") == (left != "VOL-ENC"), left


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
    for volume, active in (("any", ["S3-SSE", "S3-SSE-OBJ", "S3-SHA"]), ("encrypted", list(GATE.rules))):
        assert GATE.active(Limits(keys=(KEY,), volume=volume)) == active
    given = answers()
    material = Material(SUBJECT, lambda: given, expected=5, unit="answers", basis=Basis.DECLARED)
    accepts = dict.fromkeys(("S3-SSE", "S3-SSE-OBJ", "S3-SHA"), Basis.DECLARED)
    for volume, cause in (("any", ""), ("encrypted", "basis")):
        limits = LIMITS | {"volume": volume}
        assert judge(GATE, observe(GATE, material, limits, random.Random(1)), limits, accepts).cause == cause


@pytest.mark.parametrize("count", [1, 99, 100, 1000])
@pytest.mark.parametrize("demanded", ["any", "encrypted"])
def test_a_canary_can_be_made_of_any_number_of_versions(count: int, demanded: str) -> None:
    given = [(DEFAULT, sealed()), *((f"p/{number:04d}", sealed() | BYTES) for number in range(count))]
    held = {key: HELD for key, _ in given[1:]}
    limits = LIMITS | {"volume": demanded}
    for seed in range(5):
        opened = material(SUBJECT, given, held, CRYPTED, Basis.OBSERVED)
        found = judge(GATE, observe(GATE, opened, limits, random.Random(seed)), limits)
        assert (found.outcome, found.cause) == (Outcome.PASS, ""), found.reason
    short = material(SUBJECT, given, held | {"p/more": HELD}, CRYPTED, Basis.OBSERVED)
    assert judge(GATE, observe(GATE, short, limits), limits).cause == "coverage"
    unheld = judge(GATE, observe(GATE, material(SUBJECT, given, {}, CRYPTED, Basis.OBSERVED), limits), limits)
    assert (unheld.outcome, unheld.cause) == (Outcome.INCONCLUSIVE, "unreadable")
