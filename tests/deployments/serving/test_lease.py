"""The registry's word: what keeps the service from starting, what stops it, and how long it goes on without."""

import os
import shutil
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployments.serving import lease as module
from deployments.serving.app import Service, application
from deployments.serving.keyset import keyset
from deployments.serving.lease import EVERY, SECONDS, Lease
from deployments.serving.load import Model, load
from deployments.serving.schema import Refusal
from deployments.serving.token import Verifier
from security.errors import LogBroken, Refused
from security.models.chain import Keys
from tasks import chains
from tasks.home import Home
from tests.deployments.serving.release import AUDIENCE, ISSUER, PATH, TENANT, Site
from tests.deployments.serving.test_limit import Clock
from tests.deployments.serving.test_service import bearing, error, refusal
from tests.deployments.serving.twins import serving

NAME = "recommender"


class Registry:
    """A registry, those who may write to it, and one release."""

    def __init__(self, home: Site, root: Path, model: Model) -> None:
        self.home, self.site, self.model, self.clock = Home(root), home, model, Clock()
        producer, verifier, owner = (home.keys.public(role) for role in ("producer", "verifier", "owner"))
        self.keys = Keys((producer,), (verifier,), (owner,))
        self.folder = self.home.folder("chains")

    def enter(self, version: int, release: str) -> None:
        """Enter a version, and let it go into production."""
        told = {"name": NAME, "version": version, "manifest": f"{version:064x}", "release": release, "run": "run-7"}
        more: dict[str, Any] = {"data": ("a" * 64,), "expires": time.time() + 3600}
        chains.enter(self.home, self.site.keys.signer("producer"), self.keys, **told, **more)
        for alias, role in (("candidate", "producer"), ("approved", "verifier"), ("production", "verifier")):
            said = {"reason": "it passed", **({"log": "f" * 64} if alias == "production" else {})}
            chains.move(self.home, self.site.keys.signer(role), self.keys, NAME, alias, version, **said)  # type: ignore[arg-type]

    def revoke(self, what: str, target: str, **told: Any) -> None:
        """Revoke something."""
        said = {"what": what, "target": target, "reason": "it leaked", **told}
        chains.revoke(self.home, self.site.keys.signer("verifier"), self.keys, **said)

    def lease(self, **more: Any) -> Lease:
        """The lease of a service that serves the release."""
        key = self.site.keys.public("producer").id
        told = {"clock": self.clock, **more}
        return Lease(self.folder, self.keys, self.model.card, self.model.digest, key, **told)


@pytest.fixture(scope="module")
def model(home: Site) -> Model:
    return load(home.release, home.keys.public("producer"))


@pytest.fixture
def registry(home: Site, tmp_path: Path, model: Model) -> Registry:
    return Registry(home, tmp_path, model)


def usable(lease: Lease) -> str:
    """Why it does not hold; empty where it does."""
    try:
        lease.usable()
    except Refusal as why:
        return f"{why.status}: {why}"
    return ""


def test_what_nobody_has_taken_away_is_served(registry: Registry) -> None:
    assert usable(registry.lease()) == ""
    registry.enter(2, "b" * 64)
    registry.enter(3, registry.model.digest)
    assert usable(registry.lease()) == ""


@pytest.mark.parametrize(
    ("what", "entered", "reason"),
    [("model", True, "is revoked"), ("data", True, "dataset"), ("data", False, "leaked"), ("key", False, "leaked")],
)
def test_what_was_revoked_is_not_loaded(registry: Registry, what: str, entered: bool, reason: str) -> None:
    if entered:
        registry.enter(3, registry.model.digest)
    targets = {"model": f"{3:064x}", "data": "a" * 64, "key": registry.site.keys.public("producer").id}
    more = {"name": NAME, "version": 3} if what == "model" else {}
    registry.revoke(what, targets[what], **more)
    with pytest.raises(Refused, match=reason):
        registry.lease()


def test_nothing_older_than_what_was_in_production_is_loaded(registry: Registry) -> None:
    registry.enter(4, "b" * 64)
    with pytest.raises(Refused, match="version 3 of 'recommender' is older than 4, which was in production"):
        registry.lease()


def test_a_newer_one_does_not_end_what_serves(registry: Registry) -> None:
    lease = registry.lease()
    registry.enter(4, "b" * 64)
    registry.clock.now += EVERY
    assert usable(lease) == ""


def test_a_revocation_ends_it_when_it_is_read_and_for_good(registry: Registry) -> None:
    lease = registry.lease()
    registry.revoke("data", "a" * 64)
    assert usable(lease) == "", "until it is looked at again"
    registry.clock.now += EVERY
    assert lease.left() == SECONDS - EVERY
    assert usable(lease) == "503: the release was revoked"
    assert lease.left() < 0
    shutil.rmtree(registry.folder)
    registry.clock.now += EVERY
    assert usable(lease) == "503: the release was revoked"


def test_what_has_not_changed_is_not_verified_again(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    registry.enter(2, "b" * 64)
    lease, asked, real = registry.lease(), [], module.stands
    monkeypatch.setattr(module, "stands", lambda *told, **more: asked.append(told) or real(*told, **more))
    for _ in range(20):
        registry.clock.now += EVERY
        assert usable(lease) == ""
    assert not asked
    registry.revoke("data", "b" * 64)
    registry.clock.now += EVERY
    assert usable(lease) == ""
    assert len(asked) == 1


@pytest.mark.parametrize("how", ["gone", "cut", "altered", "link", "hole"])
def test_without_a_registry_it_ends_with_the_lease(registry: Registry, how: str) -> None:
    registry.revoke("data", "b" * 64)
    registry.revoke("data", "c" * 64)
    lease = registry.lease()
    one, two = (registry.folder / "revoked" / number for number in "12")
    kept = two.read_bytes()
    if how == "gone":
        shutil.move(registry.folder, registry.folder.with_name("elsewhere"))
    else:
        (one if how == "hole" else two).unlink()
    if how == "altered":
        two.write_bytes(kept.replace(b"a", b"b", 1))
    if how == "link":
        two.symlink_to(one)
    for _ in range(6):
        registry.clock.now += EVERY
        assert usable(lease) == ""
    registry.clock.now += 0.1
    assert usable(lease) == "503: whether the release was revoked is not known any more"
    if how == "cut":
        two.write_bytes(kept)
        registry.clock.now += EVERY
        assert usable(lease) == "", "whole again"


def test_a_registry_that_cannot_be_believed_is_none(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(LogBroken, match="cut off"):
        registry.lease(known=("d" * 64,))
    registry.enter(2, "b" * 64)
    registry.keys = Keys((registry.site.keys.public("approver"),))
    with pytest.raises(LogBroken, match="whose key was not given"):
        registry.lease()
    registry.folder = tmp_path / "absent"
    with pytest.raises(LogBroken, match="no registry"):
        registry.lease()


@pytest.mark.parametrize("name", ["revoked", NAME])
@pytest.mark.parametrize("how", ["a file", "a link to nowhere", "not to be read"])
def test_a_chain_that_cannot_be_read_is_not_an_empty_one(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, name: str, how: str
) -> None:
    folder, real = registry.folder / name, os.scandir
    lease = registry.lease()

    def denied(asked: Any = ".") -> Any:
        if Path(asked) == folder:
            raise PermissionError
        return real(asked)

    if how == "a file":
        folder.write_bytes(b"")
    elif how == "a link to nowhere":
        folder.symlink_to("nowhere")
    else:
        folder.mkdir()
        monkeypatch.setattr(os, "scandir", denied)
        monkeypatch.setattr(os, "listdir", lambda asked=".": [each.name for each in denied(asked)])
    with pytest.raises(LogBroken, match=name):
        registry.lease()
    registry.clock.now += SECONDS + 1
    assert usable(lease) == "503: whether the release was revoked is not known any more"


def test_past_its_lease_the_service_answers_nothing(home: Site, registry: Registry, model: Model) -> None:
    verifier = Verifier(keyset((home.home / "jwks.json").read_bytes()), ISSUER, AUDIENCE, TENANT)
    service = Service(model, verifier, lease=registry.lease())
    with serving(application(service, PATH)) as url, httpx.Client(base_url=url, trust_env=False) as client:
        ask = {"params": {"user": "u001"}, "headers": bearing(home)}
        assert client.get(PATH, **ask).status_code == 200  # type: ignore[arg-type]
        registry.clock.now += SECONDS + 1
        assert client.get(PATH, **ask).status_code == 200, "it was renewed"  # type: ignore[arg-type]
        shutil.rmtree(registry.folder)
        registry.clock.now += SECONDS + 1
        assert "not known" in error(client.get(PATH, **ask), 503)  # type: ignore[arg-type]
        assert "not known" in error(client.post(PATH, json={"items": ["i001"]}, headers=bearing(home)), 503)
        assert (client.get("/readyz").status_code, client.get("/healthz").status_code) == (503, 200)


def test_the_process_does_not_start_on_a_release_that_was_revoked(home: Site, tmp_path: Path) -> None:
    registry = Registry(home, tmp_path, load(home.release, home.keys.public("producer")))
    registry.revoke("data", "a" * 64)
    assert "it leaked" in refusal(home, registry=registry.folder)
    assert "cut off" in refusal(home, "--known", "d" * 64)
