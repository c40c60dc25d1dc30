"""A lease in a file: what keeps the service from starting, what stops it, and that nothing old makes it go on."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployments.serving import grant
from deployments.serving.__main__ import options
from deployments.serving.app import Service, application
from deployments.serving.grant import EVERY, Granted
from deployments.serving.keyset import keyset
from deployments.serving.load import Model, load
from deployments.serving.schema import Refusal
from deployments.serving.token import METRICS, Verifier
from security.errors import KeyBroken, LogBroken, Refused, SluiceError
from security.models import lease
from tests.deployments.serving.release import AUDIENCE, ISSUER, PATH, TENANT, Site
from tests.deployments.serving.test_limit import Clock
from tests.deployments.serving.test_service import bearing, error, refusal
from tests.deployments.serving.twins import serving

NAME, TARGET, HOUR = "recommender", "kubernetes_test", 3600.0
PLACE = ["--name", NAME, "--target", TARGET]


class Desk:
    """Who gives leases, and the folder where they lie as a cluster lays them: a link in it is swapped."""

    def __init__(self, home: Site, root: Path, model: Model) -> None:
        self.home, self.root, self.model = home, root, model
        self.clock, self.wall, self.number = Clock(), Clock(), 0
        self.wall.now = float(int(time.time()))
        self.file = root / "lease.dsse"
        self.file.symlink_to("..data/lease.dsse")

    def made(self, role: Any = "verifier", **told: Any) -> bytes:
        """A lease of the model from now on, for an hour."""
        at = round(told.pop("at", self.wall.now), 3)
        usual: dict[str, Any] = {"name": NAME, "target": TARGET, "models": (self.model.digest,)}
        usual |= {"chain": "b" * 64, "revocations": "", "entries": 4, "at": at, "until": at + told.pop("seconds", HOUR)}
        return lease.sealed(self.home.keys.signer(role), **usual | told)

    def lay(self, envelope: bytes) -> bytes:
        """Swap the link to a folder with this one."""
        self.number += 1
        (folder := self.root / f"..{self.number}").mkdir()
        (folder / "lease.dsse").write_bytes(envelope)
        (fresh := self.root / "..fresh").symlink_to(folder.name)
        os.replace(fresh, self.root / "..data")
        return envelope

    def granted(self, **more: Any) -> Granted:
        """What the service holds."""
        keys = self.home.keys
        told = {"name": NAME, "target": TARGET, "clock": self.clock, "wall": self.wall, **more}
        return Granted(self.file, keys.public("verifier"), keys.public("producer"), **told).to(self.model.digest)

    def pass_(self, seconds: float) -> None:
        """Time goes by, on both clocks."""
        self.clock.now += seconds
        self.wall.now += seconds


@pytest.fixture(scope="module")
def model(home: Site) -> Model:
    return load(home.release, home.keys.public("producer"))


@pytest.fixture
def desk(home: Site, tmp_path: Path, model: Model) -> Desk:
    return Desk(home, tmp_path, model)


def usable(granted: Granted) -> str:
    """Why it does not hold; empty where it does."""
    try:
        granted.usable()
    except Refusal as why:
        return str(why) if why.status == 503 else f"{why.status}: {why}"
    return ""


BAD: dict[str, tuple[Callable[[Desk], bytes], type[SluiceError], str]] = {
    "nothing": (lambda desk: b"", LogBroken, "a lease of no bytes"),
    "too much": (lambda desk: b"x" * (lease.MOST + 1), LogBroken, "too many bytes"),
    "no lease": (lambda desk: b"{}", LogBroken, "not an envelope"),
    "altered": (lambda desk: desk.made().replace(b"payload", b"paylaod", 1), LogBroken, "not an envelope"),
    "by the producer": (lambda desk: desk.made("producer"), LogBroken, "not signed by the key given"),
    "of another pipeline": (lambda desk: desk.made(name="other"), Refused, "of other at kubernetes_test; allowed"),
    "for another target": (lambda desk: desk.made(target="kubernetes_prod"), Refused, "at kubernetes_prod; allowed"),
    "run out": (lambda desk: desk.made(at=desk.wall.now - HOUR), Refused, "has run out"),
    "of days to come": (lambda desk: desk.made(at=desk.wall.now + 3 * HOUR), LogBroken, "10800 s from now"),
    "of another model": (lambda desk: desk.made(models=("e" * 64,)), Refusal, "does not name this release"),
    "of none": (lambda desk: desk.made(models=()), Refusal, "does not name this release"),
}


@pytest.mark.parametrize("name", BAD)
def test_without_a_good_one_nothing_is_served(desk: Desk, name: str) -> None:
    make, kind, said = BAD[name]
    desk.lay(make(desk))
    with pytest.raises(kind, match=said):
        desk.granted()


@pytest.mark.parametrize("name", BAD)
def test_one_that_is_not_good_renews_nothing_and_ends_only_what_it_may(desk: Desk, name: str) -> None:
    desk.lay(desk.made())
    granted = desk.granted()
    desk.pass_(EVERY)
    make, kind, said = BAD[name]
    desk.lay(make(desk))
    ended = kind is Refusal  # by the verifier, and newer: it counts
    assert usable(granted) == (said.replace("does", "the lease does") if ended else "")
    desk.pass_(HOUR - EVERY - 1)
    assert usable(granted) == ("the lease does not name this release" if ended else "")
    desk.pass_(1)
    assert usable(granted) == ("the lease does not name this release" if ended else "the lease has run out")
    desk.lay(desk.made())
    desk.pass_(EVERY)
    assert usable(granted) == "", "there is a good one again"


def test_a_file_that_is_gone_is_none(desk: Desk) -> None:
    with pytest.raises(LogBroken, match="no lease can be read"):
        desk.granted()
    desk.lay(desk.made())
    granted = desk.granted()
    desk.file.unlink()
    desk.pass_(HOUR - 1)
    assert usable(granted) == ""
    desk.pass_(1)
    assert usable(granted) == "the lease has run out"
    os.mkfifo(desk.file)
    desk.pass_(EVERY)
    assert usable(granted) == "the lease has run out", "nobody is waited for"


def test_it_is_looked_at_every_ten_seconds(desk: Desk) -> None:
    desk.lay(desk.made())
    granted = desk.granted()
    for _ in range(20):
        desk.pass_(HOUR / 2)
        desk.lay(desk.made())
        assert usable(granted) == ""
    desk.pass_(EVERY - 1)
    desk.lay(desk.made(models=()))
    assert usable(granted) == "", "not yet"
    desk.pass_(1)
    assert usable(granted) == "the lease does not name this release"


def test_an_older_one_that_is_put_back_does_not_count(desk: Desk) -> None:
    old = desk.lay(desk.made(seconds=2 * HOUR))
    granted = desk.granted()
    desk.pass_(EVERY)
    desk.lay(desk.made(models=()))
    assert usable(granted) == "the lease does not name this release"
    for told in (old, desk.made(entries=3, at=desk.wall.now + 1)):
        desk.lay(told)
        desk.pass_(EVERY)
        assert usable(granted) == "the lease does not name this release", "nor one whose signer knew less"


STEPS = st.tuples(st.sampled_from(["lay", "back", "wait", "set"]), st.integers(1, 5000), st.booleans())


@settings(max_examples=40, deadline=None)
@given(steps=st.lists(STEPS, max_size=12))
def test_whatever_clocks_and_files_do_it_never_outlasts_what_was_given(
    home: Site, model: Model, tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, bool]]
) -> None:
    """Leases are laid there, each looked at by a clock that is right; and then older ones are put back, and the clock
    is, too. It is usable by true time alone, and by the newest of them."""
    desk = Desk(home, tmp_path_factory.mktemp("desk"), model)
    laid, truth, newest = [desk.lay(desk.made())], desk.wall.now, (True, desk.wall.now)
    granted = desk.granted()
    for what, number, mine in steps:
        if what == "wait":
            truth += number
            desk.pass_(number)
        elif what == "set":
            desk.wall.now = truth - number
        elif what == "back":
            desk.lay(laid[number % len(laid)])
        else:
            truth += EVERY
            desk.clock.now, desk.wall.now, newest = desk.clock.now + EVERY, truth, (mine, truth)
            laid.append(desk.lay(desk.made(models=(model.digest,) if mine else ())))
        assert (usable(granted) == "") == (newest[0] and truth < newest[1] + HOUR)


def test_a_clock_that_is_put_back_makes_nothing_last(desk: Desk) -> None:
    desk.lay(desk.made())
    granted = desk.granted()
    for _ in range(5):
        desk.clock.now += HOUR / 6
        desk.wall.now -= HOUR
        assert usable(granted) == ""
    desk.clock.now += HOUR / 6
    assert usable(granted) == "the lease has run out"


def test_a_machine_that_was_asleep_has_none_left(desk: Desk) -> None:
    """The other clock stood still meanwhile."""
    desk.lay(desk.made())
    granted = desk.granted()
    desk.wall.now += HOUR - 1
    assert usable(granted) == ""
    desk.wall.now += 1
    assert usable(granted) == "the lease has run out"


def test_what_has_not_changed_is_not_verified_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.lay(desk.made())
    granted, asked, real = desk.granted(), list[bytes](), grant.read
    monkeypatch.setattr(grant, "read", lambda *told, **more: asked.append(told[0]) or real(*told, **more))
    for _ in range(20):
        desk.pass_(EVERY)
        assert usable(granted) == ""
    assert asked == []
    fresh = desk.lay(desk.made())
    desk.pass_(EVERY)
    assert usable(granted) == ""
    assert asked == [fresh]


def test_who_makes_models_lets_none_serve(desk: Desk) -> None:
    desk.lay(desk.made("producer"))
    key = desk.home.keys.public("producer")
    with pytest.raises(KeyBroken, match="the verifier's key is the producer's"):
        Granted(desk.file, key, key, name=NAME, target=TARGET)


def test_past_its_lease_the_service_answers_nothing(home: Site, desk: Desk) -> None:
    desk.lay(desk.made())
    verifier = Verifier(keyset((home.home / "jwks.json").read_bytes()), ISSUER, AUDIENCE, TENANT)
    service = Service(desk.model, verifier, lease=desk.granted())
    with serving(application(service, PATH)) as url, httpx.Client(base_url=url, trust_env=False) as client:
        ask: dict[str, Any] = {"params": {"user": "u001"}, "headers": bearing(home)}
        assert client.get(PATH, **ask).status_code == 200
        desk.pass_(600)
        text = client.get("/metrics", headers=bearing(home, scope=METRICS)).text
        assert text.endswith("\nsluice_lease_seconds 3000\n")
        desk.pass_(HOUR)
        assert "run out" in error(client.get(PATH, **ask), 503)
        assert "run out" in error(client.post(PATH, json={"items": ["i001"]}, headers=bearing(home)), 503)
        assert (client.get("/readyz").status_code, client.get("/healthz").status_code) == (503, 200)
        desk.lay(desk.made(models=()))
        desk.pass_(EVERY)
        assert client.get("/readyz").status_code == 503
        text = client.get("/metrics", headers=bearing(home, scope=METRICS)).text
        assert text.endswith("\nsluice_lease_seconds 0\n")


def test_the_process_does_not_start_without_one(home: Site, desk: Desk) -> None:
    files = {"registry": None, "lease": desk.file}
    for name in ("nothing", "by the producer", "for another target", "run out", "of another model"):
        make, _, said = BAD[name]
        desk.lay(make(desk))
        assert said in refusal(home, *PLACE, **files)


def test_it_is_asked_by_a_lease_or_by_a_registry_and_by_one_of_them() -> None:
    told = ["--release", "r", "--key", "k", "--jwks", "j", "--issuer", "i", "--audience", "a", "--tenant", "t"]
    told += ["--path", PATH, "--ready", "f", "--log", "UnsafeNone"]
    good = ["--lease", "l", "--verifier", "v", *PLACE]
    assert options([*told, *good]).lease == Path("l")
    for wrong in ([], [*good, "--registry", "UnsafeNone"], good[:2], good[:4], good[:6], [*good[:2], *good[4:]]):
        with pytest.raises(SystemExit):
            options([*told, *wrong])


def until(url: str, status: int, seconds: float) -> float:
    """Seconds until it is ready, or not, as `status` says."""
    begun = time.monotonic()
    while httpx.get(f"{url}/readyz", trust_env=False).status_code != status:
        assert time.monotonic() - begun < seconds, status
        time.sleep(0.1)
    return time.monotonic() - begun


def test_a_process_stops_and_goes_on_as_leases_are_swapped_under_it(home: Site, desk: Desk) -> None:
    desk.wall.now = time.time()
    old = desk.lay(desk.made(seconds=6))
    with home.serve(*PLACE, registry=None, lease=desk.file) as service:
        until(service.url, 503, 6.5)  # though the file stays
        desk.wall.now = time.time()
        desk.lay(desk.made())
        until(service.url, 200, EVERY + 3)
        desk.wall.now = time.time()
        desk.lay(desk.made(models=()))
        until(service.url, 503, EVERY + 3)
        desk.lay(old)
        service.process.terminate()
        _, said = service.process.communicate(timeout=10)
    assert said == ""
