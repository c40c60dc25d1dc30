"""A lease in a cluster: there before pods begin, in the place of the one that was seen, and no part of a release."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from deployments.kubernetes import lease
from deployments.kubernetes.client import Client
from deployments.kubernetes.errors import Conflict, Moved, Undone
from deployments.kubernetes.release import Release, read
from deployments.kubernetes.rollout import there
from deployments.kubernetes.status import diff
from tests.cluster.conftest import World, rolled, stuck
from tests.cluster.server import Told
from tests.cluster.test_rollout import MODELS, NEW, OLD, Site, failed
from tests.security.manifests.given import rendered

PLACE = ("ConfigMap", "sluice", "sample-lease")


@pytest.fixture
def site(world: World) -> Iterator[Site]:
    """Pods begin only where their model is let serve: by then, what they mount must be there."""

    def begun(told: Told, look: int) -> tuple[Told, str]:
        held = world.objects.held.get(PLACE, {"data": {lease.FILE: ""}})
        let = told["metadata"]["annotations"]["sluice/model"] in held["data"][lease.FILE]
        return (rolled if let else stuck("ContainerCreating"))(told, look)

    world.rollout = begun
    with world.client() as client:
        yield Site(world, client)


def test_it_is_there_before_the_pods_that_it_lets_serve(site: Site) -> None:
    site.place(0)
    site.switch(0, None)
    asked = [each.split("?")[0] for each in site.world.cluster.asked if "dryRun" not in each]
    mine = next(n for n, each in enumerate(asked) if each.startswith("PATCH") and each.endswith("sample-lease"))
    assert mine < next(n for n, each in enumerate(asked) if each.startswith("PATCH") and "/deployments/" in each)
    placed = site.place(1)
    assert site.world.objects.held[PLACE]["data"][lease.FILE].split() == MODELS[:2]
    assert (placed.serving, site.switch(1, OLD).release) == (OLD, NEW)


def test_without_one_a_release_never_becomes_ready(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.place(0)
    site.switch(0, None)
    monkeypatch.setattr("tests.cluster.test_rollout.lets", lambda client, release: None)
    said = failed(site, Undone, "waits: ContainerCreating", lambda: site.place(1, seconds=1))
    assert said.endswith(f"what it made was taken away again; {OLD} still serves")


def test_where_it_cannot_be_laid_no_pod_begins(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.place(0)
    site.switch(0, None)

    def refuses(client: Client, release: Release) -> None:
        raise Moved("nobody lets it serve")

    monkeypatch.setattr("tests.cluster.test_rollout.lets", refuses)
    site.world.cluster.asked.clear()
    failed(site, Undone, "nobody lets it serve", lambda: site.place(1))
    patches = [each for each in site.world.cluster.asked if each.startswith("PATCH") and "dryRun" not in each]
    assert not [each for each in patches if "/deployments/" in each]


def test_it_is_no_part_of_a_release(site: Site) -> None:
    site.place(0)
    site.switch(0, None)
    before = there(site.client, release := site.place(1).release)
    for number in range(3):
        lease.renewed(site.client, "sluice", "sample", lambda _, n=number: f"{MODELS} {n}".encode())  # type: ignore[misc]
        assert diff(site.client, site.manifests(0)) == []
    assert there(site.client, release) == before
    assert site.switch(1, OLD).release == NEW, "nor is what the gates have seen another"


def test_of_two_who_renew_it_the_second_sees_what_the_first_has_left(site: Site) -> None:
    site.place(0)
    seen: list[bytes] = []

    def make(before: bytes) -> bytes:
        seen.append(before)
        if len(seen) == 1:
            lease.renewed(site.client, "sluice", "sample", lambda _: b"the other's")
        return before + b", and mine"

    assert lease.renewed(site.client, "sluice", "sample", make) == b"the other's, and mine"
    assert seen == [f"{MODELS[0]}\n".encode(), b"the other's"]
    assert site.world.objects.held[PLACE]["data"] == {lease.FILE: "the other's, and mine"}


def test_of_two_who_make_the_first_one_at_once_none_is_lost(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of nothing there is no version to hold to: the second looks again at what lies there."""
    site.client.apply(read(rendered()).namespace)
    once, apply = iter([True]), Client.apply

    def together(client: Client, told: dict[str, Any], *, dry: bool = False) -> Any:
        made = apply(client, told, dry=dry)
        if next(once, False):
            apply(client, {**told, "data": {lease.FILE: "the other's"}})
        return made

    monkeypatch.setattr(Client, "apply", together)
    seen: list[bytes] = []

    def make(before: bytes) -> bytes:
        seen.append(before)
        return before + b", and mine"

    assert lease.renewed(site.client, "sluice", "sample", make) == b"the other's, and mine"
    assert seen == [b"", b"the other's"]


def test_whoever_is_never_first_has_laid_nothing(site: Site) -> None:
    site.place(0)
    number = iter(range(99))

    def make(before: bytes) -> bytes:
        lease.renewed(site.client, "sluice", "sample", lambda _: f"{next(number)}".encode())
        return b"mine"

    with pytest.raises(Moved, match="tried 5 times"):
        lease.renewed(site.client, "sluice", "sample", make)
    assert site.world.objects.held[PLACE]["data"] == {lease.FILE: "4"}


def test_what_somebody_else_has_put_there_is_not_taken_by_force(site: Site) -> None:
    site.place(0)
    live: dict[str, Any] = json.loads(json.dumps(site.world.objects.held[PLACE]))
    live["data"][lease.FILE] = "theirs"
    with Client(site.client.config, manager="kubectl-edit") as other:
        other.replace(live)
    with pytest.raises(Conflict, match="managed by kubectl-edit"):
        lease.renewed(site.client, "sluice", "sample", lambda _: b"mine")


def test_the_first_one_is_made(site: Site) -> None:
    assert lease.found(site.client, "sluice", "sample") == b""
    site.place(0)
    assert lease.found(site.client, "sluice", "sample") == f"{MODELS[0]}\n".encode()
    live = site.client.get(*PLACE[::2], PLACE[1])
    assert live["metadata"]["labels"]["app.kubernetes.io/name"] == "sample"
    assert live.get("immutable") is None
