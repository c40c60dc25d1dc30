"""Dependencies against a live service: as against the mirror, with every page, and never clean on half an answer."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from security.advisories import live
from security.advisories.mirror import stamp
from security.engines import audit
from security.gate import judge, observe
from security.gates.dependencies import match
from security.gates.dependencies.decoys import VIOLATIONS
from security.gates.dependencies.facts import Facts, Limits
from security.material import Material
from security.verdict import Outcome, Verdict
from tests.security.advisories.exports import against, told
from tests.security.advisories.service import OLD, living
from tests.security.advisories.test_live import EVERYBODY, assert_matches
from tests.security.gates.test_dependencies import (
    GATE,
    LIMITS,
    LOCK,
    NOW,
    _said,
    found,
    look_at,
    mirror,
    opened,
)

LIVE = LIMITS | {"service": "live"}
HERE = [("alpha", "1.0"), ("beta", "2.0"), ("gamma", "3.0")]
BAD = told("PYSEC-1", NOW, name="alpha", aliases=["CVE-1"])
SEEDS = range(3)


@contextmanager
def material(*every: dict[str, Any], packages: Any = HERE, **more: Any) -> Iterator[Material[Any]]:
    """A lock, and what a live service answers about it."""
    with living(*EVERYBODY, *every, **more) as url:
        known, lacking = live.ask(url, packages, match.FORGET_ME_NOT)
    given = {"advisories": known, "service": lacking, "now": stamp(datetime.now(UTC))}
    made = opened()
    items = [item._replace(value=given.get(item.kind, item.value)) for item in made.source()]
    yield Material(made.subject, lambda: items, expected=made.expected, unit=made.unit, weigh=made.weigh)


def verdict(*every: dict[str, Any], limits: dict[str, Any] = LIVE, seed: int = 1, **more: Any) -> Verdict:
    with material(*every, **more) as made:
        return judge(GATE, observe(GATE, made, limits, random.Random(seed)), limits)


def facts(*every: dict[str, Any], **more: Any) -> Facts:
    with material(*every, **more) as made:
        return GATE.look(made.handed()[0])


@pytest.mark.parametrize("seed", SEEDS)
def test_a_good_lock_passes_and_says_as_of_when_and_by_whose_word(seed: int) -> None:
    got = verdict(seed=seed)
    assert got.outcome is Outcome.PASS, got.reason
    assert_matches(
        got.reason,
        r"^5/5 packages, none known to be vulnerable by 4 advisories that a live service has as of "
        r"20\d\d-\d\d-\d\d by its own date, the newest of 2026-01-01$",
    )


def test_a_vulnerability_on_the_last_page_fails_as_with_the_mirror() -> None:
    others = [against("alpha", "0.1", f"A-{number}", NOW) for number in range(7)]
    severe = BAD | {"severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}]}
    got = verdict(*others, severe)
    assert [(each.rule, each.place) for each in got.findings] == [("DEP-04", "alpha 1.0: CVE-1")]
    assert got.findings[0].message.startswith("critical (CVE-1, PYSEC-1), fixed in 2.0")
    assert got.outcome is Outcome.FAIL


def test_what_it_says_of_a_version_and_what_its_records_say_must_agree() -> None:
    got = verdict(BAD, ill="blind", sick="alpha")
    assert [(each.rule, each.place) for each in got.findings] == [("DEP-09", "alpha 1.0: CVE-1")]
    assert got.findings[0].message.startswith("known to the advisories here, and pip-audit")


def test_one_that_is_silent_of_the_package_is_not_taken_at_its_word_for_the_version() -> None:
    got = verdict(BAD, ill="mute", sick="alpha")
    assert (got.outcome, got.cause) == (Outcome.INCONCLUSIVE, "service")
    assert "alpha: says of a version what it does not say of the package" in got.reason


def test_what_it_answers_of_a_version_is_its_word_and_not_our_own() -> None:
    """An advisory that names no version: nobody here can tell, and the service says that it counts."""
    nowhere = BAD | {"affected": [{"package": {"ecosystem": "PyPI", "name": "alpha"}}]}
    got = facts(nowhere)
    assert got.unclear == (("alpha", "PYSEC-1"),)
    assert [(hit.engine, hit.matcher) for hit in got.hits] == [(True, False)]


def test_answers_of_long_ago_are_refused() -> None:
    got = verdict(ill="cached", sick="beta")
    assert [each.rule for each in got.findings] == ["DEP-07"]
    assert_matches(
        got.reason, r"the live service's are by its own date of 2026-10-01T00:00:00Z, [\d,]+ days .*allowed: 7 days"
    )
    assert OLD.startswith("Thu, 01 Oct 2026")


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("ill", ["busy", "moved", "text", "lost", "loop", "torn", "undated"])
def test_half_an_answer_is_inconclusive_by_its_own_cause_whichever_canaries_are_drawn(ill: str, seed: int) -> None:
    got = verdict(ill=ill, sick="beta", seed=seed)
    assert (got.outcome, got.cause, got.findings) == (Outcome.INCONCLUSIVE, "service", ())
    assert got.reason.startswith("the live service, beta")
    assert live.CAUSE in GATE.causes


def test_what_it_did_answer_stands() -> None:
    got = verdict(BAD, ill="busy", sick="beta")
    assert [(each.rule, each.place) for each in got.findings] == [("DEP-04", "alpha 1.0: CVE-1")]


def test_half_of_the_answers_is_not_too_few_advisories() -> None:
    assert verdict(ill="busy", sick="beta", limits=LIVE | {"least": 100}).cause == "service"
    assert [each.rule for each in verdict(limits=LIVE | {"least": 100}).findings] == ["DEP-07"]


@pytest.mark.parametrize("seed", SEEDS)
def test_one_that_knows_of_nothing_or_is_down_is_never_clean(seed: int) -> None:
    got = verdict(ill="empty", seed=seed)
    assert (got.outcome, got.cause) == (Outcome.INCONCLUSIVE, "service")
    assert got.reason == "the live service does not know PYSEC-2019-16 of django; allowed: what everybody knows"
    down = verdict(ill="busy", seed=seed)
    assert (down.outcome, down.cause) == (Outcome.INCONCLUSIVE, "service")
    assert down.reason.endswith("14 of 14 questions have no answer")


def test_a_package_that_it_was_not_asked_about_is_counted_by_who_reads_the_lock() -> None:
    got = verdict(packages=HERE[:1])
    assert (got.outcome, got.cause) == (Outcome.INCONCLUSIVE, "service")
    assert got.reason == "the live service gave no answer about beta 2.0 and 1 more; allowed: every package"


def test_the_engine_is_told_nothing_of_what_was_not_answered() -> None:
    with material(packages=HERE[:1]) as made:
        (known,) = (item.value for item in made.source() if item.kind == "advisories")
    with match.server.serving(known) as url, pytest.raises(audit.CannotTell, match="no report about its service"):
        audit.audit(LOCK.replace("; sys_platform == 'win32' ", ""), url)


def test_advisories_of_another_source_than_the_policy_says_leave_it_open() -> None:
    said = "the policy asks for service: {}; these advisories are of service: {}"
    got = judge(GATE, observe(GATE, opened(), LIVE, random.Random(1)), LIVE)
    assert (got.outcome, got.cause, got.reason) == (Outcome.INCONCLUSIVE, "service", said.format("live", "mirror"))
    other = verdict(limits=LIMITS)
    assert (other.outcome, other.cause, other.reason) == (
        Outcome.INCONCLUSIVE,
        "service",
        said.format("mirror", "live"),
    )
    assert found(look_at(list(opened(known=mirror()).source())), service="live") == [("cause", "service")]


@pytest.mark.parametrize("rule", GATE.rules)
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("ill", ["", "busy"])
def test_known_bad_material_breaks_its_rule(rule: str, seed: int, ill: str) -> None:
    with material(BAD, ill=ill, sick="beta") as made:
        items = VIOLATIONS[rule](list(made.source()), random.Random(seed))
    seen = look_at(items)
    assert seen.failed == ""
    assert rule in {each.rule for each in _said(seen, Limits.model_validate(LIVE | {"index": True}))}
