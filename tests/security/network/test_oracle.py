"""Our evaluator beside IBM's network-config-analyzer, over 500 random clusters: both say the same of every pair of
pods, every address and every port."""

import copy
import json
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from pathlib import Path
from random import Random
from typing import Any

import pytest

from security.manifests import parse
from security.network.addresses import Row, Span, table
from security.network.model import NAME, Cluster
from security.network.ports import LAST, Reach
from security.network.reach import between, outside, pods
from security.network.read import cluster as read
from tests.security.gates.test_network import MUTANTS
from tests.security.manifests.given import COMPONENT, changed, objects
from tests.security.manifests.outside import environment
from tests.security.network import drawn

pytestmark = [pytest.mark.prove, pytest.mark.timeout(1200)]
HERE = Path(__file__).parent
CLUSTERS = 500
EXISTS = {"key": "app", "operator": "Exists"}
Objects = list[dict[str, Any]]
Told = tuple[dict[tuple[str, str], Reach], dict[tuple[str, str], tuple[Row, ...]]]
"""Pair of pods -> ports; pod and direction -> addresses outside with their ports."""


def ours(cluster: Cluster) -> Told:
    """What we say."""
    held = [(f"{pod.namespace}/{pod.own.name}", pod) for pod in pods(cluster) if pod.own]
    pairs = {
        (source, destination): between(cluster, one, other)
        for source, one in held
        for destination, other in held
        if source != destination
    }
    far = {(name, "Ingress"): outside(cluster, pod, "Ingress") for name, pod in held}
    far |= {(name, "Egress"): outside(cluster, pod, "Egress") for name, pod in held}
    return {pair: reach for pair, reach in pairs.items() if reach}, {each: rows for each, rows in far.items() if rows}


def span(told: str) -> Span:
    low, _, high = told.partition("-")
    return ip_address(low).version, int(ip_address(low)), int(ip_address(high))


def theirs(rows: Iterable[tuple[str, str, str, int, int]]) -> Told:
    """What the analyzer says, in the same form. It has connections of a pod with itself, of which we say nothing."""
    pairs: dict[tuple[str, str], Reach] = defaultdict(Reach)
    far: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for source, destination, protocol, low, high in rows:
        ports = Reach.of([(protocol, low, min(high, LAST))])
        if "/" in source and "/" in destination:
            if source != destination:
                pairs[source, destination] |= ports
        elif "/" in source:
            far[source, "Egress"].append((span(destination), ports))
        else:
            far[destination, "Ingress"].append((span(source), ports))
    return dict(pairs), {each: table(held) for each, held in far.items()}


def spelled(objects: Objects) -> Objects:
    """The same cluster in words that the analyzer reads as the API server does: FAULTS has those that it does not."""
    told = copy.deepcopy(objects)
    for policy in (each["spec"] for each in told if each["kind"] == "NetworkPolicy"):
        if "policyTypes" not in policy and policy.get("egress") == []:
            del policy["egress"]
        rules = [*(policy.get("ingress") or ()), *(policy.get("egress") or ())]
        peers = [peer for rule in rules for peer in (*rule.get("from", ()), *rule.get("to", ()))]
        for each in [each for peer in peers for each in peer.get("podSelector", {}).get("matchExpressions", ())]:
            if "values" not in each:
                each["operator"] = {"Exists": "In", "DoesNotExist": "NotIn"}[each["operator"]]
                each["values"] = list(drawn.VALUES)
    return told


def asked(python: Path, folder: Path, clusters: Sequence[Objects]) -> list[Told]:
    """What the analyzer says of clusters."""
    given, out = folder / "clusters", folder / "told.json"
    for number, each in enumerate(clusters):
        home = given / f"{number:05}"
        home.mkdir(parents=True)
        # In one file, namespaces first: of a pod that it reads before its namespace it does not know the labels.
        (home / "all.yaml").write_text("\n---\n".join(map(json.dumps, each)))
    argv = [str(python), str(HERE / "oracle.py"), str(given), str(out)]
    ended = subprocess.run(argv, capture_output=True, text=True, timeout=900, check=False, cwd=folder)
    assert ended.returncode == 0, ended.stderr[-2000:]
    told = json.loads(out.read_text())
    assert len(told) == len(clusters)
    return [theirs(told[name]) for name in sorted(told)]


def mine(objects: Objects) -> Told:
    return ours(read(parse(f"{number}", each) for number, each in enumerate(objects)))


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return environment(tmp_path_factory.mktemp("oracle"), "analyzer") / "python"


def test_our_evaluator_and_the_analyzer_never_disagree(
    python: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = time.monotonic()
    clusters = [drawn.cluster(Random(seed)) for seed in range(CLUSTERS)]
    told = asked(python, tmp_path, [spelled(each) for each in clusters])
    apart = [seed for seed, (each, other) in enumerate(zip(clusters, told, strict=True)) if mine(each) != other]
    policies = sum(each["kind"] == "NetworkPolicy" for objects in clusters for each in objects)
    with capsys.disabled():
        print(f"\n{len(told)} clusters, {policies:,} policies, {time.monotonic() - begun:.1f} s: {len(apart)} apart")
    assert not apart
    assert policies > 2 * CLUSTERS
    assert len({json.dumps(sorted(map(str, each[0].items()))) for each in told}) > CLUSTERS / 3


def test_our_own_manifests_and_their_mutants_are_the_same_to_both(python: Path, tmp_path: Path) -> None:
    """Each workload as a pod of its own name: what an analyzer calls the pods of a Job is its own affair."""
    changes = [lambda told: None, *(change for change, _ in MUTANTS.values())]
    given = [bare(list(objects(changed(change)).values())) for change in changes]
    assert [mine(each) for each in given] == asked(python, tmp_path, given)


def bare(told: Objects) -> Objects:
    """Namespaces, each workload as the pod that it makes, those who are spoken with elsewhere, and the policies."""
    made = [each for each in told if each["kind"] == "Namespace"]
    far = {"kube-system": {"k8s-app": "kube-dns"}, "gateway": {COMPONENT: "gateway"}, "other": {COMPONENT: "gateway"}}
    for name, labels in far.items():
        made.append({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {NAME: name}}})
        metadata = {"name": "far", "namespace": name, "labels": labels}
        spec = {"containers": [{"name": "main", "image": "x"}]}
        made.append({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    for each in told:
        if "template" in each.get("spec", {}):
            pod = each["spec"]["template"]
            metadata = {**each["metadata"], "labels": pod["metadata"]["labels"]}
            containers = [
                {"name": c["name"], "image": "x", "ports": c.get("ports", [])} for c in pod["spec"]["containers"]
            ]
            made.append({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": containers}})
    return made


FAULTS: dict[str, tuple[dict[str, object], tuple[str, str]]] = {
    "an empty list of egress, which the API server takes for none, it takes for a type": (
        {"podSelector": {}, "egress": []},
        ("home/a", "far/b"),
    ),
    "a label that must be there it looks for in the policy's own namespace alone": (
        {
            "podSelector": {},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [{"namespaceSelector": {}, "podSelector": {"matchExpressions": [EXISTS]}}]}],
        },
        ("far/b", "home/a"),
    ),
}
"""What version 2.1.0 gets wrong, by the API's own reference and its defaults: policy of the namespace `home`, and the
pair that it therefore says nothing of. Where one is gone, `spelled` need not spell around it any more."""


@pytest.mark.parametrize("name", FAULTS)
def test_what_the_analyzer_gets_wrong_is_wrong_still(python: Path, tmp_path: Path, name: str) -> None:
    spec, pair = FAULTS[name]
    told: Objects = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": each}} for each in ("far", "home")]
    for place in ("home/a", "far/b"):
        namespace, _, pod = place.partition("/")
        metadata = {"name": pod, "namespace": namespace, "labels": {"app": "a"}}
        container = {"name": "main", "image": "x"}
        told.append({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}})
    metadata = {"name": "p", "namespace": "home"}
    told.append({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec})
    (other,) = asked(python, tmp_path, [told])
    assert mine(told)[0][pair] == Reach.everything()
    assert pair not in other[0]
    (again,) = asked(python, tmp_path / "again", [spelled(told)])
    assert again == mine(told)
