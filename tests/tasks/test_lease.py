"""Which models a lease lets serve: decided on, there, and standing; a candidate while its run lives; and none of a
registry that cannot be believed."""

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deployments.kubernetes import lease as laid
from deployments.kubernetes.client import Client
from deployments.kubernetes.release import read
from security.errors import LogBroken, PlanError
from security.keys import UnsafeLocalKeys
from security.log import Log
from security.models import lease
from security.models.chain import Keys
from tasks import chains, decision, lead, store
from tasks import lease as module
from tasks.home import Home, mine
from tasks.lease import Given, Line, Of, renew
from tests.cluster.conftest import World, world
from tests.security.manifests.given import rendered

__all__ = ["world"]
NAME, TARGET, SPACE = "sample", "kubernetes_test", "sluice"
MODELS = ["aa" * 32, "bb" * 32, "cc" * 32]
PLAN: Any = SimpleNamespace(document={"pipeline_name": NAME}, target=TARGET, policy_sha256="c" * 64)


class Desk:
    """A home with a registry and decisions, a cluster with releases, and who gives leases."""

    def __init__(self, home: Home, world: World, client: Client) -> None:
        self.home, self.world, self.client = home, world, client
        self.keys = UnsafeLocalKeys(home.root / "keys")
        roles: Any = ("producer", "verifier", "owner")
        producer, verifier, owner = ((self.keys.public(role),) for role in roles)
        self.trusted = Keys(producer, verifier, owner)
        namespace = read(rendered()).namespace
        client.apply(namespace)

    def release(self, number: int) -> Any:
        """What is told of a release."""
        return read(rendered(model=MODELS[number]))

    def enter(self, number: int, *aliases: str) -> None:
        """A model of the registry, data of its own, and where it was moved."""
        told = {"name": NAME, "version": number + 1, "manifest": f"{number:064x}", "release": MODELS[number]}
        told |= {"run": f"run-{number}", "data": (f"{9 + number:064x}",), "expires": time.time() + 3600}
        chains.enter(self.home, self.keys.signer("producer"), self.trusted, **told)
        for alias in aliases:
            signer = self.keys.signer("producer" if alias == "candidate" else "verifier")
            said = {"reason": "it passed", **({"log": "f" * 64} if alias == "production" else {})}
            chains.move(self.home, signer, self.trusted, NAME, alias, number + 1, **said)  # type: ignore[arg-type]

    def there(self, number: int) -> None:
        """Its Deployment is in the cluster."""
        self.client.apply(self.release(number).deployment)

    def decide(self, number: int) -> None:
        """The verifier decides on its release."""
        name = store.pointer(TARGET, NAME)
        seen, run = store.current(self.home, name)[0], f"run-{number}"
        told = {"run": run, "model": MODELS[number], "release": self.release(number).release}
        self.home.evidence(run).mkdir(parents=True, exist_ok=True)
        envelope = decision.sign(PLAN, "b" * 64, told, self.keys.signer("verifier"))
        with decision.kept(self.home, run, seen + 1, envelope):
            store.move(self.home, name, seen, told)

    def serve(self, number: int) -> None:
        """All of that."""
        self.enter(number, "candidate", "approved", "production")
        self.there(number)
        self.decide(number)

    def revoke(self, what: str, target: str, **told: Any) -> None:
        """Revoke something."""
        said = {"what": what, "target": target, "reason": "it leaked", **told}
        chains.revoke(self.home, self.keys.signer("owner"), self.trusted, **said)

    def candidate(self, number: int, **otherwise: Any) -> str:
        """A run that places a release: what its log has, and its mark."""
        run, said = f"run-{number}", {"name": NAME, "target": TARGET, "mark": mine(), "data": "d" * 64, **otherwise}
        log = Log(self.home.evidence(run) / "log.jsonl", self.keys.signer("producer"))
        log.append("plan", plan={"document": {"pipeline_name": said["name"]}, "target": said["target"]})
        log.append("output", output={"kind": "rows", "sha256": said["data"]})
        folder = self.home.evidence(run) / lead.FOLDER
        folder.mkdir()
        for name, data in rendered(model=MODELS[number]):
            (folder / name).write_bytes(data)
        log.append("output", output={"kind": "manifests", "sha256": store.measure(folder)[0]})
        for kind, more in said.get("then", ()):
            log.append(kind, **more)
        (self.of().candidates / run).write_text(said["mark"])
        return run

    def of(self, **more: Any) -> Of:
        told: dict[str, Any] = {"keys": self.keys, "trusted": self.trusted, "seconds": 3600, **more}
        return Of(self.home, NAME, TARGET, **told)

    def renew(self, **more: Any) -> Given:
        """Give the lease."""
        return renew(self.of(**more), self.client, SPACE, NAME)

    @property
    def envelope(self) -> bytes:
        """What lies in the cluster, empty for nothing."""
        held = self.world.objects.held.get(("ConfigMap", SPACE, laid.called(NAME)))
        return held["data"][laid.FILE].encode() if held else b""

    def lay(self, envelope: bytes) -> None:
        """Whoever may write there puts something else in its place, as if it were us."""
        laid.renewed(self.client, SPACE, NAME, lambda _: envelope)

    def let(self) -> list[str]:
        """What a service reads there."""
        key = self.keys.public("verifier")
        return list(lease.read(self.envelope, key, name=NAME, target=TARGET, now=time.time()).models)


@pytest.fixture
def desk(world: World, tmp_path: Path) -> Iterator[Desk]:
    with world.client() as client:
        yield Desk(Home(tmp_path / "home"), world, client)


def why(given: Given) -> dict[str, str]:
    return {each.run: each.why for each in given.lines}


def test_what_was_decided_on_and_stands_may_serve_for_a_while(desk: Desk) -> None:
    desk.serve(0)
    desk.serve(1)
    begun = time.time()
    given = desk.renew(seconds=900)
    assert desk.let() == MODELS[:2] == list(given.lease.models)
    assert 0 <= given.lease.at - begun < 60
    assert given.lease.until == given.lease.at + 900
    found = chains.standing(desk.home, NAME, desk.trusted)
    assert (given.lease.chain, given.lease.revocations, given.lease.entries) == (found.head, "", 8)
    assert given.lines == [Line(f"run-{n}", desk.release(n).release, MODELS[n], "") for n in (0, 1)]


@pytest.mark.parametrize("what", ["model", "data", "key"])
def test_what_was_revoked_is_in_no_lease_after_it(desk: Desk, what: str) -> None:
    desk.serve(0)
    desk.serve(1)
    assert desk.renew().lease.models == tuple(MODELS[:2])
    targets = {"model": f"{0:064x}", "data": f"{9:064x}", "key": desk.keys.public("verifier").id}
    desk.revoke(what, targets[what], **({"name": NAME, "version": 1} if what == "model" else {}))
    given = desk.renew()
    assert desk.let() == ([] if what == "key" else MODELS[1:2]) == list(given.lease.models)
    said = {"model": "is revoked: it leaked", "data": "which is revoked", "key": "the verifier's key is revoked"}
    assert said[what] in why(given)["run-0"]


def test_what_was_not_decided_on_or_approved_or_is_not_there_may_not(desk: Desk) -> None:
    desk.serve(0)
    desk.enter(1, "candidate")
    desk.there(1)
    assert desk.renew().lease.models == (MODELS[0],), "entered and there, and nobody decided on it"
    desk.decide(1)
    assert why(desk.renew()) == {"run-0": "", "run-1": "was approved by nobody whose word counts"}
    desk.decide(2)
    desk.there(2)
    assert why(desk.renew())["run-2"] == "was never entered"
    live = desk.client.get("Deployment", (own := desk.release(0).own), SPACE)
    desk.client.delete("Deployment", own, SPACE, uid=live["metadata"]["uid"])
    assert "run-0" not in why(desk.renew()), "of what was taken away nothing is said for ever"
    live = desk.client.get("Deployment", (own := desk.release(2).own), SPACE)
    desk.client.delete("Deployment", own, SPACE, uid=live["metadata"]["uid"])
    desk.enter(2, "candidate", "approved", "production")
    assert why(desk.renew())["run-2"] == "is not there any more", "but of the newest"
    assert desk.let() == []


def test_one_that_asks_nobody_is_told(desk: Desk) -> None:
    """A release that was rendered before there were leases: what is revoked of it goes on."""
    desk.serve(0)
    told = json.loads(json.dumps(desk.release(0).deployment))
    (box,) = told["spec"]["template"]["spec"]["containers"]
    at = box["args"].index("--lease")
    box["args"][at : at + 2] = ["--registry", "UnsafeNone"]
    desk.client.apply(told)
    assert why(desk.renew()) == {"run-0": module.UNLEASED}
    assert desk.let() == []


def test_a_revoked_verifier_lets_nothing_serve(desk: Desk) -> None:
    """Neither what it decided on, nor a candidate that nobody has entered."""
    desk.serve(0)
    desk.candidate(1)
    desk.revoke("key", desk.keys.public("verifier").id)
    assert set(why(desk.renew()).values()) == {"is let serve by nobody: the verifier's key is revoked: it leaked"}
    assert desk.let() == []


def test_one_of_days_to_come_holds_up_none_after_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock ran ahead once. What that lease knew of the registry is held to all the same."""
    desk.serve(0)
    now = time.time()
    with monkeypatch.context() as ahead:
        ahead.setattr(module.time, "time", lambda: now + 2400)
        desk.renew()
    assert desk.renew().lease.at < now + 60
    assert desk.let() == [MODELS[0]]


def test_the_lease_of_another_place_stays(desk: Desk) -> None:
    desk.serve(0)
    told = desk.renew().lease.model_dump()
    other = lease.sealed(desk.keys.signer("verifier"), **{**told, "target": "kubernetes_prod"})
    desk.lay(other)
    with pytest.raises(PlanError, match="a lease of sample at kubernetes_prod lies there; .* nothing was laid"):
        desk.renew()
    assert desk.envelope == other


def test_one_that_has_expired_may_not(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.serve(0)
    now = time.time()
    monkeypatch.setattr(module.time, "time", lambda: now + 7200)
    with pytest.raises(LogBroken):
        desk.let()
    assert why(desk.renew())["run-0"].startswith("expired on")


def broken(desk: Desk, how: str) -> None:
    chain, gone = (desk.home.root / "chains" / name for name in (NAME, "revoked"))
    if how == "altered":
        path = chain / "4"
        path.chmod(0o644)
        path.write_bytes(path.read_bytes().replace(b"a", b"b", 1))
    elif how == "hole":
        (chain / "2").unlink()
    elif how == "a move cut off":
        (chain / "4").unlink()
    elif how == "a revocation cut off":
        (gone / "1").unlink()
    elif how == "gone":
        shutil.rmtree(desk.home.root / "chains")
    else:
        path = desk.home.evidence("run-0") / "release.dsse"
        path.write_bytes(path.read_bytes().replace(b"payload", b"paylaod"))


@pytest.mark.parametrize(
    "how", ["altered", "hole", "a move cut off", "a revocation cut off", "gone", "a decision altered"]
)
def test_of_a_registry_that_cannot_be_believed_none_is_given(desk: Desk, how: str) -> None:
    """That its end was cut off, only the lease that lies there knows: it named it."""
    desk.serve(0)
    desk.revoke("data", "e" * 64)
    desk.renew()
    before = desk.envelope
    broken(desk, how)
    with pytest.raises(LogBroken):
        desk.renew()
    assert desk.envelope == before


def test_what_a_plan_knew_must_be_there(desk: Desk) -> None:
    desk.serve(0)
    with pytest.raises(LogBroken, match="cut off"):
        desk.renew(known=("d" * 64,))
    assert desk.envelope == b""


def test_each_follows_the_one_before(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the clock stands still, or was put back a little."""
    desk.serve(0)
    now = time.time()
    monkeypatch.setattr(module.time, "time", lambda: now)
    one, two = desk.renew().lease, desk.renew().lease
    monkeypatch.setattr(module.time, "time", lambda: now - 20)
    three = desk.renew().lease
    assert two.follows(one)
    assert three.follows(two)


def test_nothing_that_lies_there_is_believed_but_by_its_signature(desk: Desk) -> None:
    desk.serve(0)
    given = desk.renew().lease
    told = given.model_dump() | {"at": given.at + 30, "chain": "d" * 64}
    forged = lease.sealed(desk.keys.signer("producer"), **told | {"models": MODELS})
    for envelope in (forged, b"nothing"):
        desk.lay(envelope)
        assert desk.renew().lease.models == (MODELS[0],)
        assert desk.let() == [MODELS[0]]


def test_a_candidate_may_serve_while_its_run_lives(desk: Desk) -> None:
    desk.serve(0)
    run = desk.candidate(1)
    given = desk.renew()
    assert given.lease.models == tuple(MODELS[:2])
    assert given.lines[1] == Line(run, desk.release(1).release, MODELS[1], "")
    (desk.of().candidates / run).write_text("1 1")
    assert desk.renew().lease.models == (MODELS[0],)
    assert not (desk.of().candidates / run).exists()


def test_a_candidate_of_what_was_revoked_may_not(desk: Desk) -> None:
    desk.candidate(0, data="e" * 64)
    desk.enter(1, "candidate")
    desk.candidate(1)
    desk.revoke("data", "e" * 64)
    desk.revoke("model", f"{1:064x}", name=NAME, version=2)
    found = why(desk.renew())
    assert found["run-0"].startswith("comes from the dataset eeeeeeeeeeee, which is revoked")
    assert found["run-1"].startswith("is revoked: it leaked")
    desk.candidate(2)
    assert desk.renew().lease.models == (MODELS[2],)
    desk.revoke("key", desk.keys.public("producer").id)
    assert why(desk.renew())["run-2"].startswith("is signed by the key")
    assert desk.let() == []


def test_a_candidate_that_its_run_has_refused_may_not(desk: Desk) -> None:
    """Whoever says that it is one, and whatever process lives."""
    verdicts = [("verdict", {"gate": "workload_hardening", "effect": {"action": each}}) for each in ("proceed", "stop")]
    desk.candidate(0, then=[verdicts[0], ("closed", {"outcome": "passed"})])
    desk.candidate(1, then=verdicts)
    desk.candidate(2, then=[verdicts[0], ("closed", {"outcome": "refused"})])
    assert why(desk.renew()) == {
        "run-0": "",
        "run-1": "was refused by workload_hardening",
        "run-2": "is of a run that ended otherwise than it should (refused)",
    }
    assert desk.let() == [MODELS[0]]


def test_what_its_predecessor_made_counts_as_well(desk: Desk) -> None:
    run = desk.candidate(0)
    shutil.copytree(desk.home.evidence(run), desk.home.evidence(run) / "predecessor")
    log = Log(desk.home.evidence(run) / "predecessor" / "predecessor" / "log.jsonl", desk.keys.signer("producer"))
    log.append("output", output={"kind": "rows", "sha256": "e" * 64})
    assert desk.renew().lease.models == (MODELS[0],)
    desk.revoke("data", "e" * 64)
    assert why(desk.renew())[run].startswith("comes from the dataset eeeeeeeeeeee")


def test_whose_candidate_it_is_says_its_log(desk: Desk) -> None:
    run = desk.candidate(0)
    (desk.home.evidence(run) / lead.FOLDER / "deployment.yaml").write_bytes(b"")
    with pytest.raises(Exception, match="its manifests are not those that its log has"):
        desk.renew()
    (desk.of().candidates / run).unlink()
    for number, told in ((1, {"name": "other"}), (2, {"target": "kubernetes_prod"})):
        run = desk.candidate(number, **told)
        with pytest.raises(LogBroken, match="of another pipeline or target"):
            desk.renew()
        (desk.of().candidates / run).unlink()
    (desk.of().candidates / "run-9").write_text(mine())
    with pytest.raises(LogBroken, match="no log"):
        desk.renew()
    assert desk.envelope == b""


class Told:
    """What a run is, as far as its candidate is about."""

    def __init__(self, desk: Desk, run: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.plan, self.home, self.let, self.said = SimpleNamespace(run=run), desk.home, None, list[str]()
        self.listener = SimpleNamespace(step=lambda stage, text: self.said.append(text))
        monkeypatch.setattr(module, "of_run", lambda _: desk.of())
        monkeypatch.setattr(module.cluster, "limits", lambda _: None)
        monkeypatch.setattr(module.cluster, "spoken", lambda _: desk.world.client())


def test_a_run_lets_its_candidate_serve_and_takes_that_back(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.serve(0)
    run = desk.candidate(1, mark="1 1")
    told: Any = Told(desk, run, monkeypatch)
    module.lets(told)(desk.client, desk.release(1))
    assert (desk.let(), told.let) == (MODELS[:2], (SPACE, NAME))
    assert desk.renew().lease.models == tuple(MODELS[:2]), "whoever renews it meanwhile leaves it in"
    module.settle(told)
    assert (desk.let(), told.let) == ([MODELS[0]], None)
    assert not list(desk.of().candidates.iterdir())
    module.settle(told)
    assert len(told.said) == 1


def test_what_was_decided_on_stays(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    told: Any = Told(desk, desk.candidate(0), monkeypatch)
    module.lets(told)(desk.client, desk.release(0))
    desk.serve(0)
    module.settle(told)
    assert desk.let() == [MODELS[0]]


def test_a_candidate_that_may_not_serve_is_not_placed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    told: Any = Told(desk, desk.candidate(1, data="e" * 64), monkeypatch)
    with pytest.raises(PlanError, match="is of another model than the run's log has"):
        module.lets(told)(desk.client, desk.release(2))
    desk.revoke("data", "e" * 64)
    with pytest.raises(PlanError, match="its model may not serve: it comes from the dataset eeeeeeeeeeee"):
        module.lets(told)(desk.client, desk.release(1))
    assert desk.let() == []


def test_a_lease_that_cannot_be_taken_back_runs_out_and_that_is_told(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: Any = Told(desk, desk.candidate(0), monkeypatch)
    module.lets(told)(desk.client, desk.release(0))
    desk.world.cluster.faults += [("PATCH .*configmaps", 500, {})] * 8
    module.settle(told)
    assert told.said[-1].startswith("the lease could not be renewed, and the one that is there runs out: ")
    assert not list(desk.of().candidates.iterdir()), "the next one is without it"
