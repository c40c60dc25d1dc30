"""What a rollout needs of an API server, by our own client: on the tests' own, or on a real cluster where
`SLUICE_TEST_KUBECONFIG` (or `KUBECONFIG`) names one."""

import copy
import os
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.kubernetes import lock
from deployments.kubernetes.client import Client
from deployments.kubernetes.config import read
from deployments.kubernetes.errors import ClusterError, Conflict, Invalid, Locked, Missing, Moved, Undone
from deployments.kubernetes.release import read as parted
from deployments.kubernetes.rollout import place
from deployments.kubernetes.status import diff
from deployments.kubernetes.watch import Until
from security.manifests import Item
from tests.cluster import server
from tests.cluster.conftest import World, lets, stuck
from tests.cluster.server import flat, tree, untied
from tests.security.manifests.given import rendered

REAL = os.environ.get("SLUICE_TEST_KUBECONFIG") or os.environ.get("KUBECONFIG")


class Site:
    """A cluster, and a namespace of it that is the test's own."""

    def __init__(self, client: Client) -> None:
        self.client, self.namespace = client, f"sluice-test-{secrets.token_hex(4)}"
        self.manifests: list[Item] = rendered(namespace=self.namespace)
        self.release = parted(self.manifests)

    def begun(self) -> None:
        self.client.apply(self.release.namespace)

    def service(self) -> dict[str, Any]:
        return copy.deepcopy(self.release.candidate)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    if REAL:
        with Client(read(Path(REAL))) as client:
            made = Site(client)
            yield made
            if found := client.find("Namespace", made.namespace):
                client.delete("Namespace", made.namespace, "", uid=found["metadata"]["uid"])
        return
    world = World(tmp_path / "cluster")
    world.rollout = stuck("ImagePullBackOff")
    with world.cluster, world.client() as client:
        yield Site(client)


@given(chosen=st.lists(st.integers(0, 12), min_size=1, unique=True))
def test_the_double_takes_objects_apart_and_puts_them_together_again(chosen: list[int]) -> None:
    told = parted(rendered()).every
    for number in chosen:
        fields = flat(told[number])
        made = untied(tree(fields))
        about = {key: each for key, each in told[number]["metadata"].items() if key not in ("name", "namespace")}
        assert made.get("metadata", {}) == about
        assert {key: each for key, each in made.items() if key != "metadata"} == {
            key: each for key, each in told[number].items() if key not in ("apiVersion", "kind", "metadata")
        }
        assert fields == flat(told[number])


def test_the_double_stays_small() -> None:
    assert 200 < len(Path(server.__file__).read_text().splitlines()) <= 400


def test_a_dry_run_says_what_would_be_and_keeps_nothing(site: Site) -> None:
    client = site.client
    assert client.apply(site.release.namespace, dry=True)["metadata"]["name"] == site.namespace
    assert client.find("Namespace", site.namespace) is None
    site.begun()
    for each in site.release.every[1:]:
        made = client.apply(each, dry=True)
        assert made["metadata"]["name"] == each["metadata"]["name"]
    for kind in ("Service", "Deployment", "Job", "NetworkPolicy"):
        assert client.list(kind, site.namespace) == []
    before = client.apply(site.service())
    told = site.service()
    told["spec"]["ports"][0]["port"] = 81
    assert client.apply(told, dry=True)["spec"]["ports"][0]["port"] == 81
    after = client.get("Service", site.release.own, site.namespace)
    assert after["spec"]["ports"][0]["port"] == 80
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


def test_a_dry_run_looks_at_what_it_is_given(site: Site) -> None:
    site.begun()
    told = site.service()
    told["spec"]["prots"] = []
    with pytest.raises(ClusterError, match="prots"):
        site.client.apply(told, dry=True)
    unbuilt = copy.deepcopy(site.release.deployment)
    unbuilt["spec"]["template"]["spec"]["containers"][0]["image"] = ""
    with pytest.raises(Invalid, match="image"):
        site.client.apply(unbuilt, dry=True)


def test_nothing_lies_in_a_namespace_that_is_not_there(site: Site) -> None:
    for dry in (True, False):
        with pytest.raises(Missing, match=site.namespace):
            site.client.apply(site.service(), dry=dry)


def test_fields_of_somebody_else_are_not_taken(site: Site) -> None:
    site.begun()
    live = site.client.apply(site.release.deployment)
    live["spec"]["replicas"] = 5
    live.pop("status", None)
    live["metadata"].pop("managedFields")
    with Client(site.client.config, manager="kubectl-edit") as other:
        other.replace(live)
    with pytest.raises(Conflict, match=r"\.spec\.replicas is managed by kubectl-edit; allowed: fields") as why:
        site.client.apply(site.release.deployment)
    assert why.value.fields == ((".spec.replicas", "kubectl-edit"),)
    assert site.client.get("Deployment", site.release.own, site.namespace)["spec"]["replicas"] == 5
    (drift,) = [each for each in diff(site.client, site.manifests) if each.object == f"Deployment/{site.release.own}"]
    assert (drift.path, drift.wanted, drift.found) == (".spec.replicas", "2", "5")


def test_what_is_not_applied_any_more_is_gone(site: Site) -> None:
    site.begun()
    told = site.service()
    told["metadata"]["annotations"] = {"sluice/note": "a"}
    assert site.client.apply(told)["metadata"]["annotations"] == {"sluice/note": "a"}
    found = [each for each in diff(site.client, site.manifests) if each.object == f"Service/{site.release.own}"]
    assert [(each.path, each.found) for each in found] == [(".metadata.annotations.sluice/note", '"a"')]
    assert not site.client.apply(site.service())["metadata"].get("annotations")


def test_a_version_that_was_seen_is_the_one_that_is_replaced(site: Site) -> None:
    site.begun()
    seen = site.client.apply(site.service())
    told = site.service()
    told["spec"]["ports"][0]["port"] = 81
    later = site.client.apply(told)
    stale = site.service()
    stale["metadata"]["resourceVersion"] = seen["metadata"]["resourceVersion"]
    stale["spec"]["ports"][0]["port"] = 82
    with pytest.raises(Moved, match="modified"):
        site.client.apply(stale)
    stale["metadata"]["resourceVersion"] = later["metadata"]["resourceVersion"]
    assert site.client.apply(stale)["spec"]["ports"][0]["port"] == 82


def test_an_object_is_taken_away_by_its_uid(site: Site) -> None:
    site.begun()
    made = site.client.apply(site.service())
    with pytest.raises(Moved):
        site.client.delete("Service", site.release.own, site.namespace, uid="00000000-0000-0000-0000-000000000000")
    assert site.client.find("Service", site.release.own, site.namespace)
    site.client.delete("Service", site.release.own, site.namespace, uid=made["metadata"]["uid"])
    assert site.client.find("Service", site.release.own, site.namespace) is None
    site.client.delete("Service", site.release.own, site.namespace, uid=made["metadata"]["uid"])


def test_what_is_fixed_is_not_changed(site: Site) -> None:
    site.begun()
    maps = next(each for each in site.release.shared if each["kind"] == "ConfigMap")
    for each in (maps, site.release.deployment):
        site.client.apply(each)
    other = {**maps, "data": {"producer.pem": "x", "jwks.json": "{}"}}
    with pytest.raises(Invalid, match="immutable"):
        site.client.apply(other)
    moved = copy.deepcopy(site.release.deployment)
    for labels in (moved["spec"]["selector"]["matchLabels"], moved["spec"]["template"]["metadata"]["labels"]):
        labels["more"] = "x"
    with pytest.raises(Invalid, match="immutable"):
        site.client.apply(moved)


def test_a_generation_is_of_what_is_wanted(site: Site) -> None:
    site.begun()
    made = [site.client.apply(site.release.deployment) for _ in range(2)]
    assert [each["metadata"]["generation"] for each in made] == [1, 1]
    told = copy.deepcopy(site.release.deployment)
    told["spec"]["replicas"] = 3
    assert site.client.apply(told)["metadata"]["generation"] == 2


def test_one_rollout_at_a_time(site: Site) -> None:
    site.begun()
    said: list[str] = []
    now = datetime.now(UTC)
    with lock.held(site.client, site.namespace, "sample", 60, say=said.append, who="first"):
        until = rf"sluice-sample is held by first-[0-9a-f]{{8}} until {now + timedelta(seconds=180):%Y-%m-%dT%H:}"
        with (
            pytest.raises(Locked, match=until),
            lock.held(site.client, site.namespace, "sample", 60, say=said.append, who="second"),
        ):
            pytest.fail("two hold it")
        with lock.held(site.client, site.namespace, "other", 60, say=said.append):
            pass
    with lock.held(site.client, site.namespace, "sample", 60, say=said.append, who="third"):
        pass
    assert said == []


def test_a_lock_that_has_run_out_is_taken_and_not_given_back_by_who_lost_it(site: Site) -> None:
    site.begun()
    said: list[str] = []
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    with lock.held(site.client, site.namespace, "sample", 60, say=said.append, who="first", now=lambda: long_ago):
        with lock.held(site.client, site.namespace, "sample", 60, say=said.append, who="second"):
            pass
        assert said == []
    assert said == ["the lock could not be given back: it is not held any more"]


def test_the_identity_learns_what_it_may(site: Site) -> None:
    at = {"namespace": site.namespace, "verb": "patch", "group": "apps", "resource": "deployments"}
    told = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
    assert site.client.create({**told, "spec": {"resourceAttributes": at}})["status"]["allowed"] is True
    told["kind"] = "SelfSubjectRulesReview"
    assert site.client.create({**told, "spec": {"namespace": site.namespace}})["status"]["resourceRules"]


def test_a_release_that_never_becomes_ready_is_taken_away_again(site: Site) -> None:
    until = Until(240) if REAL else Until(5)
    with pytest.raises(Undone, match="serving waits: (ImagePullBackOff|ErrImagePull).*nothing serves, as before"):
        place(site.client, site.manifests, say=print, lets=lets, until=until)
    for kind in ("Deployment", "Job", "Service"):
        assert site.client.list(kind, site.namespace) == []
    assert not site.client.get("Lease", "sluice-sample", site.namespace)["spec"].get("holderIdentity")
