"""What follows from a look: the order in which it is concluded, and the one spelling that digests are made of."""

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from security.conclude import conclude, finding
from security.verdict import (
    Basis,
    Breach,
    Canary,
    Coverage,
    Engine,
    Finding,
    Observation,
    Outcome,
    Ref,
    Rule,
    Snapshot,
    Subject,
    Trouble,
    Verdict,
    canonical,
    digest,
)

RULES = {rule: Rule(id=rule, title="t", severity="high", remedy="r", controls=("c",)) for rule in ("A-1", "A-2", "A-3")}
CANARY = Canary(rule="A-1", facts={})


def seen(coverage: Coverage | None = None, canaries: tuple[Canary, ...] = (CANARY, CANARY)) -> Observation:
    """An observation that nothing speaks against."""
    return Observation(
        gate="g",
        subject=Subject(kind="rows", name="n", sha256="0" * 64),
        coverage=coverage or Coverage(unit="rows", expected=3, inspected=3),
        facts={"rows": 3},
        canaries=canaries,
        basis=Basis.OBSERVED,
        engine=Engine(name="e", version="1", sha256="1" * 64),
        taken=1.5,
    )


def found(count: int) -> tuple[Finding, ...]:
    return tuple(
        finding("g", Breach(rule="A-1", place=f"p{n}", message=f"found {n}; allowed: 0"), RULES) for n in range(count)
    )


def concluded(given_: Observation | None = None, **said: Any) -> Verdict:
    nothing: dict[str, Any] = {"findings": (), "trouble": None, "missed": "", "weak": ""}
    return conclude(given_ or seen(), {"most": 1}, **{**nothing, **said})


def test_pass_is_what_is_left() -> None:
    verdict = concluded(brief="two words")
    assert (verdict.outcome, verdict.cause, verdict.findings) == (Outcome.PASS, "", ())
    assert verdict.reason == "3/3 rows, two words"
    assert concluded().reason == "3/3 rows"


COUNT = st.integers(0, 4)
COVERAGE = st.builds(
    Coverage, unit=st.just("rows"), expected=COUNT, inspected=COUNT, skipped=COUNT, unsupported=COUNT, errors=COUNT
)
TROUBLE = st.none() | st.builds(
    Trouble, cause=st.sampled_from(["unreadable", "crash", "own"]), message=st.text(max_size=5)
)


@settings(deadline=None)
@given(
    coverage=COVERAGE,
    findings=st.integers(0, 5),
    advice=st.integers(0, 2),
    trouble=TROUBLE,
    canaries=st.integers(0, 2),
    missed=st.sampled_from(["", "A-2"]),
    weak=st.sampled_from(["", "A-3 accept nothing lower than observed"]),
    brief=st.text(max_size=5),
)
def test_the_order_in_which_it_is_concluded(
    coverage: Coverage,
    findings: int,
    advice: int,
    trouble: Trouble | None,
    canaries: int,
    missed: str,
    weak: str,
    brief: str,
) -> None:
    look = seen(coverage, (CANARY,) * canaries)
    said: dict[str, Any] = {"trouble": trouble, "missed": missed, "weak": weak, "brief": brief}
    verdict = conclude(look, {}, findings=found(findings), advice=found(advice), **said)
    against = [
        (bool(findings), Outcome.FAIL, "finding"),
        (trouble is not None, Outcome.INCONCLUSIVE, trouble.cause if trouble else ""),
        (canaries == 0 or bool(missed), Outcome.INCONCLUSIVE, "canary"),
        (bool(weak), Outcome.INCONCLUSIVE, "basis"),
        (not coverage.whole, Outcome.INCONCLUSIVE, "coverage"),
        (True, Outcome.PASS, ""),
    ]
    assert (verdict.outcome, verdict.cause) == next((outcome, cause) for holds, outcome, cause in against if holds)
    assert (len(verdict.findings), len(verdict.advice)) == (findings, advice)
    assert verdict.gate == look.gate
    assert verdict.observation == digest(look.model_dump(mode="json"))


@settings(deadline=None)
@given(COVERAGE)
def test_coverage_is_whole_when_all_that_there_is_was_looked_at(coverage: Coverage) -> None:
    left_out = coverage.skipped + coverage.unsupported + coverage.errors
    assert coverage.whole == (coverage.expected > 0 and coverage.inspected == coverage.expected and left_out == 0)


def test_the_reason_names_three_findings_and_counts_the_rest() -> None:
    assert concluded(findings=found(2)).reason == "A-1 p0: found 0; allowed: 0; A-1 p1: found 1; allowed: 0"
    assert concluded(findings=found(5)).reason.endswith("A-1 p2: found 2; allowed: 0; and 2 more")


def test_a_pass_names_the_rules_of_its_advice_once() -> None:
    assert concluded(advice=found(2)).reason == "3/3 rows, advice: A-1"
    assert concluded(advice=found(1), findings=found(1)).reason == "A-1 p0: found 0; allowed: 0"


def test_reasons_say_what_kept_it_from_telling() -> None:
    assert concluded(missed="A-2").reason == "the known-bad canary was not caught (A-2)"
    assert concluded(seen(canaries=())).reason == "the known-bad canary was not caught (none was sent)"
    assert concluded(weak="A-1 accept nothing lower than observed").reason.startswith("known as observed; A-1")
    short = Coverage(unit="rows", expected=12_345, inspected=1_234)
    assert concluded(seen(short)).reason == "looked at 1,234 of 12,345 rows"


def test_a_finding_says_what_its_rule_says_and_is_known_again() -> None:
    breach = Breach(rule="A-2", place="row 5", message="found 1; allowed: 0")
    made = finding("g", breach, RULES)
    assert (made.severity, made.remedy, made.controls) == ("high", "r", ("c",))
    assert made.fingerprint == digest(["g", "A-2", "row 5"])
    again = finding("g", breach.model_copy(update={"message": "found 2; allowed: 0"}), RULES)
    assert again.fingerprint == made.fingerprint
    others = [
        finding("h", breach, RULES),
        finding("g", breach.model_copy(update={"place": "row 6"}), RULES),
        finding("g", breach.model_copy(update={"rule": "A-3"}), RULES),
    ]
    assert len({made.fingerprint, *(each.fingerprint for each in others)}) == 4


def test_a_rule_that_the_gate_does_not_have_is_an_error() -> None:
    with pytest.raises(KeyError, match="A-9"):
        finding("g", Breach(rule="A-9", place="p", message="m"), RULES)


# A whole number beyond 2 ** 53 is written without a point, and is then no number that can be read again.
REAL = st.floats(-(2.0**52), 2.0**52) | st.floats(-1.0, 1.0)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1)
    | REAL | st.text(st.characters(codec="utf-8"), max_size=6),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=4), inner, max_size=3),
    max_leaves=10,
)  # fmt: skip


@settings(deadline=None)
@given(JSON)
def test_a_value_has_one_spelling_and_its_digest_is_of_that(value: Any) -> None:
    spelled = canonical(value)
    assert canonical(json.loads(spelled)) == spelled
    assert canonical(json.loads(json.dumps(value, indent=2))) == spelled
    assert digest(value) == hashlib.sha256(spelled).hexdigest()


def test_the_spelling_is_that_of_rfc_8785() -> None:
    """The example of RFC 8785, section 3.2.2 and 3.2.3."""
    given_ = (
        r'{"numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],'
        r'"string": "\u20ac$\u000F\u000aA' + r"'" + r'\u0042\u0022\u005c\\\"\/", "literals": [null, true, false]}'
    )
    spelled = (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )
    assert canonical(json.loads(given_)) == spelled.encode()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**53, {1: 2}, {"a": object()}, "\ud800"])
def test_what_json_cannot_say_has_no_digest(value: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whichever of its kinds
        digest(value)


@settings(deadline=None)
@given(st.integers(-(2**40), 2**40), REAL, st.text(max_size=5))
def test_an_observation_is_stored_and_read_again_as_it_was(number: int, real: float, text: str) -> None:
    facts = {"n": number, "x": real, "t": text.encode("utf-8", "replace").decode()}
    look = seen().model_copy(update={"facts": facts})
    stored = canonical(look.model_dump(mode="json"))
    again = Observation.model_validate_json(stored)
    assert digest(again.model_dump(mode="json")) == digest(look.model_dump(mode="json"))
    assert concluded(again) == concluded(look)


def test_a_verdict_names_the_limits_that_it_was_made_under() -> None:
    said: dict[str, Any] = {"findings": (), "trouble": None, "missed": "", "weak": ""}
    one, two = (conclude(seen(), limits, **said) for limits in ({"a": 1, "b": 2}, {"b": 2, "a": 1}))
    assert one == two
    assert one.rules == digest({"a": 1, "b": 2})
    assert conclude(seen(), {"a": 1}, **said).rules != one.rules


RECORDS: list[tuple[type[Any], dict[str, Any]]] = [
    (Ref, {"kind": "rows", "uri": "store:x", "sha256": "0" * 64, "size": 1, "count": 1, "unit": "rows"}),
    (Coverage, {"unit": "rows", "expected": 1, "inspected": 1}),
    (Subject, {"kind": "rows", "name": "n", "sha256": "0" * 64}),
    (Breach, {"rule": "A-1", "place": "p", "message": "m"}),
    (Trouble, {"cause": "c", "message": "m"}),
    (Snapshot, {"kind": "bucket", "uri": "s3://x/", "taken": 1.0, "answers": {}}),
]


@pytest.mark.parametrize(("kind", "members"), RECORDS, ids=lambda each: getattr(each, "__name__", ""))
def test_records_know_their_keys_and_cannot_be_changed(kind: Any, members: dict[str, Any]) -> None:
    made = kind(**members)
    for name in members:
        with pytest.raises(ValidationError):
            setattr(made, name, members[name])
        with pytest.raises(ValidationError):
            kind(**{key: value for key, value in members.items() if key != name})
    with pytest.raises(ValidationError):
        kind(**members, more=1)


def test_times_are_numbers() -> None:
    for time in (float("nan"), float("inf")):
        with pytest.raises(ValidationError):
            Snapshot(kind="bucket", uri="s3://x/", taken=time, answers={})


def test_a_snapshot_is_known_by_its_answers_and_their_time() -> None:
    first = Snapshot(kind="bucket", uri="s3://x/", taken=1.0, answers={"a": {"status": 200}, "b": {"status": 403}})
    turned = Snapshot(kind="bucket", uri="s3://x/", taken=1.0, answers={"b": {"status": 403}, "a": {"status": 200}})
    assert first.sha256 == turned.sha256
    later = first.model_copy(update={"taken": 2.0})
    other = first.model_copy(update={"answers": {"a": {"status": 200}}})
    assert len({first.sha256, later.sha256, other.sha256}) == 3
