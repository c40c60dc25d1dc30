"""Real runs whose target is a cluster: what is wrong there is refused by the named rule, nothing of it stays, and
whatever served before serves still."""

import json
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from deployments.kubernetes.lease import renewed
from flows.cli import main
from flows.lease import lease as scheduled
from flows.shell import once
from security.keys import UnsafeLocalKeys
from security.log import read
from security.models.lease import sealed
from tasks import chains, models, process, store
from tasks.home import Home
from tasks.run import REFUSED, Quiet, Run
from tasks.store import current, pointer
from tests.attacks.bucket import Operator
from tests.attacks.clusters import GATE, NAME, NAMESPACE, NETWORK, VARIABLE, WORKLOAD, Grounds, signed, terms
from tests.attacks.conftest import SECRETS, drift
from tests.cluster.conftest import stuck
from tests.cluster.server import Told
from tests.security.gates import images
from tests.tasks.distribution import Distribution, absent

TARGET = "kubernetes_test"
POINTER = pointer(TARGET, NAME)
Said = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def world(home: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grounds]:
    """The cluster, and the variable that names how to reach it."""
    if lacks := absent():
        pytest.skip(f"no {', '.join(lacks)}: no image can be pushed; install it")
    made = Grounds(tmp_path_factory.mktemp("cluster"), home)
    with made.cluster, pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, str(made.kubeconfig))
        yield made
    for each in made.serving.values():
        each.close()


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Distribution:
    """A registry, not running yet."""
    return Distribution(tmp_path_factory.mktemp("registry"))


@pytest.fixture(scope="module")
def asked(
    world: Grounds, registry: Distribution, operator: Operator, pair: Any, home: Home, base: str
) -> dict[str, str]:
    """A document, and a policy for this cluster that its owner signed."""
    mine = terms(world, f"{registry.address}/team/serving", base, [images.base()], SECRETS)
    document, policy = pair(name=NAME, terms=drift() | mine, target_environment=TARGET)
    return {"document": document, "policy": signed(home, policy)}


@pytest.fixture(scope="module")
def evaluated(asked: dict[str, str], registry: Distribution) -> Run:
    """A run up to the evaluation, from which others deploy."""
    state, run = once(Quiet(), **asked, deploy=False)
    assert state.is_completed(), state.message
    assert run is not None
    return run


@pytest.fixture
def restored(world: Grounds) -> Iterator[Grounds]:
    yield world
    world.restore()


def deployed(asked: dict[str, str], after: Run) -> tuple[Any, Run]:
    """A run that deploys the model of another."""
    state, run = once(Quiet(), **asked, after=after.plan.run)
    assert run is not None
    return state, run


def bare(world: Grounds) -> set[tuple[str, str]]:
    """What there is of releases, and of the name that callers know."""
    return {(kind, name) for kind, _, name in world.objects.held if kind in ("Deployment", "Service", "Job")}


def greedy(world: Grounds) -> None:
    world.cluster.rights["deployer"].append(
        {"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"], "namespaces": [NAMESPACE]}
    )


def mighty(world: Grounds) -> None:
    world.cluster.rights["deployer"] = [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]


def lacking(world: Grounds) -> None:
    world.cluster.rights["deployer"] = [
        each for each in world.cluster.rights["deployer"] if each["resources"] != ["networkpolicies"]
    ]


def opened(world: Grounds) -> None:
    world.open = True


def never(world: Grounds) -> None:
    world.rollout = stuck("ImagePullBackOff", given_up=True)


def injected(world: Grounds) -> None:
    """Something in the cluster sets a right more on every pod that it admits."""

    def rollout(told: Told, look: int) -> tuple[Told, str]:
        box = told["spec"]["template"]["spec"]["containers"][0]
        box["securityContext"]["privileged"] = True
        return world.begun(told, look)

    world.rollout = rollout


def other(world: Grounds) -> None:
    """The pods serve another model than the release is of."""

    def rollout(told: Told, look: int) -> tuple[Told, str]:
        world.serve(told["metadata"]["labels"]["sluice/release"], "e" * 64)
        return world.begun(told, look)

    world.real.clear()
    world.rollout = rollout


def broken(world: Grounds) -> None:
    world.cluster.faults += [("PATCH .*deployments(?!.*dryRun)", 500, {})] * 4


def busy(world: Grounds) -> None:
    world.cluster.faults += [("PATCH .*dryRun", 429, {"Retry-After": "0"})] * 4


def cut(world: Grounds) -> None:
    world.cluster.faults += [("PATCH .*services/(?!.*dryRun)", 0, {})] * 4


REFUSALS: dict[str, tuple[Callable[[Grounds], None], str]] = {
    "reads-secrets": (greedy, rf"\[{GATE}\] fail: DA-SECRETS "),
    "cluster-admin": (mighty, rf"\[{GATE}\] fail: .*DA-"),
    "lacks-a-right": (lacking, rf"\[{GATE}\] fail: DA-NEED "),
    "network-that-enforces-nothing": (opened, rf"\[{NETWORK}\] fail: NP-16 "),
    "rollout-that-is-never-ready": (never, r"deploy: .*ImagePullBackOff.*nothing serves, as before"),
    "admission-that-adds-a-right": (injected, rf"\[{WORKLOAD}\] fail: PSS-PRIVILEGED "),
    "pods-of-another-model": (other, r"deploy: .*another model|deploy: .*eeeeeeeeeeee"),
    "server-that-breaks": (broken, r"deploy: .*500.*nothing serves, as before"),
    "server-that-is-busy": (busy, r"deploy: .*429.*asked 4 times"),
    "server-that-hangs-up": (cut, r"deploy: .*nothing serves, as before"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_is_wrong_in_the_cluster_is_refused_and_nothing_of_it_stays(
    name: str, asked: dict[str, str], evaluated: Run, restored: Grounds, registry: Distribution, home: Home
) -> None:
    spoil, says = REFUSALS[name]
    spoil(restored)
    before = current(home, POINTER)
    with registry:
        state, run = deployed(asked, evaluated)
    assert state.name == REFUSED
    assert re.search(says, state.message), state.message
    assert (bare(restored), restored.led(), restored.let()) == (set(), None, set())
    assert current(home, POINTER) == before
    assert not (home.evidence(run.plan.run) / "release.dsse").exists()
    assert not process.alive(home.root / "service" / run.plan.run / "process.json")


def test_a_registry_that_is_gone_stops_the_run_before_the_cluster_is_told_anything(
    asked: dict[str, str], evaluated: Run, restored: Grounds
) -> None:
    held = len(restored.cluster.asked)
    state, _ = deployed(asked, evaluated)
    assert state.name == REFUSED
    assert "was not pushed" in state.message
    assert not [each for each in restored.cluster.asked[held:] if each.startswith(("PATCH", "PUT", "DELETE"))]


@pytest.fixture(scope="module")
def first(asked: dict[str, str], evaluated: Run, world: Grounds, registry: Distribution) -> Run:
    """The first run that passed: callers are led to its release."""
    with registry:
        state, run = deployed(asked, evaluated)
    assert state.is_completed(), state.message
    return run


def test_a_run_that_passes_leads_callers_to_its_release(
    first: Run, world: Grounds, home: Home, asked: dict[str, str], capsys: Said
) -> None:
    said = current(home, POINTER)[1]
    assert (said["run"], said["release"]) == (first.plan.run, world.led())
    assert world.releases() == {world.led()}
    assert not process.alive(home.root / "service" / first.plan.run / "process.json")
    told = [each["predicate"] for each in read(first.log.path, first.trust.key)[0]]
    seen = {each["gate"]: each for each in told if each.get("task") == "place" and "verdict" in each}
    assert {name: (each["verdict"]["outcome"], each["observation"]["basis"]) for name, each in seen.items()} == {
        GATE: ("pass", "observed"),
        NETWORK: ("pass", "observed"),
        WORKLOAD: ("pass", "observed"),
    }
    rendered = {each["gate"]: each for each in told if each.get("task") == "render" and "verdict" in each}
    assert {rendered[name]["observation"]["basis"] for name in (NETWORK, WORKLOAD)} == {"rendered"}
    owner, key = (str(home.root / "trust" / f"{name}.pub") for name in ("owner", "producer"))
    verified = ["verify", str(home.evidence(first.plan.run)), "--key", key, "--policy", asked["policy"]]
    assert main([*verified, "--owner", owner]) == 0
    capsys.readouterr()
    named = ["--document", asked["document"], "--policy", asked["policy"], "--json"]
    assert main(["deploy", "status", *named]) == 0
    (line,) = json.loads(capsys.readouterr().out)
    assert (line["run"], line["serves"], line["registry"]) == (first.plan.run, True, "candidate, approved, production")
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", line["until"])
    assert world.let() == {said["model"]}
    assert main(["deploy", "lease", *named]) == 0
    given = json.loads(capsys.readouterr().out)
    assert (given["lease"]["models"], given["lease"]["target"]) == ([said["model"]], TARGET)
    assert [(each["run"], each["serves"], each["why"]) for each in given["releases"]] == [(first.plan.run, True, "")]
    state: Any = scheduled(**asked, return_state=True)
    assert state.is_completed()
    assert state.message.startswith(f"1 model of {NAME} may serve at {TARGET} until ")
    assert world.lease().at > given["lease"]["at"]
    assert main(["deploy", "diff", *named]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_a_difference_is_told_and_the_next_run_does_not_take_a_field_of_somebody_else(
    first: Run, restored: Grounds, asked: dict[str, str], evaluated: Run, registry: Distribution, capsys: Said
) -> None:
    place = ("Deployment", NAMESPACE, f"{NAME}-{restored.led()}")
    live = json.loads(json.dumps(restored.objects.held[place]))
    changed = json.loads(json.dumps(live))
    changed["spec"]["replicas"] = 3
    restored.objects.write(changed, "kubectl-edit", new=False, dry=False)
    named = ["--document", asked["document"], "--policy", asked["policy"], "--json"]
    assert main(["deploy", "diff", *named]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [(each["object"], each["field"], each["wanted"], each["found"]) for each in found] == [
        (f"Deployment/{place[2]}", ".spec.replicas", "2", "3")
    ]
    with registry:
        state, _ = deployed(asked, evaluated)
    assert state.name == REFUSED
    assert ".spec.replicas is managed by kubectl-edit" in state.message
    restored.objects.put(live)
    assert restored.led() == current(first.home, POINTER)[1]["release"]


@pytest.fixture(scope="module")
def newer(first: Run, asked: dict[str, str]) -> Run:
    """A newer model, up to its evaluation, beside the one that serves."""
    state, run = once(Quiet(), **asked, deploy=False)
    assert state.is_completed(), state.message
    assert run is not None
    return run


def test_callers_are_led_back_where_the_release_does_not_serve_by_the_name_they_know(
    first: Run, newer: Run, restored: Grounds, asked: dict[str, str], registry: Distribution
) -> None:
    before, said = restored.led(), current(first.home, POINTER)
    restored.wrong = True
    with registry:
        state, _ = deployed(asked, newer)
    assert state.name == REFUSED
    assert re.search(rf"promotion: .*callers are led to {before} again", state.message), state.message
    assert (restored.led(), restored.releases(), restored.let()) == (before, {before}, {said[1]["model"]})
    assert current(first.home, POINTER) == said


@pytest.fixture(scope="module")
def second(first: Run, newer: Run, asked: dict[str, str], world: Grounds, registry: Distribution) -> Run:
    """Callers are led to the newer model."""
    with registry:
        state, run = deployed(asked, newer)
    assert state.is_completed(), state.message
    return run


def outdated(world: Grounds, home: Home) -> None:
    """Nobody has renewed the lease, and it has run out."""
    told = world.lease().model_dump() | {"at": time.time() - 7200, "until": time.time() - 3600}
    envelope = sealed(UnsafeLocalKeys(home.root / "keys").signer("verifier"), **told)
    with world.client() as client:
        renewed(client, NAMESPACE, NAME, lambda _: envelope)


def test_rollback_leads_to_an_earlier_release_that_stands_and_never_to_a_revoked_one(
    first: Run, second: Run, world: Grounds, asked: dict[str, str], home: Home, capsys: Said
) -> None:
    named = ["--document", asked["document"], "--policy", asked["policy"]]
    moves = store.moves(home, POINTER)
    assert [each["run"] for each in moves] == [first.plan.run, second.plan.run]
    assert world.releases() == {each["release"] for each in moves}
    assert world.let() == {each["model"] for each in moves}
    outdated(world, home)
    assert main(["deploy", "status", *named, "--json"]) == 0
    lines_ = json.loads(capsys.readouterr().out)
    assert {(each["state"], each["until"][:10]) for each in lines_} == {("0 of 2 replicas are updated", "ran out 20")}
    assert main(["deploy", "rollback", *named, "--to", first.plan.run, "--reason", "it recommends nonsense"]) == 0
    assert world.led() == moves[0]["release"]
    assert (home.evidence(first.plan.run) / "release-3.dsse").is_file()
    capsys.readouterr()
    assert main(["deploy", "status", *named, "--json"]) == 0
    lines = {each["run"]: each for each in json.loads(capsys.readouterr().out)}
    assert [lines[run.plan.run]["serves"] for run in (first, second)] == [True, False]
    assert main(["deploy", "diff", *named, "--json"]) == 1
    assert [each["field"] for each in json.loads(capsys.readouterr().out)] == ["production"]
    assert main(["deploy", "rollback", *named, "--to", second.plan.run, "--reason", "it did not"]) == 0
    keys = models.trusted(first)
    row = next(row for row in chains.standing(home, NAME, keys).rows if row.claim.release == moves[0]["model"])
    target, signer = row.claim.manifest, UnsafeLocalKeys(home.root / "keys").signer("owner")
    told = {"name": NAME, "version": row.claim.version, "reason": "it was poisoned"}
    chains.revoke(home, signer, keys, what="model", target=target, **told)
    capsys.readouterr()
    assert main(["deploy", "rollback", *named, "--to", first.plan.run, "--reason", "it was good"]) == 2
    assert "must not serve any more" in capsys.readouterr().err
    assert world.led() == moves[1]["release"]
    assert world.let() == {moves[1]["model"]}, "nor is a revoked one let serve beside it"
    assert main(["deploy", "lease", *named]) == 0
    assert capsys.readouterr().out.startswith(f"1 model of {NAME} may serve at {TARGET} until ")
    assert main(["deploy", "lease", *named, "--json"]) == 0
    told = {each["run"]: each["why"] for each in json.loads(capsys.readouterr().out)["releases"]}
    assert told == {first.plan.run: "is revoked: it was poisoned", second.plan.run: ""}


def test_a_decision_that_was_altered_leads_nobody_anywhere(
    second: Run, asked: dict[str, str], home: Home, world: Grounds, capsys: Said
) -> None:
    path = home.evidence(second.plan.run) / "release.dsse"
    kept = path.read_bytes()
    named = ["--document", asked["document"], "--policy", asked["policy"]]
    try:
        path.write_bytes(kept.replace(b"e", b"f", 1))
        assert main(["deploy", "status", *named]) == 2
        path.unlink()
        assert main(["deploy", "rollback", *named, "--to", second.plan.run, "--reason", "x"]) == 2
        assert "its decision cannot be read" in capsys.readouterr().err
    finally:
        path.write_bytes(kept)
