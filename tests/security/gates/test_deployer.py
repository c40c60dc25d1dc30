"""The gate over who deploys, against an API server's reviews over Roles and bindings.

The cheapest that would satisfy the words, and what catches each:
- only what is needed is asked for, and never anything else: `test_whatever_is_granted_beyond_is_found`;
- a server that says yes, or no, to everything is believed: `test_a_server_that_decides_nothing`;
- an answer is taken for one to whatever was asked: `test_an_answer_to_another_question_is_none`;
- images are compared by how their names begin: `test_registries_are_compared_by_whole_parts`.
"""

import json
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from security.access import FORBIDDEN, NEEDED, Grant
from security.engines.reviews import ACTIONS, QUESTIONS, Ask, Target, process, reviews, shown
from security.errors import PlanError
from security.gate import judge, observe
from security.gates.deployer import DeploymentAuthorization, Limits
from security.gates.deployer.double import Double, bound
from security.gates.deployer.rules import FAMILIES
from security.material import Material
from security.policy import Terms, effect, unsafe
from security.posture import asked
from security.resolve import RESOLVE
from security.verdict import Outcome, Snapshot, Verdict
from tests.security.gates.rbac import ACCOUNTS, DEPLOYER, HERE, KNOWN, USER, Server, broken, paths, rule

if TYPE_CHECKING:
    from tests.conformance.subjects import Case

GATE = DeploymentAuthorization()
IMAGES = {
    f"Deployment/{HERE}/sample, containers[0]": f"registry.example/models/sluice@sha256:{'a' * 64}",
    f"Job/{HERE}/sample-probe, containers[0]": f"registry.example/models/sluice:1@sha256:{'a' * 64}",
}
TARGET = Target("https://cluster.example:6443", ("b" * 64,), HERE)
LIMITS: dict[str, Any] = {
    "name": "sample",
    "target": "kubernetes_test",
    "server": TARGET.server,
    "ca": TARGET.ca[0],
    "identity": USER,
    "registries": ["registry.example/models"],
}


def visit(ask: Ask, *others: str, target: Target = TARGET, images: dict[str, str] = IMAGES) -> Snapshot:
    return reviews(ask, target, images, "once", others)


def judged(of: Snapshot | Server, **limits: Any) -> Verdict:
    snapshot = visit(of.ask) if isinstance(of, Server) else of
    return judge(GATE, observe(GATE, asked(GATE, snapshot), LIMITS | limits), LIMITS | limits)


def found(verdict: Verdict) -> set[str]:
    return {each.rule for each in verdict.findings}


def case(folder: Path) -> "Case":
    """A cluster whose deployer has what it needs; in the bad one it may read secrets as well."""
    from tests.conformance.subjects import Case  # which has this one among its own

    def opened(*more: dict[str, Any]) -> Material[Any]:
        server = Server().deployer()
        server.grant(HERE, [*more])
        return asked(GATE, visit(server.ask))

    return Case(
        LIMITS,
        LIMITS | {"registries": ["registry.example/others"]},
        good=lambda: opened(rule("list", "pods")),
        bad=lambda: opened(rule("list", "secrets")),
        rule="DA-SECRETS",
    )


def test_a_deployer_with_what_it_needs_passes() -> None:
    server = Server().deployer()
    verdict = judged(server)
    assert (verdict.outcome, verdict.findings) == (Outcome.PASS, ()), verdict.reason
    assert "35 rights and no other by the rules in 3 namespaces, 2 images" in verdict.reason
    assert {*server.asked} == {"selfsubjectreviews", "selfsubjectrulesreviews", "selfsubjectaccessreviews"}
    assert judged(server, others=["team"]).cause == "coverage"
    assert judged(visit(server.ask, "team"), others=["team"]).outcome is Outcome.PASS


def test_the_role_may_be_the_clusters_and_bound_in_the_namespace() -> None:
    server = Server()
    server.grant(HERE, DEPLOYER, cluster=True)
    server.grant(HERE, [rule("get patch", "namespaces", "", HERE)])
    assert judged(server).outcome is Outcome.PASS


@pytest.mark.parametrize("action", NEEDED, ids=lambda each: each.label)
def test_what_is_needed_and_denied_is_named(action: Any) -> None:
    verdict = judged(visit(Double(HERE, USER, [KNOWN, ACCOUNTS], lacks=[action.label]).ask))
    assert [(each.rule, each.place) for each in verdict.findings] == [("DA-NEED", action.kind)]
    assert f"{action.verb} denied" in verdict.reason


@pytest.mark.parametrize("name", FORBIDDEN)
def test_what_must_not_be_is_found_by_its_rule(name: Any) -> None:
    """Each by itself, as a Role of its own."""
    for each in FORBIDDEN[name]:
        server = Server().deployer()
        space = each.namespace(HERE)
        server.grant(space, [rule(each.verb, each.resource, each.group, *([HERE] if each.named else []))])
        verdict = judged(server)
        rules = set(FAMILIES.values()) if name == "wild" and each.where == "everywhere" else {FAMILIES[name]}
        if name == "wild":
            assert found(verdict) >= {"DA-WILD", "DA-SECRETS", "DA-EXEC", "DA-RBAC"}
            assert found(verdict) <= rules | set(FAMILIES.values())
        else:
            assert found(verdict) == rules, each
            assert each.label.rpartition(" ")[0] in verdict.reason


WORDS = {
    "verbs": ["get", "list", "watch", "create", "update", "patch", "delete", "*"],
    "groups": ["", "apps", "batch", "rbac.authorization.k8s.io", "*"],
    "resources": ["pods", "pods/log", "secrets", "configmaps", "deployments", "jobs", "roles", "*", "*/scale"],
}


@settings(max_examples=80, deadline=None)
@given(
    verbs=st.sets(st.sampled_from(WORDS["verbs"]), min_size=1, max_size=3),
    group=st.sampled_from(WORDS["groups"]),
    resources=st.sets(st.sampled_from(WORDS["resources"]), min_size=1, max_size=2),
    names=st.sets(st.sampled_from([HERE, "one"]), max_size=1),
    where=st.sampled_from([HERE, "default", "kube-system", "team", ""]),
)
def test_whatever_is_granted_beyond_is_found(
    verbs: set[str], group: str, resources: set[str], names: set[str], where: str
) -> None:
    """One more rule, anywhere that is asked about: the verdict stays a pass only where all of it is needed there."""
    server = Server().deployer()
    server.grant(where, [rule(" ".join(sorted(verbs)), " ".join(sorted(resources)), group, *names)])
    verdict = judged(visit(server.ask, "team"), others=["team"])
    mine = {(each.verb, each.group, each.resource) for each in NEEDED if not each.named}
    needed = where == HERE and {(v, group, r) for v in verbs for r in resources} <= mine
    assert (verdict.outcome is Outcome.PASS) == needed, verdict.reason
    assert needed or verdict.outcome is Outcome.FAIL
    assert not found(verdict) & {"DA-AGREE", "DA-NEED", "DA-WHO", "DA-TARGET", "DA-IMAGE"}


def test_a_right_in_a_namespace_that_nobody_asked_about_is_not_seen() -> None:
    """What stays open, and the policy's `others` close."""
    server = Server().deployer()
    server.grant("team", [rule("get", "secrets")])
    assert judged(server).outcome is Outcome.PASS
    verdict = judged(visit(server.ask, "team"), others=["team"])
    assert found(verdict) == {"DA-SECRETS"}
    assert "get secrets (by the rules in team)" in verdict.reason
    server.grant("team", DEPLOYER)
    assert "DA-ELSEWHERE" in found(judged(visit(server.ask, "team"), others=["team"]))


def test_what_a_review_has_said_hides_nothing_else() -> None:
    """The same right on one object, or in a namespace that no review asked about, is told beside it."""
    server = Server().deployer()
    server.grant(HERE, [rule("get", "secrets"), rule("get", "secrets", "", "one")])
    server.grant("team", [rule("get", "secrets")])
    verdict = judged(visit(server.ask, "team"), others=["team"])
    assert [each.rule for each in verdict.findings] == ["DA-SECRETS"]
    for said in ("get secrets here", f"get secrets one (by the rules in {HERE})", "(by the rules in"):
        assert said in verdict.reason
    assert f"get secrets (by the rules in {HERE}, team)" in verdict.reason


def test_one_object_or_one_address_more() -> None:
    for more, where, rules in (
        (rule("get", "secrets", "", "one"), HERE, {"DA-SECRETS"}),
        (rule("get", "namespaces"), "", {"DA-NAMESPACES"}),
        (rule("patch", "namespaces", "", HERE, "other"), "", {"DA-NAMESPACES"}),
        (paths("/metrics"), "", {"DA-MORE"}),
        (paths("/apis/*", verbs="get post"), "", {"DA-WILD"}),
        (paths("/api/v1", verbs="get"), "", {"DA-MORE"}),
        (rule("*", "*", "*"), "default", {"DA-WILD", "DA-ELSEWHERE"}),
    ):
        server = Server().deployer()
        server.grant(where, [more])
        assert found(judged(server)) == rules, more


def test_a_server_that_decides_nothing() -> None:
    """AlwaysAllow says yes, and that there is every rule; one that says no to all denies what is needed."""

    class Yes(Server):
        def allowed(self, asked: Any) -> tuple[bool, str]:
            return True, ""

    verdict = judged(Yes().deployer())
    assert found(verdict) == {*FAMILIES.values(), "DA-AGREE"} - {"DA-MORE"}
    assert any("what was made up for this question" in each.message for each in verdict.findings)
    yes = Yes()
    yes.webhook = True  # then rules say nothing; the question that was made up does
    assert "DA-WILD" in found(judged(yes))

    class No(Server):
        def allowed(self, asked: Any) -> tuple[bool, str]:
            return asked["resource"].startswith("selfsubject"), ""

    assert found(judged(No().deployer())) == {"DA-NEED", "DA-AGREE"}


def test_rules_and_reviews_that_contradict_each_other() -> None:
    server = Server().deployer()
    good = visit(server.ask)
    for label, rules in (("list pods here", {"DA-NEED", "DA-AGREE"}), ("get secrets here", {"DA-SECRETS", "DA-AGREE"})):
        allowed = label != "list pods here"
        odd = good.model_copy(update={"answers": {**good.answers, label: {"allowed": allowed, "unsure": False}}})
        verdict = judged(odd)
        assert found(verdict) == rules
        told = next(each for each in verdict.findings if each.rule == "DA-AGREE")
        assert f"{label} is {'allowed' if allowed else 'denied'}, and the rules say otherwise" in told.message
    server.webhook = True  # something else decides as well: that explains it
    good = visit(server.ask)
    answers = {**good.answers, "get secrets here": {"allowed": True, "unsure": False}}
    assert found(judged(good.model_copy(update={"answers": answers}))) == {"DA-SECRETS"}


def test_a_list_that_is_not_complete_is_left_open_and_what_it_has_is_judged() -> None:
    server = Server().deployer()
    server.webhook = True
    verdict = judged(server)
    assert (verdict.outcome, verdict.cause) == (Outcome.INCONCLUSIVE, "incomplete")
    assert "214 things were asked for by name; whether anything else is allowed nobody can tell" in verdict.reason
    assert effect(verdict, Terms(limits={}, accepts={}, observe=("incomplete",))).action == "proceed"
    server.grant(HERE, [rule("watch", "configmaps")])
    assert found(judged(server)) == {"DA-MORE"}
    server = Server()
    server.webhook = True
    assert found(judged(server)) == {"DA-NEED"}


def test_an_error_while_deciding_is_observed_by_nobody() -> None:
    server = Server().deployer()
    server.bindings.append((HERE, (HERE, "gone"), USER))
    verdict = judged(server)
    assert (verdict.outcome, verdict.cause) == (Outcome.INCONCLUSIVE, "evaluation")
    assert "evaluation" not in GATE.causes
    good = visit(Server().deployer().ask)
    for label in ("control", "list pods here", "get secrets here"):
        answers = {**good.answers, label: {**good.answers[label], "unsure": True}}
        verdict = judged(good.model_copy(update={"answers": answers}))
        assert (verdict.outcome, verdict.cause) == (Outcome.INCONCLUSIVE, "evaluation")
        assert label in verdict.reason


@pytest.mark.parametrize("status", [0, 301, 401, 403, 404, 429, 500])
def test_a_server_that_does_not_answer(status: int) -> None:
    verdict = judged(visit(broken(status)))
    assert (verdict.outcome, verdict.cause) == (Outcome.INCONCLUSIVE, "unreadable")
    assert verdict.reason.startswith("who: ")
    assert (str(status) if status else "cannot be reached") in verdict.reason


@pytest.mark.parametrize("kind", ["SelfSubjectReview", "SelfSubjectRulesReview", "SelfSubjectAccessReview"])
@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_review_that_is_switched_off(kind: str, status: int) -> None:
    server = Server().deployer()

    def ask(method: str, path: str, body: Any) -> tuple[int, Any]:
        return broken(status)(method, path, body) if body["kind"] == kind else server.ask(method, path, body)

    verdict = judged(visit(ask))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert f"{kind}: was answered {status}" in verdict.reason


def changed(kind: str, change: Any) -> Verdict:
    """The verdict of a server whose answers to one kind of review are changed on the way."""
    server = Server().deployer()

    def ask(method: str, path: str, body: Any) -> tuple[int, Any]:
        status, told = server.ask(method, path, body)
        return status, change(told) if body["kind"] == kind else told

    return judged(visit(ask))


SPOILT: list[tuple[str, Any]] = [
    ("SelfSubjectAccessReview", lambda told: None),
    ("SelfSubjectAccessReview", lambda told: [told]),
    ("SelfSubjectAccessReview", lambda told: {**told, "kind": "Status"}),
    ("SelfSubjectAccessReview", lambda told: {**told, "apiVersion": "authorization.k8s.io/v1beta1"}),
    ("SelfSubjectAccessReview", lambda told: {**told, "spec": {"resourceAttributes": {"verb": "get"}}}),
    ("SelfSubjectAccessReview", lambda told: {**told, "spec": {**told["spec"], "nonResourceAttributes": {}}}),
    ("SelfSubjectAccessReview", lambda told: {**told, "spec": {}}),
    ("SelfSubjectAccessReview", lambda told: {**told, "status": None}),
    ("SelfSubjectAccessReview", lambda told: {**told, "status": {}}),
    ("SelfSubjectAccessReview", lambda told: {**told, "status": {"allowed": "true"}}),
    ("SelfSubjectAccessReview", lambda told: {**told, "status": {"allowed": True, "denied": True}}),
    ("SelfSubjectRulesReview", lambda told: {**told, "spec": {"namespace": "another"}}),
    ("SelfSubjectRulesReview", lambda told: {**told, "status": {**told["status"], "incomplete": "no"}}),
    ("SelfSubjectRulesReview", lambda told: {**told, "status": {**told["status"], "resourceRules": {}}}),
    ("SelfSubjectRulesReview", lambda told: {**told, "status": {**told["status"], "resourceRules": ["get"]}}),
    ("SelfSubjectRulesReview", lambda told: {**told, "status": {**told["status"], "resourceRules": [{"verb": "x"}]}}),
    ("SelfSubjectRulesReview", lambda told: {**told, "status": {**told["status"], "resourceRules": [{"verbs": "x"}]}}),
    ("SelfSubjectRulesReview", lambda told: {**told, "status": {"nonResourceRules": [{"paths": ["/"]}]}}),
    ("SelfSubjectRulesReview", lambda told: {**told, "status": {"resourceRules": [{"verbs": ["a b"]}]}}),
    ("SelfSubjectReview", lambda told: {**told, "status": {}}),
    ("SelfSubjectReview", lambda told: {**told, "status": {"userInfo": {"username": ""}}}),
    ("SelfSubjectReview", lambda told: {**told, "status": {"userInfo": {"username": "x", "groups": "y"}}}),
]


@pytest.mark.parametrize(("kind", "change"), SPOILT)
def test_an_answer_to_another_question_is_none(kind: str, change: Any) -> None:
    verdict = changed(kind, change)
    assert (verdict.outcome, verdict.cause) == (Outcome.INCONCLUSIVE, "unreadable"), verdict.reason


def test_who_deploys() -> None:
    for user, groups, place in (
        ("system:anonymous", ("system:unauthenticated",), "user"),
        (USER, (ACCOUNTS,), "user"),
        (USER, (KNOWN, "system:unauthenticated"), "user"),
        ("system:serviceaccount:other:deployer", (KNOWN,), "user"),
        (USER, (KNOWN, "system:masters"), "system:masters"),
        (USER, (KNOWN, f"{ACCOUNTS}:other"), f"{ACCOUNTS}:other"),
        (USER, (KNOWN, "friends"), shown("friends")),
    ):
        good = visit(Server().deployer().ask)
        who = {"user": shown(user), "groups": sorted(map(shown, groups))}
        verdict = judged(good.model_copy(update={"answers": {**good.answers, "who": who}}))
        assert [each.place for each in verdict.findings if each.rule == "DA-WHO"] == [place], (user, groups)
        assert found(verdict) <= {"DA-WHO", "DA-MORE"}  # what every service account has, another has not by itself


def test_a_person_who_deploys_is_known_by_a_digest() -> None:
    name = "some.body@example.com"
    server = Server(name, (KNOWN, "friends"))
    server.grant(HERE, DEPLOYER, who="friends")
    server.grant("", [rule("get patch", "namespaces", "", HERE)], who=name)
    snapshot = visit(server.ask)
    assert judged(snapshot, identity=name, groups=["friends"]).outcome is Outcome.PASS
    verdict = judged(snapshot, identity="another@example.com")
    assert {each.place for each in verdict.findings} == {"user", shown("friends")}
    server.grant("", [paths("/openid/v1/jwks")], who="friends")  # every service account has it, a person has not
    assert found(judged(visit(server.ask), identity=name, groups=["friends"])) == {"DA-MORE"}
    told = observe(GATE, asked(GATE, snapshot), LIMITS).model_dump_json() + verdict.model_dump_json()
    assert name not in told
    assert "another@" not in told


def test_another_target_than_the_policys() -> None:
    server = Server().deployer()
    for change, place in (
        ({"server": "https://other.example"}, "server"),
        ({"server": ""}, "server"),
        ({"ca": "c" * 64}, "ca"),
        ({"ca": ""}, "ca"),
        ({"namespace": "sluice-other"}, "namespace"),
        ({"name": "other"}, "namespace"),
        ({"namespace": "sluices-*"}, "namespace"),
        ({"target": "local"}, "target"),
    ):
        verdict = judged(server, **change)
        assert [(each.rule, each.place) for each in verdict.findings] == [("DA-TARGET", place)], change
    assert judged(server, namespace="sluice-*").outcome is Outcome.PASS
    two = Target(TARGET.server, (*TARGET.ca, "c" * 64), HERE)
    assert [each.place for each in judged(visit(server.ask, target=two)).findings] == ["ca"]
    told = Limits.model_validate(LIMITS | {"namespace": "kube*"})
    assert [told.lies(each) for each in ("kube-system", "default", "kubernetes-models")] == [False, False, True]


PINNED = f"@sha256:{'a' * 64}"


@pytest.mark.parametrize(
    ("image", "listed", "good"),
    [
        (f"registry.example/models/a{PINNED}", "registry.example/models", True),
        (f"registry.example/models/a/b{PINNED}", "registry.example/models", True),
        (f"registry.example/models{PINNED}", "registry.example/models", True),
        (f"registry.example/models/a:1{PINNED}", "registry.example", True),
        (f"registry.example:5000/models/a{PINNED}", "registry.example:5000/models", True),
        (f"registry.example.evil/models/a{PINNED}", "registry.example", False),
        (f"registry.example/models-evil/a{PINNED}", "registry.example/models", False),
        (f"evil.example/registry.example/models/a{PINNED}", "registry.example/models", False),
        (f"registry.example:5001/models/a{PINNED}", "registry.example", False),
        (f"registry.example/models/../evil/a{PINNED}", "registry.example/models", False),
        (f"registry.example/models//a{PINNED}", "registry.example/models", False),
        (f"registry.example/Models/a{PINNED}", "registry.example/models", False),
        (f"user@registry.example/models/a{PINNED}", "registry.example/models", False),
        (f"https://registry.example/models/a{PINNED}", "registry.example/models", False),
        ("registry.example/models/a:1", "registry.example/models", False),
        ("registry.example/models/a@sha256:abc", "registry.example/models", False),
        (f"registry.example/models/a{PINNED}\n", "registry.example/models", False),
        (f"a{PINNED}", "registry.example/models", False),
        ("", "registry.example/models", False),
    ],
)
def test_registries_are_compared_by_whole_parts(image: str, listed: str, good: bool) -> None:
    snapshot = visit(Server().deployer().ask, images={"Deployment/x": image})
    verdict = judged(snapshot, registries=[listed])
    assert found(verdict) == (set() if good else {"DA-IMAGE"})
    assert found(judged(snapshot, registries=[])) == {"DA-IMAGE"}


def test_a_process_is_no_cluster() -> None:
    verdict = judged(process({"Deployment/x": ""}), target="local")
    assert (verdict.outcome, verdict.cause, verdict.findings) == (Outcome.INCONCLUSIVE, "process", ())
    assert effect(verdict, Terms(limits={}, accepts={}, observe=("process",))).action == "proceed"
    bare = {"name": "sample", "target": "local"}
    for seed in range(30):
        seen = observe(GATE, asked(GATE, process({"Deployment/x": ""})), bare, random.Random(seed))
        assert judge(GATE, seen, bare).cause == "process"  # its canaries are caught by a policy that names nothing
    for target in ("kubernetes_test", "kubernetes_prod"):
        verdict = judged(process(IMAGES), target=target)
        assert (verdict.outcome, verdict.cause) == (Outcome.INCONCLUSIVE, "process")
        assert effect(verdict, Terms(limits={}, accepts={}, observe=("incomplete",))).action == "stop"
    mixed = process(IMAGES)
    answers = {**mixed.answers, "list pods here": {"allowed": True, "unsure": False}}
    assert judged(mixed.model_copy(update={"answers": answers})).cause == "unreadable"
    assert judged(process({})).cause != "process"


def test_a_policy_that_names_nothing_lets_no_cluster_pass() -> None:
    bare = {"name": "sample", "target": "kubernetes_prod"}
    seen = observe(GATE, asked(GATE, visit(Server().deployer().ask)), bare)
    verdict = judge(GATE, seen, bare)
    assert verdict.outcome is Outcome.FAIL
    assert {(each.rule, each.place) for each in verdict.findings} == {
        ("DA-TARGET", "server"),
        ("DA-TARGET", "ca"),
        ("DA-WHO", "user"),
        *(("DA-IMAGE", place) for place in IMAGES),
    }
    assert not list(unsafe(Limits.model_validate(bare).model_dump()))


@pytest.mark.parametrize(
    "bad",
    [
        {"groups": ["system:masters"]},
        {"groups": ["system:unauthenticated"]},
        {"identity": "system:anonymous"},
        {"server": "http://cluster.example"},
        {"server": "https://user@cluster.example"},
        {"namespace": "kube-system"},
        {"namespace": "default"},
        {"namespace": "*"},
        {"namespace": "a*b"},
        {"registries": [""]},
        {"registries": ["registry.example/"]},
        {"registries": ["https://registry.example"]},
        {"credentials": "kubeconfig"},
        {"ca": "B" * 64},
        {"target": "cluster"},
    ],
)
def test_limits_that_are_none(bad: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Limits.model_validate(LIMITS | bad)


def test_name_and_target_are_the_plans() -> None:
    plan = {"document": {"pipeline_name": "sample"}, "target": "kubernetes_prod"}
    told = RESOLVE["deployment_authorization"]({"server": TARGET.server}, plan, "place")
    assert told == {"server": TARGET.server, "name": "sample", "target": "kubernetes_prod"}
    for name in ("name", "target"):
        with pytest.raises(PlanError, match=f"limits.{name}: is the plan's to say"):
            RESOLVE["deployment_authorization"]({name: "x"}, plan, "place")


def test_answers_that_are_missing_or_odd() -> None:
    good = visit(Server().deployer().ask).answers
    assert {*good} == {*QUESTIONS}
    for question in random.Random(7).sample(QUESTIONS[5:], 12) + list(QUESTIONS[:5]):
        less = {name: answer for name, answer in good.items() if name != question}
        verdict = judged(Snapshot(kind="cluster", uri="x", taken=time.time(), answers=less))
        assert (verdict.outcome, verdict.reason) == (Outcome.INCONCLUSIVE, f"{question} has no answer")
    rules = good["rules"]
    changes: list[dict[str, dict[str, Any]]] = [
        {"list pods here": {"allowed": True}},
        {"list pods here": {"allowed": 1, "unsure": False}},
        {"list pods here": {"allowed": True, "unsure": False, "why": ""}},
        {"who": {"user": "somebody", "groups": []}},
        {"who": {"user": USER}},
        {"who": {"user": USER, "groups": [KNOWN, KNOWN]}},
        {"place": {"form": "process"}},
        {"place": {"form": "other"}},
        {"place": {**good["place"], "ca": []}},
        {"place": {**good["place"], "server": "http://cluster.example"}},
        {"place": {**good["place"], "namespace": "another"}},
        {"images": {}},
        {"images": {"x": 1}},
        {"rules": {name: each for name, each in rules.items() if name != "default"}},
        {"rules": {**rules, HERE: {**rules[HERE], "incomplete": 0}}},
        {"rules": {**rules, HERE: {**rules[HERE], "paths": [{"verbs": ["get"], "paths": ["metrics"]}]}}},
        {"what is this": {}},
    ]
    for change in changes:
        verdict = judged(Snapshot(kind="cluster", uri="x", taken=time.time(), answers={**good, **change}))
        assert verdict.outcome is Outcome.INCONCLUSIVE, change
        assert not verdict.findings, change


def test_facts_that_contradict_each_other_are_none() -> None:
    seen = observe(GATE, asked(GATE, visit(Server().deployer().ask)), LIMITS)
    cluster = seen.facts["cluster"]
    for change in (
        {"denied": cluster["denied"][1:]},
        {"allowed": [*cluster["allowed"], cluster["denied"][0]]},
        {"unsure": ["what"]},
        {"rules": {}},
        {"groups": [KNOWN, KNOWN]},
    ):
        told = json.loads(json.dumps({**seen.facts, "cluster": {**cluster, **change}}))
        verdict = judge(GATE, seen.model_copy(update={"facts": told}), LIMITS)
        assert (verdict.outcome, verdict.cause) == (Outcome.INCONCLUSIVE, "facts"), change


def test_no_credentials_are_told() -> None:
    word = f"k{random.Random(3).getrandbits(200):x}"
    server = Server().deployer()
    server.grant(HERE, [rule("get", "configmaps", "", word)])
    snapshot = reviews(server.ask, TARGET, IMAGES, "once", tells=lambda text: word in text)
    assert word not in snapshot.model_dump_json()
    assert judged(snapshot).reason == "place: the server answers with the credentials that it was sent"


def test_an_engine_that_breaks_tells_nothing() -> None:
    def ask(method: str, path: str, body: Any) -> tuple[int, Any]:
        raise RuntimeError("with a password in it")

    verdict = judged(visit(ask))
    assert (verdict.outcome, verdict.reason) == (Outcome.INCONCLUSIVE, "who: a crash (RuntimeError)")


def test_questions_are_asked_in_an_order_that_nobody_knows() -> None:
    orders = set()
    for nonce in ("a", "b", "c"):
        seen: list[str] = []
        server = Server().deployer()

        def ask(method: str, path: str, body: Any, seen: list[str] = seen, server: Server = server) -> tuple[int, Any]:
            seen.append(json.dumps(body, sort_keys=True))
            return server.ask(method, path, body)

        reviews(ask, TARGET, IMAGES, nonce)
        assert len(seen) == 4 + 1 + len(ACTIONS)
        orders.add(tuple(seen))
    assert len(orders) == 3


@pytest.mark.parametrize("rule_id", GATE.rules)
@pytest.mark.parametrize("webhook", [False, True])
def test_a_canary_of_each_rule_is_caught_by_it_alone(rule_id: str, webhook: bool) -> None:
    server = Server().deployer()
    server.webhook = webhook
    sample = list(asked(GATE, visit(server.ask, "team")).source())
    terms = Limits.model_validate(LIMITS | {"others": ["team"]})
    for seed in range(25):
        items = GATE.violations[rule_id](sample, random.Random(seed))
        seen = GATE.look(asked(GATE, visit(server.ask)).decoy(items).handed()[0])
        assert {each.rule for each in GATE.judge(seen, terms)} == {rule_id}


def test_a_canary_is_wrong_in_one_thing_whoever_deploys() -> None:
    name = "some.body@example.com"
    server = Server(name, (KNOWN, "friends"))
    sample = list(asked(GATE, visit(server.ask)).source())
    terms = Limits.model_validate(LIMITS | {"identity": name, "groups": ["friends"]})
    for rule_id in GATE.rules:
        items = GATE.violations[rule_id](sample, random.Random(11))
        seen = GATE.look(asked(GATE, visit(server.ask)).decoy(items).handed()[0])
        assert {each.rule for each in GATE.judge(seen, terms)} == {rule_id}


def test_canaries_are_asked_by_the_engine_that_asks_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that tells of a deployer with what it needs, whoever is asked, is caught by its canaries."""
    from security.gates.deployer import decoys

    def tame(ask: Ask, *told: Any) -> Snapshot:
        return reviews(Double(HERE).ask, *told)

    monkeypatch.setattr(decoys, "reviews", tame)
    caught, snapshot = 0, visit(Server().deployer().ask)
    for seed in range(30):
        seen = observe(GATE, asked(GATE, snapshot), LIMITS, random.Random(seed))
        caught += judge(GATE, seen, LIMITS).cause == "canary"
    assert caught >= 20  # of who asks, where, and what is to run the sample's own answers are changed


@settings(max_examples=60, deadline=None)
@given(labels=st.sets(st.sampled_from(sorted(ACTIONS)), max_size=6))
def test_the_double_decides_as_kubernetes_does(labels: set[str]) -> None:
    """Known-bad servers are doubles: they must answer as the other code for the same bindings does."""
    more = [bound(ACTIONS[label], HERE) for label in sorted(labels)]
    server = Server().deployer()
    for where, each in more:
        assert isinstance(each, Grant)
        server.grant(where, [rule(*(" ".join(x) for x in (each.verbs, each.resources)), each.groups[0], *each.names)])
    double = Double(HERE, USER, server.groups, more=more)
    mine, theirs = visit(double.ask).answers, visit(server.ask).answers
    assert {label: mine[label] for label in ("who", "control", *ACTIONS)} == {
        label: theirs[label] for label in ("who", "control", *ACTIONS)
    }
