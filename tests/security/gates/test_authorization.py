"""The gate over what the producer may do in a registry, against doubles in memory and on the loopback.

The cheapest that would satisfy the words, and what catches each:
- any refusal is taken for one: `test_what_is_no_refusal`, `test_half_a_manifest_that_is_looked_at_was_let_in`;
- the status is believed, and nobody looks: `test_a_registry_that_lies_is_found_out`;
- nothing works there, so that everything is refused: `test_without_what_must_work_nothing_is_shown`;
- what is tried does harm: `test_what_is_granted_is_found_and_put_back`.
"""

import contextlib
import json
import random
import re
import socket
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from security.engines import line
from security.engines.login import LACKS, Challenge, Login, Place
from security.engines.probe import CANARY, sha, spelled
from security.engines.trespass import QUESTIONS, trespass
from security.gate import judge, observe
from security.gates.authorization import Limits, RegistryAuthorization
from security.gates.authorization.double import ACTS, Asks, Double
from security.gates.authorization.facts import ATTEMPTS, TRIES, Facts, Try
from security.gates.authorization.gate import FIXED, REFUSED, outcome
from security.material import Material
from security.posture import asked
from security.verdict import Basis, Outcome, Snapshot, Verdict
from tests.security.gates.doubled import LOGIN, Odd, listening

if TYPE_CHECKING:
    from tests.conformance.subjects import Case

GATE = RegistryAuthorization()
PLACE = Place("registry.example/models", "sample")
LIMITS = {"name": "sample", "signer": "0" * 64, "registry": PLACE.address}
TAGS = {"1": b'{"n":1}', "2": b'{"n":2}', "chain": b"{}", "production": b'{"n":1}'}


def double(**ways: Any) -> Double:
    return Double(PLACE, LOGIN, **{"tags": TAGS} | ways)


def visit(of: Double, login: Login | None = LOGIN, transport: httpx.BaseTransport | None = None) -> Snapshot:
    return trespass(of.place, login, "once", transport or of.transport())


def judged(snapshot: Snapshot, limits: dict[str, Any] = LIMITS) -> Verdict:
    return judge(GATE, observe(GATE, asked(GATE, snapshot), limits), limits)


def facts(**ways: Any) -> Facts:
    return GATE.look(asked(GATE, visit(double(**ways))).handed()[0])


def tried(way: Any, **told: Any) -> Try:
    before, other = "" if way == "half" else "a" * 64, "b" * 64
    sent = {"same": before, "gone": ""}.get(way, other)
    return Try(**told, way=way, before=before, after=before, sent=sent, back=True)


def found(verdict: Verdict) -> set[tuple[str, str]]:
    return {(each.rule, each.place) for each in verdict.findings}


def case(folder: Path) -> "Case":
    """A registry whose producer may create tags and no more, on the loopback of nobody; in the bad one it may move
    `production` as well. Over plain HTTP, which a stricter policy does not let."""
    from tests.conformance.subjects import Case  # which has this one among its own

    place = Place("127.0.0.1:5000/models", "sample", "UnsafeHttp")
    limits = LIMITS | {"registry": place.address, "scheme": "UnsafeHttp"}

    def opened(*lets: str) -> Material[Any]:
        made = Double(place, Login("producer", "k" * 40), tags=TAGS, lets=lets)
        return asked(GATE, trespass(place, made.login, "once", made.transport()))

    return Case(
        limits,
        limits | {"scheme": "https"},
        good=opened,
        bad=lambda: opened("production"),
        rule="RA-PRODUCTION",
    )


@pytest.mark.parametrize("asks", ["basic", "bearer", "nobody"])
@pytest.mark.parametrize("tags", [{}, TAGS])
def test_a_registry_with_permissions_passes(asks: Asks, tags: dict[str, bytes]) -> None:
    of = double(asks=asks, tags=tags)
    first = judged(visit(of))
    assert (first.outcome, first.findings) == (Outcome.PASS, ()), first.reason
    assert f"{7 if tags else 6} attempts refused, {len(tags) + 1} tags as they were" in first.reason
    assert of.tags == tags | {CANARY: spelled("once")}
    again = judged(trespass(PLACE, LOGIN, "twice", of.transport()))  # the version that the first look left is taken
    assert again.outcome is Outcome.PASS
    assert of.tags == tags | {CANARY: spelled("once")}


@settings(max_examples=60, deadline=None)
@given(
    lets=st.sets(st.sampled_from(ACTS)),
    asks=st.sampled_from(["basic", "bearer", "nobody"]),
    there=st.sets(st.sampled_from(["1", "7", "approved", "production", "chain", CANARY])),
)
def test_what_is_granted_is_found_and_put_back(lets: set[str], asks: Asks, there: set[str]) -> None:
    """Of whatever is granted each is found by its rule and no other, and the registry is as it was."""
    tags = {tag: spelled("old") if tag == CANARY else f'{{"n":"{tag}"}}'.encode() for tag in sorted(there)}
    of = double(lets=lets, asks=asks, tags=tags)
    verdict = judged(visit(of))
    assert found(verdict) == {(TRIES[act], act) for act in lets if act != "version" or there & {"1", "7"}}
    assert verdict.outcome is (Outcome.FAIL if verdict.findings else Outcome.PASS), verdict.reason
    assert {tag: data for tag, data in of.tags.items() if tag != CANARY} == {
        tag: data for tag, data in tags.items() if tag != CANARY
    }
    assert of.tags[CANARY] == (tags.get(CANARY) or spelled("once"))
    assert all("allowed" in each.message for each in verdict.findings)


@pytest.mark.parametrize("act", ATTEMPTS)
def test_a_registry_that_lies_is_found_out(act: str) -> None:
    """It answers 403, and does it."""
    of = double(lies=[act], tags={"1": b"{}"})
    verdict = judged(visit(of))
    assert found(verdict) == {("RA-KEPT", act)}
    assert "answered 403 DENIED, and it was done" in verdict.reason


def test_a_tag_that_changes_meanwhile() -> None:
    snapshot = visit(double())
    for tag, to in (("1", "f" * 64), ("2", None), (CANARY, "e" * 64)):
        tags = {**snapshot.answers["after"]["tags"], tag: to}
        after = {"tags": {k: v for k, v in tags.items() if v}}
        changed = snapshot.model_copy(update={"answers": {**snapshot.answers, "after": after}})
        assert found(judged(changed)) == {("RA-KEPT", f"tag:{tag}")}
    tags = {**snapshot.answers["after"]["tags"], "chain": "f" * 64, "3": "a" * 64}
    changed = snapshot.model_copy(update={"answers": {**snapshot.answers, "after": {"tags": tags}}})
    assert judged(changed).outcome is Outcome.PASS  # somebody has entered a version, as somebody may


def test_a_double_that_listens() -> None:
    with listening("sample", tags=TAGS, lets=["approved", "delete"], asks="bearer") as of:
        limits = LIMITS | {"registry": of.place.address, "scheme": "UnsafeHttp"}
        verdict = judged(trespass(of.place, LOGIN, "once"), limits)
        assert found(verdict) == {("RA-APPROVED", "approved"), ("RA-DELETE", "delete")}
        of.lets = set()
        assert judged(trespass(of.place, LOGIN, "twice"), limits).outcome is Outcome.PASS
        place = of.place
    verdict = judged(trespass(place, LOGIN, "once"), limits)
    assert (verdict.outcome, verdict.reason) == (
        Outcome.INCONCLUSIVE,
        "place: the registry cannot be reached (ConnectError)",
    )


def answers(status: int, code: str = "", **headers: str) -> Callable[[httpx.Request], httpx.Response]:
    body = {"errors": [{"code": code}]} if code else None
    return lambda _: httpx.Response(status, json=body, headers=headers) if body else httpx.Response(status)


MANIFEST = "/manifests/0"


@pytest.mark.parametrize(
    ("status", "code"), [(401, ""), (403, "DENIED"), (405, "UNSUPPORTED"), (409, ""), (412, "PRECONDITION")]
    + [(400, "TAG_INVALID"), (400, "ImageTagAlreadyExistsException")],
)  # fmt: skip
def test_what_is_a_refusal_to_overwrite(status: int, code: str) -> None:
    of = double(tags={CANARY: spelled("old")})
    verdict = judged(visit(of, transport=Odd(of, **{f"PUT_{MANIFEST}": answers(status, code)})))
    assert verdict.outcome is Outcome.PASS, verdict.reason


@pytest.mark.parametrize(
    ("status", "code"),
    [(404, "NAME_UNKNOWN"), (400, "MANIFEST_INVALID"), (400, ""), (415, ""), (429, "TOOMANYREQUESTS"), (500, "UNKNOWN")]
    + [(503, ""), (400, "NO_SUCH_CODE"), (418, "DENIED"), (100 + 361, "")],
)
def test_what_is_no_refusal(status: int, code: str) -> None:
    of = double(tags={CANARY: spelled("old")})
    verdict = judged(visit(of, transport=Odd(of, **{f"PUT_{MANIFEST}": answers(status, code)})))
    assert (verdict.outcome, verdict.cause) == (Outcome.INCONCLUSIVE, "answer"), verdict.reason
    assert f"was answered {status}" in verdict.reason
    assert "neither granted nor refused" in verdict.reason


@pytest.mark.parametrize("tag", ["approved", "production"])
def test_half_a_manifest_that_is_looked_at_was_let_in(tag: str) -> None:
    of = double(tags={})
    for status, code, wanted in (
        (400, "MANIFEST_INVALID", {(TRIES[tag], tag)}),
        (404, "MANIFEST_BLOB_UNKNOWN", {(TRIES[tag], tag)}),
        (201, "", {(TRIES[tag], tag)}),
        (400, "UNKNOWN", set()),
        (409, "", set()),
        (412, "", set()),
        (400, "TAG_INVALID", set()),
    ):
        verdict = judged(visit(of, transport=Odd(of, **{f"PUT_/manifests/{tag}": answers(status, code)})))
        assert found(verdict) == wanted, (status, code)
        assert verdict.outcome is (Outcome.FAIL if wanted else Outcome.INCONCLUSIVE)


def test_who_looks_before_asking_who_it_is_shows_nothing() -> None:
    """A registry that judges half a manifest before it asks for credentials has let in nobody."""
    half = tried("half", status=400, code="MANIFEST_INVALID", by="nobody")
    assert outcome("production", half, nobody=False) == "unclear"
    assert outcome("production", half, nobody=True) == "done"
    assert outcome("production", half.model_copy(update={"by": "bearer"}), nobody=False) == "done"


@given(
    status=st.integers(100, 599),
    code=st.sampled_from(
        ["", "other", "DENIED", "UNSUPPORTED", "DIGEST_INVALID", "TAG_INVALID", "MANIFEST_INVALID", *LACKS]
    ),
    way=st.sampled_from(["other", "same", "half", "gone"]),
    by=st.sampled_from(["nobody", "basic", "bearer"]),
    nobody=st.booleans(),
)
def test_every_answer_is_one_of_three(status: int, code: str, way: Any, by: Any, nobody: bool) -> None:
    told = outcome("overwrite", tried(way, status=status, code=code, by=by), nobody=nobody)
    assert (told == "done") >= (200 <= status < 300)
    assert told != "refused" or status in {*REFUSED, *FIXED, 400}
    asked = by != "nobody" and code not in LACKS
    assert told == "refused" or status not in REFUSED or not asked
    assert told == "unclear" or status < 500
    assert told != "refused" or asked
    if way == "half" and asked:
        assert (told == "refused") == (status in REFUSED)


@pytest.mark.parametrize("status", [401, 403, 404, 405])
@pytest.mark.parametrize("asks", ["basic", "bearer"])
def test_who_is_refused_unasked_tries_with_credentials(status: int, asks: Asks) -> None:
    """A front that turns away whoever sends none, and does not ask for any."""

    class Silent(httpx.BaseTransport):
        def __init__(self, of: Double) -> None:
            self.of = of

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            request.read()
            if request.method == "DELETE" and not request.headers.get("authorization"):
                return httpx.Response(status)
            return self.of.answer(request)

    good, bad = double(asks=asks), double(asks=asks, lets=["untag"])
    assert judged(visit(good, transport=Silent(good))).outcome is Outcome.PASS
    assert found(judged(visit(bad, transport=Silent(bad)))) == {("RA-DELETE", "untag")}
    assert outcome("untag", tried("gone", status=status, code="", by="nobody"), nobody=False) == "unclear"


def drop(request: httpx.Request) -> httpx.Response:
    raise httpx.RemoteProtocolError("peer closed connection without sending complete message body")


ODD: dict[str, tuple[dict[str, Any], str]] = {
    "down": ({"GET_/v2/": lambda _: (_ for _ in ()).throw(httpx.ConnectError("no"))}, "place: .* cannot be reached"),
    "half": ({f"PUT_{MANIFEST}": drop}, r"write: the registry answers half, or nothing \(RemoteProtocolError\)"),
    "elsewhere": ({"GET_/v2/": answers(200)} | {"GET_/tags/list": lambda _: httpx.Response(
        307, headers={"location": "https://elsewhere.example/"})}, r"before: the registry sends onward \(307\)"),
    "page": ({"DELETE_0": lambda _: httpx.Response(
        403, html="<html>no</html>")}, r"untag: a page was answered \(403\)"),
    "bare-page": ({"DELETE_0": lambda _: httpx.Response(403, content=b" <html>")}, r"untag: a page was answered"),
    "not-a-registry": ({"GET_/v2/": answers(404)}, "place: no registry answers there: found 404"),
    "upload-elsewhere": ({"POST_uploads/": lambda _: httpx.Response(
        202, headers={"location": "https://elsewhere.example/x"})}, "write: the registry sends elsewhere"),
    "upload-nowhere": ({"POST_uploads/": answers(202)}, "write: .* does not say where an upload goes on"),
    "no-tags": ({"GET_/tags/list": answers(500)}, "before: .* something else than JSON|the registry answered 500"),
    "odd-tags": ({"GET_/tags/list": lambda _: httpx.Response(200, json={"tags": ["../x"]})}, "a tag that is none"),
    "many-tags": ({"GET_/tags/list": lambda _: httpx.Response(
        200, json={"tags": [str(n) for n in range(2000)]})}, "more than 1,000 tags"),
    "endless-tags": ({"GET_/tags/list": lambda r: httpx.Response(
        200, json={"tags": ["1"]}, headers={"link": f'<{r.url}>; rel="next"'})}, "no end"),
    "packed": ({"GET_/v2/": lambda _: httpx.Response(
        200, headers={"content-encoding": "br"})}, "a coding that was not"),
    "endless": ({"GET_/v2/": lambda _: httpx.Response(200, content=b"x" * (5 << 20))}, "has no end"),
}  # fmt: skip


@pytest.mark.parametrize("odd", ODD)
def test_what_is_no_registrys_answer_tells_nothing(odd: str) -> None:
    ways, says = ODD[odd]
    of = double()
    verdict = judged(visit(of, transport=Odd(of, **ways)))
    assert (verdict.outcome, verdict.cause) == (Outcome.INCONCLUSIVE, "unreadable"), verdict.reason
    assert re.search(says, verdict.reason), verdict.reason


def test_without_what_must_work_nothing_is_shown() -> None:
    of = double()
    verdict = judged(visit(of, login=None))
    assert verdict.reason.startswith("write: to upload, without credentials, was answered 401 UNAUTHORIZED: where that")
    verdict = judged(visit(of, login=Login("producer", "another")))
    assert "with the producer's credentials, was answered 401" in verdict.reason
    verdict = judged(visit(of, transport=Odd(of, **{"POST_uploads/": answers(403, "DENIED")})))
    assert "to upload, with the producer's credentials, was answered 403 DENIED" in verdict.reason
    verdict = judged(visit(of, transport=Odd(of, **{f"PUT_{MANIFEST}": answers(403, "DENIED")})))
    assert "to enter a version, with the producer's credentials, was answered 403 DENIED" in verdict.reason
    verdict = judged(visit(double(tags={CANARY: b'{"a model": 0}'})))
    assert "version 0 is somebody else's" in verdict.reason
    seen = facts().model_dump(mode="json")
    for control in ("write", "read", "again"):
        told = {**seen["remote"], control: {"status": 403, "code": "DENIED", "by": "basic"}}
        observation = observe(GATE, asked(GATE, visit(double())), LIMITS)
        verdict = judge(GATE, observation.model_copy(update={"facts": {**seen, "remote": told}}), LIMITS)
        assert (verdict.outcome, verdict.cause) == (Outcome.INCONCLUSIVE, "control")
    assert GATE.causes == {"folder"}  # of all of this a policy may observe nothing


@pytest.mark.parametrize("realm", ["https://elsewhere.example/token", "http://registry.example/token", "", "/token"])
def test_credentials_go_to_no_other_host(realm: str) -> None:
    of = double()
    sent: list[tuple[str, str]] = []

    class Asking(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            sent.append((request.url.host, request.headers.get("authorization", "")))
            return httpx.Response(401, headers={"www-authenticate": f'Bearer realm="{realm}",service="x"'})

    verdict = judged(visit(of, transport=Asking()))
    assert "asks to have the credentials sent to" in verdict.reason
    assert {each for _, each in sent} == {""}
    if "elsewhere" in realm:
        place = Place(PLACE.address, "sample", tokens="elsewhere.example")
        trespass(place, LOGIN, "once", Asking())
        assert {each for each in sent if each[1]} == {("elsewhere.example", LOGIN.basic())}


def test_a_token_server_that_refuses_or_is_odd() -> None:
    of = double(asks="bearer")
    for answer, says in (
        (httpx.Response(403, json={"errors": [{"code": "DENIED"}]}), "was answered 403 DENIED"),
        (httpx.Response(500, json={}), "the token server was asked, and answered 500 without a token"),
        (httpx.Response(200, json={"token": "a b"}), "answered 200 without a token"),
        (httpx.Response(200, content=b"token"), "the token server answered 200 with something else than JSON"),
    ):
        told = answer
        verdict = judged(visit(of, transport=Odd(of, **{"GET_/token": lambda _, told=told: told})))
        assert verdict.outcome is Outcome.INCONCLUSIVE
        assert says in verdict.reason, verdict.reason


@pytest.mark.parametrize("asks", ["basic", "bearer"])
@pytest.mark.parametrize("lets", [(), ACTS])
def test_no_credentials_are_told(asks: Asks, lets: tuple[str, ...]) -> None:
    of = double(asks=asks, lets=lets)
    seen = observe(GATE, asked(GATE, visit(of)), LIMITS)
    told = seen.model_dump_json() + judge(GATE, seen, LIMITS).model_dump_json() + repr(LOGIN)
    assert not LOGIN.within(told)
    assert of.token not in told
    assert LOGIN.user not in repr(LOGIN)


def test_a_registry_that_tells_what_it_was_sent() -> None:
    of = double(tags={**TAGS, LOGIN.password: b"{}"})
    verdict = judged(visit(of))
    assert verdict.reason == "before: the registry answers with the credentials that it was sent"
    assert not LOGIN.within(verdict.model_dump_json())


def test_answers_that_contradict_each_other_are_none() -> None:
    good = visit(double()).answers
    changes: list[dict[str, dict[str, Any]]] = [
        {"read": {**good["read"], "found": "f" * 64}},
        {"overwrite": {**good["overwrite"], "way": "same"}},
        {"production": {**good["production"], "way": "half"}},
        {"approved": {**good["approved"], "way": "same"}},
        {"erase": {**good["erase"], "before": ""}},
        {"untag": {**good["untag"], "way": "other"}},
        {"untag": {**good["untag"], "sent": "a" * 64}},
        {"untag": {**good["untag"], "back": False}},
        {"overwrite": {**good["overwrite"], "sent": good["overwrite"]["before"]}},
        {"version": {"tag": ""}},
        {"version": {**good["version"], "tag": "1"}},
        {"again": {}},
        {"before": {"tags": {k: v for k, v in good["before"]["tags"].items() if k != CANARY}}},
        {"before": {"tags": {**good["before"]["tags"], CANARY: "a" * 64}}},
        {"overwrite": {**good["overwrite"], "status": 99}},
        {"overwrite": {**good["overwrite"], "status": "403"}},
        {"overwrite": {**good["overwrite"], "by": "root"}},
        {"place": {}},
        {"after": {}},
    ]
    for change in changes:
        snapshot = Snapshot(kind="registry", uri="x", taken=time.time(), answers={**good, **change})
        verdict = judged(snapshot)
        assert verdict.outcome is Outcome.INCONCLUSIVE, change
        assert verdict.reason.startswith("the answers contradict each other, or are of another form"), change
    for question in QUESTIONS:
        less = {name: answer for name, answer in good.items() if name != question}
        assert judged(Snapshot(kind="registry", uri="x", taken=time.time(), answers=less)).outcome is not Outcome.PASS


def test_facts_that_contradict_each_other_are_none() -> None:
    seen = observe(GATE, asked(GATE, visit(double())), LIMITS)
    remote = seen.facts["remote"]
    for change in (
        {"changed": {f"{n}": ("a" * 64, "b" * 64) for n in range(50)}},
        {"changed": {"1": ("a" * 64, "a" * 64)}},
        {"changed": {CANARY: ("a" * 64, "")}},
        {"tags": 0},
        {"tries": {name: each for name, each in remote["tries"].items() if name != "delete"}},
        {"canary": "a" * 64},
    ):
        told = json.loads(json.dumps({**seen.facts, "remote": {**remote, **change}}))
        verdict = judge(GATE, seen.model_copy(update={"facts": told}), LIMITS)
        assert (verdict.outcome, verdict.cause) == (Outcome.INCONCLUSIVE, "facts"), change
    both: dict[str, Any] = {"remote": None, "folder": None}
    assert judge(GATE, seen.model_copy(update={"facts": both}), LIMITS).cause == "facts"


def test_another_registry_than_the_policys() -> None:
    snapshot = visit(double())
    for change in ({"registry": ""}, {"registry": "other.example"}, {"name": "other"}):
        verdict = judged(snapshot, LIMITS | change)
        assert found(verdict) == {("RA-PLACE", "registry")}
    assert found(judged(snapshot, LIMITS | {"scheme": "UnsafeHttp"})) == {("RA-PLACE", "scheme")}


@pytest.mark.parametrize("rule", GATE.rules)
@pytest.mark.parametrize("tags", [{}, TAGS, {f"{n}": b"{}" for n in range(1, 30)}])
def test_a_canary_of_each_rule_is_caught_by_it_alone(rule: str, tags: dict[str, bytes]) -> None:
    sample = list(asked(GATE, visit(double(tags=tags))).source())
    for seed in range(25):
        items = GATE.violations[rule](sample, random.Random(seed))
        seen = GATE.look(asked(GATE, visit(double())).decoy(items).handed()[0])
        assert {each.rule for each in GATE.judge(seen, Limits.model_validate(LIMITS))} == {rule}, seed


def test_canaries_are_asked_by_the_engine_that_asks_the_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that takes every answer for a refusal is caught by its canaries."""
    from security.gates.authorization import decoys

    def tame(place: Place, login: Any, nonce: str, transport: Any = None) -> Snapshot:
        real = trespass(place, login, nonce, transport)
        told = {name: {**each, "status": 403} if name in ATTEMPTS else each for name, each in real.answers.items()}
        return real.model_copy(update={"answers": told})

    monkeypatch.setattr(decoys, "trespass", tame)
    caught = 0
    for seed in range(30):
        seen = observe(GATE, asked(GATE, visit(double())), LIMITS, random.Random(seed))
        caught += judge(GATE, seen, LIMITS).cause == "canary"
    assert caught >= 15  # what changed all the same is seen by what is there


def test_the_own_version_says_what_it_is() -> None:
    told = json.loads(spelled("x"))
    assert told["artifactType"] == "application/vnd.sluice.probe.v1"
    assert sha(spelled("x")) != sha(spelled("y"))
    assert observe(GATE, asked(GATE, visit(double())), LIMITS).basis is Basis.OBSERVED


STATIC = 'Bearer realm="https://registry.example/token",service="x"'
EVERY = "repository:models/sample:pull,push,delete"


class Scoped(Double):
    """A registry whose challenge names one scope for everything, and whose token server grants what it is asked for;
    `narrow`: to which it grants no more than that all the same; `rejects`: which rejects whoever asks for more."""

    says, narrow, rejects, names = "", False, False, True

    def answer(self, request: httpx.Request) -> httpx.Response:
        sent = request.headers.get("authorization", "")
        if request.url.path == "/token":
            scopes = request.url.params.get_list("scope")
            acts = {act for scope in scopes for act in scope.rpartition(":")[2].split(",")}
            if self.rejects and "delete" in acts:
                return self._said(403, "DENIED")
            granted = sorted(acts - ({"delete"} if self.narrow else set()))
            return httpx.Response(200, json={"token": "bearing." + ".".join(granted)})
        need = {"DELETE": "delete", "GET": "pull", "HEAD": "pull"}.get(request.method, "push")
        if not sent:
            return self._said(401, "UNAUTHORIZED", {"www-authenticate": STATIC + self.says})
        if need not in sent.split("."):
            lacks = f',error="insufficient_scope",scope="{EVERY}"' if self.names else ""
            return self._said(401, "UNAUTHORIZED", {"www-authenticate": STATIC + lacks})
        self.asks = "nobody"
        return super().answer(request)


@pytest.mark.parametrize("says", ["", ',scope="repository:models/sample:pull,push"'])
@pytest.mark.parametrize("names", [True, False])
def test_a_token_is_asked_for_with_all_that_may_be_tried(says: str, names: bool) -> None:
    of = Scoped(PLACE, LOGIN, tags=TAGS, lets=["untag", "delete", "erase"])
    of.says, of.names = says, names
    assert found(judged(visit(of))) == {("RA-DELETE", act) for act in ("untag", "delete", "erase")}


def scoped(**how: bool) -> Verdict:
    of = Scoped(PLACE, LOGIN, tags=TAGS)
    of.says = ',scope="repository:models/sample:pull,push"'
    for name, each in how.items():
        setattr(of, name, each)
    return judged(visit(of))


def test_a_token_that_is_too_narrow_refuses_nobody() -> None:
    verdict = scoped(rejects=True, names=False)
    assert (verdict.outcome, verdict.cause) == (Outcome.INCONCLUSIVE, "answer"), verdict.reason
    assert "was answered 401 insufficient_scope" in verdict.reason


@pytest.mark.parametrize("names", [True, False])
def test_who_asked_for_all_and_was_given_less_is_refused(names: bool) -> None:
    assert scoped(narrow=True, names=names).outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("scopes", "asked", "named"),
    [
        ("repository:a:delete", ["repository:a:pull,push,delete"], True),
        ("repository:a:pull repository:a:delete", ["repository:a:pull", "repository:a:delete,push"], True),
        ("repository:b:delete", ["repository:a:pull,push,delete"], False),
        ("repository:a:delete,admin", ["repository:a:pull,push,delete"], False),
        ("registry:catalog:*", ["repository:a:pull,push,delete"], False),
        ("", ["repository:a:pull,push,delete"], False),
        ("repository:a:delete", [], False),
    ],
)
def test_what_was_lacking_was_asked_for(scopes: str, asked: list[str], named: bool) -> None:
    assert Challenge("bearer", {"scope": scopes}).named(asked) is named


class Burnt(httpx.BaseTransport):
    """A login that is locked out after so many writes."""

    def __init__(self, of: Double, most: int) -> None:
        self.of, self.left = of, most

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        writes = request.method in ("PUT", "POST", "DELETE") and "authorization" in request.headers
        self.left -= writes
        return answers(401, "UNAUTHORIZED")(request) if writes and self.left < 0 else self.of.answer(request)


def test_what_worked_at_first_works_at_last() -> None:
    of = double(tags={**TAGS, CANARY: spelled("old")}, lets=ACTS)
    verdict = judged(visit(of, transport=Burnt(of, 4)))
    assert (verdict.outcome, verdict.cause) == (Outcome.INCONCLUSIVE, "control"), verdict.reason
    assert "to write once more, after the last attempt, was answered 401 UNAUTHORIZED" in verdict.reason
    digest = f"/manifests/sha256:{sha(spelled('old'))}"  # every manifest is refused for a reason of the moment
    verdict = judged(
        visit(double(tags=of.tags), transport=Odd(double(tags=of.tags), **{f"PUT_{digest}": answers(403)}))
    )
    assert (verdict.outcome, verdict.cause) == (Outcome.INCONCLUSIVE, "control"), verdict.reason


class Race(httpx.BaseTransport):
    """Somebody else moves a tag right after an attempt."""

    def __init__(self, of: Double, tag: str, to: bytes) -> None:
        self.of, self.tag, self.to = of, tag, to

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        told = self.of.answer(request)
        if request.method == "PUT" and request.url.path.endswith(f"/{self.tag}") and "authorization" in request.headers:
            self.of.tags[self.tag] = self.to
        return told


@pytest.mark.parametrize(("tag", "lets"), [("production", ["untag"]), ("production", ["production"]), ("approved", ())])
@pytest.mark.parametrize("there", [{}, {"production": b'{"n":1}', "approved": b'{"n":1}'}])
def test_what_somebody_else_did_is_left(tag: str, lets: list[str], there: dict[str, bytes]) -> None:
    of = double(tags={"1": b'{"n":1}', **there}, lets=lets)
    verdict = judged(visit(of, transport=Race(of, tag, b'{"n":2}')))
    assert of.tags[tag] == b'{"n":2}'
    assert not [each for each in of.seen if each.startswith("DELETE") and each.endswith(f"/{tag}")]
    assert verdict.outcome is Outcome.FAIL
    says = "could not be put back" if tag in lets else "it names what the gate did not send, which is left as it is"
    assert says in verdict.reason, verdict.reason


def test_only_the_gates_own_version_is_fixed() -> None:
    of = double(lets=["version"])
    verdict = judged(visit(of))
    assert found(verdict) == {("RA-OVERWRITE", "version")}
    assert "PUT /v2/models/sample/manifests/2" in of.seen
    assert "PUT /v2/models/sample/manifests/1" not in of.seen
    assert of.tags == TAGS | {CANARY: spelled("once")}


class Anonymous(Double):
    """A registry that never asks who somebody is; whoever says it may do everything."""

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asks, self.lets = "nobody", {*ACTS} if "authorization" in request.headers else set()
        return super().answer(request)


def test_what_nobody_is_refused_the_producer_is_not() -> None:
    of = Anonymous(PLACE, LOGIN, tags=TAGS)
    verdict = judged(visit(of, login=None))
    assert (verdict.outcome, verdict.cause) == (Outcome.INCONCLUSIVE, "answer"), verdict.reason
    assert {act for _, act in found(judged(visit(of)))} == {*ACTS}
    of = double(asks="nobody", lets=["delete"])
    assert found(judged(visit(of, login=None))) == {("RA-DELETE", "delete")}


@pytest.mark.parametrize(
    "password", ["abcdefabcdef", "abcdefabcdefg", "abcdefabcdefgh", "\u00fe\u00ff?>\u00fe\u00ff?>"]
)
def test_credentials_in_no_spelling(password: str) -> None:
    login = Login("producer", password)
    sent = login.basic().partition(" ")[2]
    for each in (sent, sent.rstrip("="), sent.replace("+", "-").replace("/", "_").rstrip("=")):
        assert login.within(f"x{each}x")


@pytest.mark.parametrize("asks", ["basic", "bearer"])
def test_tags_that_may_say_anything_are_told_by_a_digest(asks: Asks) -> None:
    of = double(asks=asks, tags={**TAGS, "who-knows": b"{}"})
    snapshot = visit(of)
    assert "who-knows" not in snapshot.model_dump_json()
    assert f"other-{sha(b'who-knows')}" in snapshot.answers["before"]["tags"]
    assert judged(snapshot).outcome is Outcome.PASS
    of = double(asks="bearer", tags=TAGS)
    of.tags[of.token] = b"{}"
    snapshot = visit(of)
    assert "answers with the credentials" in judged(snapshot).reason
    assert of.token not in snapshot.model_dump_json()


@pytest.mark.parametrize("slow", ["header", "announced"])
def test_an_answer_that_does_not_come_is_waited_for_no_longer(slow: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "SECONDS", 0.4)
    piece = b"x" if slow == "header" else b"HTTP/1.1 103 Early Hints\r\n\r\n"
    over = Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            at, _ = server.accept()
            with at, contextlib.suppress(OSError):
                at.sendall(b"HTTP/1.1 200 OK\r\nX: " if slow == "header" else b"")
                while not over.wait(0.05):
                    at.sendall(piece)

        thread = Thread(target=drip, daemon=True)
        thread.start()
        began = time.monotonic()
        place = Place(f"127.0.0.1:{server.getsockname()[1]}", "sample", "UnsafeHttp")
        told = Thread(target=lambda: said.append(trespass(place, LOGIN, "once")), daemon=True)
        said: list[Snapshot] = []
        told.start()
        told.join(5)
        over.set()
        thread.join(5)
    assert said, "it waits for ever"
    assert time.monotonic() - began < 4
    assert "takes its time" in said[0].answers["place"]["error"]
