"""`access_control_api`: each rule by hand, then the real service, then services broken in one way each."""

import random
import socket
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deployments.lake.certs import certificates
from deployments.serving.keyset import keyset
from deployments.serving.limit import Limiter
from deployments.serving.load import Model, load
from deployments.serving.openapi import document
from deployments.serving.token import Verifier
from security.engines.prober import asks, operations, probe
from security.gate import judge, observe
from security.gates.api import BUSY, DOCUMENT, FLOOD, FLOODED, REFUSED, RULES, SERVED, AccessControlApi, Facts
from security.posture import asked
from security.verdict import Breach, Outcome, Snapshot, Verdict
from tests.deployments.serving import twins
from tests.deployments.serving.release import AUDIENCE, ISSUER, PATH, TENANT, Running, Site, site

GATE = AccessControlApi()
GOOD = {"same": True, "mine": True, "exact": True, "spills": False, "bare": [], "challenge": False, "later": False}
BURST = 200


def clean() -> dict[str, dict[str, Any]]:
    """Answers as they must be."""
    answers: dict[str, dict[str, Any]] = {
        question: {"status": 200, "items": 0 if question == "right-version" else 10, **GOOD} for question in SERVED
    }
    for allowed, questions in REFUSED.values():
        refused = {"status": min(allowed), "items": 0, **GOOD, "same": False, "exact": False, "challenge": True}
        answers.update({question: dict(refused) for question in questions})
    answers[FLOOD] = {**answers["none"], "status": 429, "later": True}
    answers[FLOODED] = dict(answers["right-other"])
    told = [{**each, "status": 401 if each["secured"] else 200} for each in operations(document(PATH))]
    answers[DOCUMENT] = {"operations": told, "undeclared": []}
    return answers


def verdict(answers: dict[str, dict[str, Any]], gate: AccessControlApi = GATE, **limits: Any) -> Verdict:
    """What the gate makes of these answers."""
    snapshot = Snapshot(kind="endpoint", uri="http://127.0.0.1/api", taken=time.time(), answers=answers)
    return judge(gate, observe(gate, asked(gate, snapshot), limits), limits)


def with_(question: str, **change: Any) -> dict[str, dict[str, Any]]:
    """Good answers but for one."""
    answers = clean()
    answers[question].update(change)
    return answers


def rules(seen: Verdict) -> set[str]:
    """The rules that were broken."""
    return {finding.rule for finding in seen.findings}


def test_good_answers_pass() -> None:
    seen = verdict(clean())
    assert (seen.outcome, seen.findings) == (Outcome.PASS, ())
    assert seen.reason == "61/61 questions, 5 right calls served, 55 wrong ones refused, 6 operations declared"


def test_every_rule_says_what_to_do_and_has_a_violation() -> None:
    assert len({rule.id for rule in RULES}) == len(RULES) == 31
    assert set(GATE.rules) == set(GATE.violations)
    assert all(rule.remedy and rule.controls for rule in RULES)
    assert len(set(GATE.questions)) == len(GATE.questions)


@pytest.mark.parametrize(
    ("rule", "question"), [(rule, question) for rule, (_, questions) in REFUSED.items() for question in questions]
)
@pytest.mark.parametrize("change", [{"status": 200}, {"items": 1}, {"status": 302}, {"status": 500}])
def test_a_question_that_is_not_refused_breaks_its_rule(rule: str, question: str, change: dict[str, int]) -> None:
    seen = verdict(with_(question, **change))
    assert (seen.outcome, rules(seen), seen.findings[0].place) == (Outcome.FAIL, {rule}, question)
    assert "; allowed: " in seen.findings[0].message


@pytest.mark.parametrize(
    ("rule", "question", "change"),
    [
        ("API-POS", "right", {"status": 401, "challenge": True}),
        ("API-POS", "right", {"items": 9}),
        ("API-POS", "right-other", {"mine": False}),
        ("API-POS", "right-version", {"status": 404}),
        ("API-19", "right", {"same": False}),
        ("API-19", "right-version", {"same": False}),
        ("API-22", "none", {"challenge": False}),
        ("API-22", "right", {"bare": ["nosniff"]}),
        ("API-23", "right-other", {"exact": False}),
        ("API-24", "garbage", {"spills": True}),
        ("API-POS", "right-session", {"items": 0}),
        ("API-23", "right-session", {"exact": False}),
        ("API-25", FLOOD, {"status": 200}),
        ("API-25", FLOOD, {"status": 401}),
        ("API-25", FLOOD, {"items": 1}),
        ("API-25", FLOOD, {"later": False}),
        ("API-25", FLOODED, {"status": 429, "items": 0, "later": True}),
        ("API-25", FLOODED, {"status": 401, "items": 0, "challenge": True}),
        ("API-25", FLOODED, {"items": 9}),
        ("API-25", FLOODED, {"mine": False}),
        ("API-19", FLOODED, {"same": False}),
        ("API-29", DOCUMENT, {"undeclared": ["GET /admin"]}),
    ],
)
def test_the_other_rules(rule: str, question: str, change: dict[str, Any]) -> None:
    seen = verdict(with_(question, **change))
    assert (seen.outcome, rules(seen)) == (Outcome.FAIL, {rule})


@pytest.mark.parametrize(
    ("path", "change", "rule"),
    [
        (PATH, {"secured": False}, "API-28"),
        (PATH, {"status": 200}, "API-28"),
        (PATH, {"status": 400}, "API-28"),
        ("/version", {"status": 302}, "API-28"),
        ("/metrics", {"status": 404}, "API-29"),
        ("/metrics", {"secured": False, "status": 405}, "API-29"),
        ("/healthz", {"status": 404}, "API-29"),
        ("/healthz", {"status": 401}, "API-29"),
    ],
)
def test_an_operation_is_as_it_is_declared(path: str, change: dict[str, Any], rule: str) -> None:
    answers = clean()
    one = next(each for each in answers[DOCUMENT]["operations"] if each["path"] == path)
    one.update(change)
    seen = verdict(answers)
    assert (rules(seen), seen.findings[0].place) == ({rule}, f"GET {path}")


@pytest.mark.parametrize(
    "change",
    [{"operations": []}, {"more": 1}, {"undeclared": None}, {"operations": [{"method": "GET", "path": "/x"}]}],
)
def test_a_document_that_tells_nothing_is_inconclusive(change: dict[str, Any]) -> None:
    seen = verdict(with_(DOCUMENT, **change))
    assert (seen.outcome, seen.findings) == (Outcome.INCONCLUSIVE, ())


@pytest.mark.parametrize("status", [0, 429, 503])
def test_an_operation_without_an_answer_is_inconclusive(status: int) -> None:
    answers = clean()
    answers[DOCUMENT]["operations"][0]["status"] = status
    assert verdict(answers).outcome is Outcome.INCONCLUSIVE
    assert verdict(with_(FLOOD, status=503)).outcome is Outcome.INCONCLUSIVE
    assert verdict(with_(FLOODED, status=503)).outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize(
    ("told", "secured"),
    [
        ([{"token": ["read"]}], True),
        ([{"token": []}], True),
        ([], False),
        ([{}], False),
        ([{"token": []}, {}], False),
        ([{"unknown": []}], False),
        (None, False),
    ],
)
def test_what_a_document_declares(told: Any, secured: bool) -> None:
    schemes = {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}}
    operation = {} if told is None else {"security": told}
    some = {"paths": {"/x": {"post": operation, "parameters": []}}, "components": schemes}
    assert operations(some) == [{"method": "POST", "path": "/x", "secured": secured, "status": 0}]
    whole = {**some, "paths": {"/x": {"get": {}}}, "security": [{"token": []}]}
    assert operations(whole)[0]["secured"]
    assert operations({}) == []


def test_a_policy_says_how_many_items_are_enough() -> None:
    assert verdict(with_("right", items=3), items=3).outcome is Outcome.PASS
    assert rules(verdict(with_("right", items=2), items=3)) == {"API-POS"}
    assert verdict(clean(), items=0).outcome is Outcome.INCONCLUSIVE
    assert verdict(clean(), unknown=1).outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("question", GATE.questions)
def test_no_answer_is_inconclusive(question: str) -> None:
    answers = clean()
    answers[question] = {"error": "ConnectError"}
    seen = verdict(answers)
    assert (seen.outcome, seen.cause) == (Outcome.INCONCLUSIVE, "unreadable")
    assert "ConnectError" in seen.reason
    del answers[question]
    assert verdict(answers).outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("status", sorted(BUSY))
def test_a_busy_service_is_inconclusive(status: int) -> None:
    seen = verdict(with_("expired", status=status))
    assert (seen.outcome, seen.findings) == (Outcome.INCONCLUSIVE, ())


@pytest.mark.parametrize(
    "change",
    [
        {"status": "401"},
        {"status": None},
        {"items": True},
        {"same": 1},
        {"bare": ["other"]},
        {"more": 1},
        {"status": 42},
    ],
)
def test_an_answer_of_another_form_is_inconclusive(change: dict[str, Any]) -> None:
    seen = verdict(with_("expired", **change))
    assert (seen.outcome, seen.cause) == (Outcome.INCONCLUSIVE, "unreadable")


def test_an_answer_that_was_not_asked_for_and_none_at_all_are_inconclusive() -> None:
    assert verdict({**clean(), "another": clean()["none"]}).outcome is Outcome.INCONCLUSIVE
    assert verdict({}).cause == "coverage"


@pytest.mark.parametrize("rule", GATE.violations)
def test_every_canary_is_caught_by_its_own_rule_alone(rule: str) -> None:
    sample = sorted(clean().items())
    seen = set()
    for seed in range(20):
        bad = dict(GATE.violations[rule](sample, random.Random(seed)))
        assert [question for question, answer in sample if bad[question] != answer], seed
        assert sum(bad[question] != answer for question, answer in sample) == 1
        assert rules(verdict(bad)) == {rule}
        seen.add(str(bad))
    assert len(seen) > 1, "the same violation whatever is drawn"
    assert dict(sample) == clean(), "the sample itself was changed"


def test_a_look_that_is_not_one_is_inconclusive() -> None:
    class Blind(AccessControlApi):
        def look(self, material: Any) -> Facts:
            list(material)
            return AccessControlApi().look(asked(GATE, Snapshot(kind="e", uri="e", taken=time.time(), answers=clean())))

    class Mild(AccessControlApi):
        def judge(self, facts: Any, limits: Any) -> Iterable[Breach]:
            return ()

    for gate in (Blind(), Mild()):
        seen = verdict(clean(), gate)
        assert (seen.outcome, seen.cause) == (Outcome.INCONCLUSIVE, "canary")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A home with a signed release and keys."""
    return site(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def running(home: Site) -> Iterator[Running]:
    """The real service, in a process of its own."""
    with home.serve() as service:
        yield service


@pytest.fixture(scope="module")
def model(home: Site) -> Model:
    """What the twins serve."""
    return load(home.release, home.keys.public("producer"))


def told(home: Site, digest: str, **more: Any) -> dict[str, Any]:
    """What a prober is told."""
    known = {"items": ["i001", "i002"], "document": document(PATH), "burst": BURST}
    return {"other": "u002", "key": home.keys.public("issuer"), "digest": digest, **known, **more}


def probed(home: Site, url: str, digest: str, **more: Any) -> Snapshot:
    """The answers at a URL."""
    options = told(home, digest, **more)
    return probe(url, PATH, home.mint, "u001", **options)


def test_the_prober_asks_exactly_the_gates_questions(home: Site) -> None:
    asked_ = asks(PATH, home.mint, "u001", "u002", home.keys.public("issuer"), ["i001"])
    assert {*asked_, DOCUMENT, FLOOD, FLOODED} == set(GATE.questions)


def test_the_real_service_passes_and_nothing_of_a_person_is_kept(home: Site, running: Running) -> None:
    minted = []

    def mint(**changes: Any) -> str:
        minted.append(home.mint(**changes))
        return minted[-1]

    snapshot = probe(running.url, PATH, mint, "u001", **told(home, running.model))
    seen = observe(GATE, asked(GATE, snapshot), {})
    made = judge(GATE, seen, {})
    assert made.outcome is Outcome.PASS, made.reason
    assert (snapshot.uri, snapshot.kind) == (running.url + PATH, "endpoint")
    kept = seen.model_dump_json() + made.model_dump_json() + snapshot.model_dump_json()
    assert len(minted) > 20
    for secret in ("u001", "u002", "i00", ISSUER, *minted, *(part for token in minted for part in token.split("."))):
        assert secret not in kept


def test_another_release_than_the_expected_is_found(home: Site, running: Running) -> None:
    seen = verdict(probed(home, running.url, "0" * 64).answers)
    assert (rules(seen), len(seen.findings)) == ({"API-19"}, 5)


def test_a_token_that_does_not_work_is_a_finding(home: Site, running: Running, tmp_path: Path) -> None:
    stranger = site(tmp_path)
    seen = verdict(probed(stranger, running.url, running.model).answers)
    assert (seen.outcome, rules(seen)) == (Outcome.FAIL, {"API-POS", "API-21", "API-25", "API-27", "API-30"})


def test_a_service_that_does_not_answer_is_inconclusive(home: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        seen = verdict(probed(home, url, "0" * 64, seconds=0.02).answers)
        assert (seen.outcome, seen.findings) == (Outcome.INCONCLUSIVE, ())
        assert "ReadTimeout" in seen.reason
    seen = verdict(probed(home, url, "0" * 64).answers)
    assert (seen.outcome, seen.findings) == (Outcome.INCONCLUSIVE, ())
    assert "ConnectError" in seen.reason


@pytest.mark.parametrize("url", ["http://example.invalid", "ftp://127.0.0.1", "127.0.0.1:80", "http://127.0.0.1.test"])
def test_tokens_are_not_sent_in_the_clear(home: Site, url: str) -> None:
    snapshot = probed(home, url, "0" * 64)
    assert set(snapshot.answers) == set(GATE.questions)
    assert all(answer == {"error": "PlainHttp"} for answer in snapshot.answers.values())
    assert verdict(snapshot.answers).outcome is Outcome.INCONCLUSIVE


def test_over_tls_the_certificate_must_be_believed(home: Site, model: Model, tmp_path: Path) -> None:
    verifier = Verifier(keyset((home.home / "jwks.json").read_bytes()), ISSUER, AUDIENCE, TENANT)
    app = twins.twin(model, verifier, None, str)
    with twins.serving(app, certificates(tmp_path)) as url:
        seen = verdict(probed(home, url, model.digest).answers)
        assert (seen.outcome, seen.findings) == (Outcome.INCONCLUSIVE, ())
        assert "ConnectError" in seen.reason
        known = probed(home, url.replace("//", "//name:word@"), model.digest, ca=str(tmp_path / "ca.pem"))
        made = verdict(known.answers)
        assert made.outcome is Outcome.PASS, made.reason
        assert known.uri == url + PATH


def test_an_issuer_that_does_not_answer_is_inconclusive(home: Site, running: Running) -> None:
    def silent(**changes: Any) -> str:
        raise OSError("no issuer")

    snapshot = probe(running.url, PATH, silent, "u001", **told(home, running.model))
    assert snapshot.answers["right"] == {"error": "OSError"}
    assert snapshot.answers["none"]["status"] == 401
    assert verdict(snapshot.answers).outcome is Outcome.INCONCLUSIVE


BY_VERIFIER = {
    twins.AnyCredential: {f"API-{number:02d}" for number in range(2, 14)} | {"API-18", "API-25", "API-26"},
    twins.Early: {"API-04"},
    twins.AnyAudience: {"API-05"},
    twins.AnyIssuer: {"API-06"},
    twins.AnyTenant: {"API-26"},
    twins.AnyKey: {"API-07"},
    twins.OwnKey: {"API-07"},
    twins.Unsigned: {"API-08"},
    twins.Confused: {"API-09"},
    twins.NotEssential: {"API-10"},
    twins.NoUser: {"API-11", "API-13"},
    twins.NoScope: {"API-12", "API-18"},
    twins.NoAuth: {f"API-{number:02d}" for number in (*range(1, 15), 16, 17, 18, 25, 26, 28)},
}
BY_FRONT = {
    twins.Identity: {"API-13"},
    twins.Override: {"API-14"},
    twins.AnyMethod: {"API-14", "API-15"},
    twins.Slashes: {"API-16"},
    twins.OpenVersion: {"API-17", "API-28"},
    twins.OpenSession: {"API-01", "API-28"},
    twins.Metrics: {"API-18", "API-28"},
    twins.AnyMetrics: {"API-18"},
    twins.LastWins: {"API-20"},
    twins.Huge: {"API-21"},
    twins.Roomy: {"API-21", "API-27"},
    twins.Long: {"API-27"},
    twins.Many: {"API-27"},
    twins.Wordy: {"API-27"},
    twins.Lenient: {"API-30"},
    twins.Bare: {"API-22"},
    twins.Talkative: {"API-23"},
    twins.Spilling: {"API-24"},
}
"""A twin -> exactly the rules that find it: more than one where its fault shows in more than one question."""


def answered(
    home: Site,
    model: Model,
    kind: type[Verifier],
    front: type[twins.Front] | None = None,
    limiter: Limiter | None = None,
    **more: Any,
) -> Verdict:
    """What the gate says of a twin."""
    twins.Confused.pem = home.keys.public("issuer").pem
    verifier = kind(keyset((home.home / "jwks.json").read_bytes()), ISSUER, AUDIENCE, TENANT)
    limiter = limiter or Limiter(twins.WIDE)
    with twins.serving(twins.twin(model, verifier, front, lambda user: home.mint(sub=user), limiter)) as url:
        return verdict(probed(home, url, model.digest, **more).answers)


@pytest.mark.parametrize("kind", BY_VERIFIER, ids=lambda kind: kind.__name__)
def test_each_broken_verifier_is_refused_by_its_rule(home: Site, model: Model, kind: type[Verifier]) -> None:
    seen = answered(home, model, kind)
    assert (seen.outcome, rules(seen)) == (Outcome.FAIL, BY_VERIFIER[kind])


@pytest.mark.parametrize("front", BY_FRONT, ids=lambda front: front.__name__)
def test_each_broken_front_is_refused_by_its_rule(home: Site, model: Model, front: type[twins.Front]) -> None:
    seen = answered(home, model, Verifier, front)
    assert (seen.outcome, rules(seen)) == (Outcome.FAIL, BY_FRONT[front])


@pytest.mark.parametrize(
    ("front", "question"),
    [(twins.Long, "session-large"), (twins.Many, "session-long"), (twins.Wordy, "session-id")],
)
def test_each_limit_of_a_body_has_a_question_of_its_own(
    home: Site, model: Model, front: type[twins.Front], question: str
) -> None:
    seen = answered(home, model, Verifier, front)
    assert [(each.rule, each.place) for each in seen.findings] == [("API-27", question)]


def test_a_limit_that_all_share_is_refused_by_its_rule(home: Site, model: Model) -> None:
    seen = answered(home, model, Verifier, limiter=twins.Shared(twins.WIDE))
    assert (seen.outcome, rules(seen)) == (Outcome.FAIL, {"API-25"})
    assert [each.place for each in seen.findings] == [FLOODED]


def test_a_service_without_a_limit_is_refused_by_its_rule(home: Site, model: Model) -> None:
    seen = answered(home, model, Verifier, limiter=twins.Unlimited())
    assert (seen.outcome, rules(seen)) == (Outcome.FAIL, {"API-25"})


@pytest.mark.parametrize(
    ("path", "method", "operation", "rule"),
    [
        (PATH, "get", {"security": []}, "API-28"),
        ("/version", "get", {"security": [{}]}, "API-28"),
        ("/metrics", "get", {"security": [{"other": []}]}, "API-28"),
        ("/reload", "post", {"security": [{"token": []}]}, "API-29"),
        (PATH, "post", None, "API-29"),
        ("/version", "get", None, "API-29"),
    ],
)
def test_a_document_that_is_not_of_the_service_is_refused(
    home: Site, model: Model, path: str, method: str, operation: dict[str, Any] | None, rule: str
) -> None:
    other = document(PATH)
    if operation is None:
        del other["paths"][path][method]
    else:
        other["paths"].setdefault(path, {})[method] = operation
    seen = answered(home, model, Verifier, document=other)
    assert (seen.outcome, rules(seen)) == (Outcome.FAIL, {rule})


def test_a_flood_stands_in_no_other_questions_way(home: Site, running: Running) -> None:
    for _ in range(2):
        assert verdict(probed(home, running.url, running.model).answers).outcome is Outcome.PASS


def test_a_front_that_changes_nothing_passes(home: Site, model: Model) -> None:
    assert answered(home, model, Verifier, twins.Front).outcome is Outcome.PASS


def test_the_unsafe_service_is_refused_by_its_rule(home: Site) -> None:
    with home.serve("--unsafe-accept-expired") as service:
        seen = verdict(probed(home, service.url, service.model).answers)
    assert (seen.outcome, rules(seen)) == (Outcome.FAIL, {"API-03"})
