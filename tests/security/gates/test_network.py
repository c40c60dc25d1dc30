"""What network policies allow against what is declared: mutants, one smallest violation of each rule, and what is no
answer."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from security.errors import CannotTell
from security.gate import judge, observe
from security.gates.network import PROBE, Facts, Limits, NetworkPolicyEnforcement
from security.manifests import Item, material
from security.material import Handed, Material
from security.policy import Terms, effect
from security.verdict import Basis, Outcome, Subject, Verdict
from tests.security.manifests.given import COMPONENT, COMPONENTS, OWN, Objects, changed, rendered

if TYPE_CHECKING:
    from tests.conformance.subjects import Case

GATE = NetworkPolicyEnforcement()
SUBJECT = Subject(kind="manifests", name="rendered", sha256="0" * 64)
LIMITS: dict[str, Any] = {"components": COMPONENTS}
ALLOWED = {"name": "sample:80 allowed", "expected": "allowed", "outcome": "connected"}
DENIED = {"name": "sample:80 denied", "expected": "denied", "outcome": "timeout"}
RENDERED = dict.fromkeys(set(GATE.rules) - {"NP-16"}, Basis.RENDERED)
SERVING, PROBES, DENY = "NetworkPolicy/sample-serving", "NetworkPolicy/sample-probes", "NetworkPolicy/default-deny"
BESIDE = {
    "NP-06": frozenset({"NP-12"}),
    "NP-07": frozenset({"NP-12"}),
    "NP-08": frozenset({"NP-13"}),
    "NP-09": frozenset({"NP-13"}),
    "NP-15": frozenset({"NP-12"}),
}


def probed(*results: dict[str, str]) -> Item:
    return PROBE, json.dumps(list(results)).encode()


def opened(items: list[Item], basis: Basis = Basis.OBSERVED) -> Material[Any]:
    return material(SUBJECT, items, expected=len(items), basis=basis)


def case(folder: Path) -> "Case":
    """Our own manifests with a probe that saw what it should; in the bad ones a policy lets in one namespace more. A
    stricter policy lets the service ask for no names."""
    from tests.conformance.subjects import Case  # which has this one among its own

    def worse(told: Objects) -> None:
        rule = told[SERVING]["spec"]["ingress"][0]
        other = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "elsewhere"}}}
        rule["from"].append({**other, "podSelector": {"matchLabels": {"app": "x"}}})

    told = probed(ALLOWED, DENIED)
    quiet = {**COMPONENTS, "serving": {**COMPONENTS["serving"], "dns": False}}
    return Case(
        LIMITS,
        {"components": quiet},
        good=lambda: opened([*rendered(), told]),
        bad=lambda: opened([*changed(worse), told]),
        rule="NP-12",
        beside=BESIDE,
    )


def look(items: list[Item]) -> Facts:
    return GATE.look(Handed(SUBJECT, iter(items)))


def rules(items: list[Item], **limits: Any) -> set[str]:
    """The rules that are broken, with a probe that saw nothing wrong."""
    facts = look([*items, probed(ALLOWED, DENIED)])
    return {each.rule for each in GATE.judge(facts, Limits.model_validate(LIMITS | limits))}


def verdict(items: list[Item], basis: Basis, accepts: dict[str, Basis] | None = None, **limits: Any) -> Verdict:
    seen = observe(GATE, opened(items, basis), LIMITS | limits, random.Random(1))
    return judge(GATE, seen, LIMITS | limits, accepts)


def ingress(told: Objects) -> dict[str, Any]:
    """The rule that lets the gateway in."""
    return told[SERVING]["spec"]["ingress"][0]  # type: ignore[no-any-return]


def container(told: Objects) -> dict[str, Any]:
    return told[f"Deployment/{OWN}"]["spec"]["template"]["spec"]["containers"][0]  # type: ignore[no-any-return]


def out(told: Objects, *peers: dict[str, Any], port: int = 443) -> None:
    told[SERVING]["spec"]["egress"].append({"to": list(peers), "ports": [{"protocol": "TCP", "port": port}]})


def block(cidr: str, *excluded: str) -> dict[str, Any]:
    return {"ipBlock": {"cidr": cidr, **({"except": list(excluded)} if excluded else {})}}


def wrong(told: Objects) -> None:
    told[SERVING]["metadata"]["namespace"] = "other"


def names(told: Objects) -> None:
    told[SERVING]["spec"]["egress"] = []


def halves(told: Objects) -> None:
    ingress(told)["from"] += [block("0.0.0.0/1"), block("128.0.0.0/1")]


def split(told: Objects) -> None:
    (peer,) = ingress(told)["from"]
    ingress(told)["from"] = [{key: value} for key, value in peer.items()]


MUTANTS: dict[str, tuple[Callable[[Objects], object], set[str]]] = {
    "a selector with a typo": (
        lambda o: o[SERVING]["spec"]["podSelector"]["matchLabels"].update({COMPONENT: "servign"}),
        {"NP-03", "NP-04", "NP-10", "NP-12"},
    ),
    "no type Egress": (lambda o: o[DENY]["spec"].update(policyTypes=["Ingress"]), {"NP-02"}),
    "a list item too many": (split, {"NP-12", "NP-15"}),
    "no `from`": (lambda o: ingress(o).pop("from"), {"NP-06", "NP-12"}),
    "all addresses": (lambda o: ingress(o)["from"].append(block("0.0.0.0/0")), {"NP-08", "NP-12"}),
    "all addresses in halves": (halves, {"NP-08", "NP-12"}),
    "every namespace": (lambda o: ingress(o)["from"][0].update(namespaceSelector={}), {"NP-07", "NP-12"}),
    "the wrong namespace": (wrong, {"NP-03", "NP-05", "NP-10", "NP-12"}),
    "no names": (names, {"NP-10"}),
    "a port by a wrong name": (lambda o: ingress(o)["ports"][0].update(port="htpp"), {"NP-11", "NP-12"}),
    "the service's port": (lambda o: ingress(o)["ports"][0].update(port=80), {"NP-11", "NP-12"}),
}
"""The eleven that scanners of form see nothing in."""


def test_our_own_manifests_allow_exactly_what_is_declared() -> None:
    assert rules(rendered()) == set()
    assert rules(changed()) == set()
    told = verdict([*rendered(), probed(ALLOWED, DENIED)], Basis.OBSERVED)
    assert told.outcome is Outcome.PASS
    assert told.reason == "12/12 manifests, 3 policies over 4 workloads, 2 connections tried"


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_found_by_the_rules_made_for_it(name: str) -> None:
    change, expected = MUTANTS[name]
    assert rules(changed(change)) == expected


SMALLEST: list[tuple[str, Callable[[Objects], object], set[str]]] = [
    ("NP-01", lambda o: o[DENY]["spec"].update(policyTypes=["Egress"]), {"NP-01"}),
    ("NP-02", lambda o: o[SERVING]["spec"].pop("policyTypes"), {"NP-02"}),
    ("NP-02", lambda o: o[SERVING]["spec"].update(policyTypes=["Ingress"]), {"NP-02", "NP-10"}),
    ("NP-03", lambda o: o.pop(PROBES), {"NP-03", "NP-10", "NP-12", "NP-13"}),
    ("NP-04", lambda o: o[PROBES]["spec"].update(podSelector={"matchLabels": {"app": "none"}}),
     {"NP-03", "NP-04", "NP-10", "NP-12", "NP-13"}),
    ("NP-06", lambda o: o[SERVING]["spec"]["egress"][0].pop("to"), {"NP-06", "NP-09", "NP-10"}),
    ("NP-06", lambda o: o[SERVING]["spec"]["ingress"].append({}), {"NP-06", "NP-11", "NP-12"}),
    ("NP-07", lambda o: ingress(o)["from"].append({"podSelector": {}}), {"NP-07", "NP-12"}),
    ("NP-07", lambda o: ingress(o)["from"][0].update(podSelector={}), {"NP-07", "NP-12"}),
    ("NP-08", lambda o: out(o, block("8.0.0.0/23")), {"NP-08", "NP-13"}),
    ("NP-08", lambda o: out(o, block("::/0", "fd00:ec2::/32")), {"NP-08", "NP-13"}),
    ("NP-09", lambda o: out(o, block("169.254.0.0/16")), {"NP-09", "NP-13"}),
    ("NP-09", lambda o: out(o, block("fd00:ec2::254/128")), {"NP-09", "NP-13"}),
    ("NP-10", lambda o: o[SERVING]["spec"]["egress"][0]["ports"].pop(), {"NP-10"}),
    ("NP-10", lambda o: out(o, block("8.8.8.8/32"), port=53), {"NP-10"}),
    ("NP-11", lambda o: ingress(o).pop("ports"), {"NP-11", "NP-12"}),
    ("NP-11", lambda o: container(o)["ports"][0].update(containerPort=8081), {"NP-11", "NP-12"}),
    ("NP-11", lambda o: ingress(o)["ports"].append({"port": 8080, "endPort": 8090}), {"NP-11", "NP-12"}),
    ("NP-12", lambda o: o[SERVING]["spec"]["ingress"].pop(0), {"NP-12"}),
    ("NP-12", lambda o: o[PROBES]["spec"]["egress"].pop(0), {"NP-12", "NP-13"}),
    ("NP-12", lambda o: ingress(o)["from"][0]["podSelector"]["matchLabels"].update(more="x"), {"NP-12"}),
    ("NP-13", lambda o: out(o, block("192.0.2.7/32")), {"NP-13"}),
    ("NP-13", lambda o: out(o, {"podSelector": {"matchLabels": {"app": "db"}}}), {"NP-13"}),
    ("NP-14", lambda o: o[f"Job/{OWN}-stranger"]["spec"]["template"]["spec"].update(hostNetwork=True),
     {"NP-14", "NP-12"}),
    ("NP-14", lambda o: container(o)["ports"][0].update(hostPort=8080), {"NP-14"}),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "change", "expected"), SMALLEST)
def test_a_smallest_violation(rule: str, change: Callable[[Objects], object], expected: set[str]) -> None:
    assert rule in expected
    assert rules(changed(change)) == expected


def test_addresses_are_declared_as_ranges_and_held_to_the_last_one() -> None:
    serving = {**COMPONENTS["serving"], "peers": [{"cidr": "10.1.0.0/24", "ports": ["TCP/443"]}]}
    limits = {"components": {**COMPONENTS, "serving": serving}}

    def peers(*blocks: dict[str, Any]) -> set[str]:
        return rules(changed(lambda o: out(o, *blocks)), **limits)

    assert peers(block("10.1.0.0/24")) == set()
    assert peers(block("10.1.0.0/25"), block("10.1.0.128/25")) == set()
    assert peers(block("10.1.0.0/24", "10.1.0.255/32")) == {"NP-13"}
    assert peers(block("10.1.0.0/24"), block("10.1.1.0/32")) == {"NP-13"}
    assert rules(rendered(), **limits) == {"NP-13"}
    told = GATE.judge(look(changed(lambda o: out(o, block("10.1.0.0/24", "10.1.0.255/32")))),
                      Limits.model_validate(limits))  # fmt: skip
    assert "10.1.0.255 by TCP/443" in next(iter(told)).message


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ([ALLOWED, {**DENIED, "outcome": "connected"}], {"NP-16"}),
        ([{**ALLOWED, "outcome": "timeout"}, DENIED], {"NP-16"}),
        ([{**ALLOWED, "outcome": "refused"}], {"NP-16"}),
    ],
)
def test_a_network_that_does_as_it_likes_is_found_by_a_probe(results: list[dict[str, str]], expected: set[str]) -> None:
    told = verdict([*rendered(), probed(*results)], Basis.OBSERVED)
    assert told.outcome is Outcome.FAIL
    assert {each.rule for each in told.findings} == expected


@pytest.mark.parametrize(
    ("results", "cause"),
    [
        ([], "unreadable"),
        ([ALLOWED], "control"),
        ([DENIED], "control"),
        ([ALLOWED, {**DENIED, "outcome": "unresolved"}], "control"),
        ([ALLOWED, {**DENIED, "name": ALLOWED["name"]}], "unreadable"),
        ([{**ALLOWED, "outcome": "green"}], "unreadable"),
    ],
)
def test_a_probe_that_shows_nothing_is_no_probe(results: list[dict[str, str]], cause: str) -> None:
    told = verdict([*rendered(), probed(*results)], Basis.OBSERVED)
    assert (told.outcome, told.cause) == (Outcome.INCONCLUSIVE, cause)
    assert effect(told, Terms(limits={}, accepts={}, observe=("probe",))).action == "stop"


def test_rendered_manifests_alone_never_pass() -> None:
    """A laptop may observe that no probe was sent; where one is required, what is rendered is no basis."""
    laptop = Terms(limits={}, accepts={}, observe=("probe",))
    told = verdict(rendered(), Basis.RENDERED, RENDERED, probe="UnsafeNoProbe")
    assert (told.outcome, told.cause) == (Outcome.INCONCLUSIVE, "probe")
    assert effect(told, laptop).because == "observed"
    for accepts in (RENDERED, {}):
        told = verdict(rendered(), Basis.RENDERED, accepts)
        assert (told.outcome, told.cause) == (Outcome.INCONCLUSIVE, "basis")
        assert effect(told, laptop).action == "stop"
    told = verdict(rendered(), Basis.OBSERVED)
    assert (told.outcome, told.cause) == (Outcome.INCONCLUSIVE, "probe")


def test_what_is_rendered_is_judged_before_it_is_placed_and_the_verdict_says_which_it_was() -> None:
    told = verdict(rendered(), Basis.RENDERED, placed=False)
    assert told.outcome is Outcome.PASS
    assert told.reason.endswith("rendered only")
    assert GATE.active(GATE.limits.model_validate({"components": COMPONENTS, "placed": False})) == [
        rule for rule in GATE.rules if rule != "NP-16"
    ]
    told = verdict(rendered(), Basis.RENDERED)
    assert (told.outcome, told.cause) == (Outcome.INCONCLUSIVE, "basis")
    told = verdict(changed(MUTANTS[next(iter(MUTANTS))][0]), Basis.RENDERED, placed=False)
    assert told.outcome is Outcome.FAIL


@pytest.mark.parametrize("name", MUTANTS)
def test_what_is_found_stands_beside_the_probe_that_is_missing(name: str) -> None:
    change, expected = MUTANTS[name]
    told = verdict(changed(change), Basis.RENDERED, RENDERED, probe="UnsafeNoProbe")
    assert told.outcome is Outcome.FAIL
    assert {each.rule for each in told.findings} == expected


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (b"kind: Secret\napiVersion: v1\nmetadata: {name: x}\n", "a kind that is not known"),
        (b"kind: Namespace\n", "apiVersion"),
        (b"kind: Namespace\napiVersion: v1\nmetadata: {name: sluice}\n", "is there twice"),
        (b"a: [", "is not YAML"),
        (b"", "there is no document"),
        (b"apiVersion: v1\nkind: Pod\nmetadata: {name: x, namespace: far}\n"
         b"spec: {containers: [{name: a, image: b}]}\n", "namespace far is not among"),
        (b"apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: x}\nspec: {}\n", "podSelector"),
        (b"apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: x}\n"
         b"spec: {podSelector: {}, policyTypes: [ingress]}\n", "policyTypes"),
        (b"apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: x}\n"
         b"spec: {podSelector: {}, ingres: []}\n", "ingres"),
    ],
)  # fmt: skip
def test_a_document_that_cannot_be_read_is_no_answer(item: bytes, said: str) -> None:
    with pytest.raises(CannotTell, match=said):
        look([*rendered(), ("more.yaml", item)])
    told = verdict([*rendered(), ("more.yaml", item), probed(ALLOWED, DENIED)], Basis.OBSERVED)
    assert (told.outcome, told.cause) == (Outcome.INCONCLUSIVE, "unreadable")


def test_manifests_without_a_workload_are_no_answer() -> None:
    with pytest.raises(CannotTell, match="nothing runs"):
        look([rendered()[0]])


def test_a_component_that_is_declared_and_does_not_run_is_found() -> None:
    assert rules(rendered(), components={**COMPONENTS, "trainer": {}}) == {"NP-12"}


def test_too_many_kinds_of_pods_are_no_answer() -> None:
    def many(told: Objects) -> None:
        labels = {f"k{n}": "v" for n in range(12)}
        ingress(told)["from"][0]["podSelector"]["matchLabels"].update(labels)

    with pytest.raises(CannotTell, match="kinds of pods"):
        rules(changed(many))


@pytest.mark.parametrize(
    "limits",
    [
        {"components": {}},
        {"components": {"a": {"callers": [{"ports": ["TCP/1"]}]}}},
        {"components": {"a": {"callers": [{"labels": {"a": "b"}, "ports": []}]}}},
        {"components": {"a": {"callers": [{"labels": {"a": "b"}, "ports": ["TCP/70000"]}]}}},
        {"components": {"a": {"callers": [{"cidr": "10.0.0.1/8", "ports": ["TCP/1"]}]}}},
        {"components": {"a": {"callers": [{"cidr": "10.0.0.0/8", "namespace": "b", "ports": ["TCP/1"]}]}}},
        {"probe": "no"},
    ],
)
def test_limits_that_say_nothing_or_too_much_are_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Limits"):
        Limits.model_validate(LIMITS | limits)
