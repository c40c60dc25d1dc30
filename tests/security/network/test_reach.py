"""What policies allow: the rules of their composition, over random clusters; and the algebra that it is counted in."""

from collections.abc import Iterable
from ipaddress import ip_address
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from security.errors import CannotTell
from security.manifests import parse
from security.network import between, outside, pods, side
from security.network.addresses import Row, Span, block, minus, more, size, table
from security.network.model import NAME, Cluster, Expression, Selector
from security.network.ports import LAST, PROTOCOLS, Reach
from security.network.read import cluster as read
from security.network.strangers import OTHER, strangers
from tests.security.network import drawn

Told = dict[str, Any]
RANDOM = st.randoms(use_true_random=False)
RANGES = st.lists(
    st.tuples(st.sampled_from(PROTOCOLS), st.integers(1, 40), st.integers(1, 40)).map(
        lambda each: (each[0], min(each[1:]), max(each[1:]))
    ),
    max_size=5,
)
SPANS = st.lists(
    st.tuples(st.sampled_from((4, 6)), st.integers(0, 30), st.integers(0, 30)).map(
        lambda each: (each[0], min(each[1:]), max(each[1:]))
    ),
    max_size=4,
)


def made(objects: Iterable[Told]) -> Cluster:
    return read(parse(f"{number}", each) for number, each in enumerate(objects))


def every(cluster: Cluster) -> dict[tuple[str, str], Reach]:
    """All pairs, each by its names."""
    held = pods(cluster)
    return {(a.own.place, b.own.place): between(cluster, a, b) for a in held for b in held if a.own and b.own}


def everywhere(cluster: Cluster) -> list[tuple[Row, ...]]:
    return [outside(cluster, pod, way) for pod in pods(cluster) for way in ("Ingress", "Egress")]  # type: ignore[arg-type]


def held(reach: Reach) -> set[tuple[str, int]]:
    return {(protocol, port) for protocol, low, high in reach.ranges for port in range(low, high + 1)}


def numbers(spans: Iterable[Span]) -> set[tuple[int, int]]:
    return {(version, each) for version, low, high in spans for each in range(low, high + 1)}


@given(RANGES, RANGES)
def test_ports_are_sets(first: list[Any], second: list[Any]) -> None:
    a, b = Reach.of(first), Reach.of(second)
    assert held(a | b) == held(a) | held(b)
    assert held(a & b) == held(a) & held(b)
    assert held(a - b) == held(a) - held(b)
    assert bool(a) == bool(held(a))
    assert (a == b) == (held(a) == held(b))
    assert not Reach.everything() - (Reach.everything() | a)


@given(SPANS, SPANS, SPANS, RANGES, RANGES)
def test_addresses_are_sets(one: list[Any], two: list[Any], three: list[Any], p: list[Any], q: list[Any]) -> None:
    assert numbers(minus(one, two)) == numbers(one) - numbers(two)
    assert size(one, 4) == len({each for each in numbers(one) if each[0] == 4})

    def points(rows: Iterable[Row]) -> set[Any]:
        return {(where, port) for span, reach in rows for where in numbers([span]) for port in held(reach)}

    a = [(span, Reach.of(p)) for span in one] + [(span, Reach.of(q)) for span in two]
    b = [(span, Reach.of(q)) for span in three]
    assert points(table(a)) == points(a)
    assert table(reversed(a)) == table(a)
    assert table(table(a)) == table(a)
    assert points(more(table(a), table(b))) == points(a) - points(b)
    assert (not more(table(a), table(b)) and not more(table(b), table(a))) == (table(a) == table(b))


def test_except_takes_addresses_out() -> None:
    left = block("10.0.0.0/30", ["10.0.0.1/32", "10.0.0.2/32"])
    assert [(int(ip_address("10.0.0.0")),) * 2, (int(ip_address("10.0.0.3")),) * 2] == [each[1:] for each in left]


@given(RANDOM)
def test_the_order_of_documents_is_nothing(draw: Random) -> None:
    objects = drawn.cluster(draw)
    first = made(objects)
    draw.shuffle(objects)
    assert made(objects) == first
    assert every(made(objects)) == every(first)


@given(RANDOM)
def test_a_policy_more_only_closes_what_was_open_and_only_opens_what_was_closed(draw: Random) -> None:
    objects = drawn.cluster(draw)
    added = drawn.policy(draw, 99, [each["metadata"]["name"] for each in objects if each["kind"] == "Namespace"])
    before, after = made(objects), made([*objects, added])
    (new,) = (each for each in after.policies if each.name == "policy-99")
    for one in pods(before):
        assert one.own
        selected = new in after.selecting(one.own)
        for way in ("Ingress", "Egress"):
            was = any(each.covers(way) for each in before.selecting(one.own))  # type: ignore[arg-type]
            for other in pods(before):
                old, now = (side(each, one, way, other) for each in (before, after))  # type: ignore[arg-type]
                if not (selected and new.covers(way)):  # type: ignore[arg-type]
                    assert now == old
                elif was:
                    assert not old - now
                else:
                    assert old == Reach.everything()
                    assert not now - old


@given(RANDOM)
def test_without_policies_everything_is_open_and_one_that_allows_nothing_closes_its_namespace(draw: Random) -> None:
    objects = [each for each in drawn.cluster(draw) if each["kind"] != "NetworkPolicy"]
    bare = made(objects)
    assert set(every(bare).values()) == {Reach.everything()}
    home = bare.endpoints[0].namespace
    spec = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    metadata = {"name": "deny", "namespace": home}
    deny = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}
    closed = made([*objects, deny])
    for (source, destination), reach in every(closed).items():
        inside = f"/{home}/" in source or f"/{home}/" in destination
        assert reach == (Reach() if inside else Reach.everything())


@given(RANDOM)
def test_both_ends_must_allow(draw: Random) -> None:
    cluster = made(drawn.cluster(draw))
    for one in pods(cluster):
        for other in pods(cluster):
            reach = between(cluster, one, other)
            assert not reach - side(cluster, one, "Egress", other)
            assert not reach - side(cluster, other, "Ingress", one)


@given(RANDOM)
def test_a_policy_of_one_namespace_says_nothing_of_pods_in_another(draw: Random) -> None:
    objects = drawn.cluster(draw)
    cluster = made(objects)
    kept = {each.namespace for each in cluster.endpoints}
    for home in kept:
        others = [each for each in objects if each["kind"] != "NetworkPolicy" or each["metadata"]["namespace"] == home]
        alone = made(others)
        for one in pods(cluster):
            if one.namespace == home:
                for other in pods(cluster):
                    assert side(cluster, one, "Egress", other) == side(alone, one, "Egress", other)
                assert outside(cluster, one, "Ingress") == outside(alone, one, "Ingress")


@given(RANDOM)
def test_strangers_stand_for_every_pod_that_there_could_be(draw: Random) -> None:
    """Whatever pod is drawn, one of the kinds is let through by the same sides as it is."""
    cluster = made(drawn.cluster(draw))
    kinds = strangers(cluster, [], [])
    far = {"app": draw.choice(("a", "b", "c", "zz")), "tier": draw.choice(("a", "q"))}
    labels = {key: value for key, value in far.items() if draw.random() < 0.7}
    within = {**{k: draw.choice(("a", "z")) for k in drawn.KEYS if draw.random() < 0.6}, NAME: "far"}
    known = draw.choice([("far", within), *cluster.namespaces.items()])
    stranger = type(kinds[0])(known[0], labels, known[1])
    told = [
        tuple(side(cluster, one, way, each) for one in pods(cluster) for way in ("Ingress", "Egress"))  # type: ignore[arg-type]
        for each in (stranger, *kinds)
    ]
    assert told[0] in told[1:]


def test_a_stranger_has_no_value_that_anybody_names() -> None:
    empty = made([each for each in drawn.cluster(Random(3)) if each["kind"] != "NetworkPolicy"])
    kinds = strangers(empty, [Selector(labels={"app": OTHER})], [Selector(labels={NAME: OTHER})])
    assert {each.labels.get("app") for each in kinds} == {OTHER, f"{OTHER}-", None}
    assert f"{OTHER}-" in {each.namespace for each in kinds}


def test_types_default_as_the_api_says() -> None:
    def covered(**spec: Any) -> list[bool]:
        objects = [each for each in drawn.cluster(Random(3)) if each["kind"] != "NetworkPolicy"]
        metadata = {"name": "p", "namespace": "ns0"}
        told = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata}
        (policy,) = made([*objects, {**told, "spec": {"podSelector": {}, **spec}}]).policies
        return [policy.covers("Ingress"), policy.covers("Egress")]

    assert covered() == [True, False]
    assert covered(egress=[]) == [True, False]
    assert covered(egress=[{}]) == [True, True]
    assert covered(policyTypes=["Egress"]) == [False, True]
    assert covered(policyTypes=["Egress"], ingress=[{}]) == [False, True]


@pytest.mark.parametrize(
    ("operator", "values", "chosen"),
    [
        ("In", ["a", "b"], ["a", "b"]),
        ("NotIn", ["a", "b"], ["c", None]),
        ("Exists", [], ["a", "b", "c"]),
        ("DoesNotExist", [], [None]),
    ],
)
def test_a_selector_asks_of_labels_as_the_api_says(operator: Any, values: list[str], chosen: list[str | None]) -> None:
    expression = Expression(key="app", operator=operator, values=tuple(values))
    every: dict[str | None, dict[str, str]] = {each: {"app": each, "x": "y"} for each in ("a", "b", "c")}
    every[None] = {"x": "y"}
    assert [each for each, labels in every.items() if expression.holds(labels)] == chosen
    both = Selector(labels={"x": "y"}, expressions=(expression,))
    assert [each for each, labels in every.items() if both.holds(labels)] == chosen
    assert not any(both.holds({**labels, "x": "z"}) for labels in every.values())


def test_a_pod_on_its_nodes_network_is_held_back_by_nothing() -> None:
    objects = [each for each in drawn.cluster(Random(3)) if each["kind"] != "NetworkPolicy"]
    home = next(each["metadata"]["namespace"] for each in objects if each["kind"] == "Pod")
    deny = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    metadata = {"name": "deny", "namespace": home}
    objects.append({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": deny})
    next(each for each in objects if each["kind"] == "Pod")["spec"]["hostNetwork"] = True
    cluster = made(objects)
    host = next(each for each in pods(cluster) if each.own and each.own.host)
    assert all(side(cluster, host, "Egress", other) == Reach.everything() for other in pods(cluster))
    assert outside(cluster, host, "Egress")[0][1] == Reach.everything()


@pytest.mark.parametrize("port", [1, LAST])
def test_ports_have_words(port: int) -> None:
    assert str(Reach.of([("TCP", port, port)])) == f"TCP/{port}"
    assert str(Reach.of([("UDP", 5, 9)])) == "UDP/5-9"
    assert str(Reach()) == "no port"
    assert str(Reach.everything()) == "every port"


def test_what_is_there_twice_or_lies_nowhere_is_no_cluster() -> None:
    objects = drawn.cluster(Random(3))
    with pytest.raises(CannotTell, match="is there twice"):
        made([*objects, objects[0]])
    with pytest.raises(CannotTell, match="labels are not known"):
        made([each for each in objects if each["kind"] != "Namespace"])
    wrong = {"name": "ns9", "labels": {NAME: "ns8"}}
    with pytest.raises(CannotTell, match="another name"):
        made([*objects, {"apiVersion": "v1", "kind": "Namespace", "metadata": wrong}])
