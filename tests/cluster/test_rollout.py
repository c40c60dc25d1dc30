"""A release beside the one that serves, a switch and a way back: whatever goes wrong has a clear end, and the old one
still serves."""

import copy
import json
import random
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from deployments.kubernetes import lock
from deployments.kubernetes.client import Client
from deployments.kubernetes.errors import ClusterError, Conflict, Invalid, Locked, Missing, Moved, Undone, Unready
from deployments.kubernetes.release import read
from deployments.kubernetes.render import Values, release
from deployments.kubernetes.rollout import Placed, place, withdraw
from deployments.kubernetes.status import Drift, diff, status
from deployments.kubernetes.switch import Switched, prune, rollback, switch
from deployments.kubernetes.watch import Until
from security.access import NEEDED
from security.errors import BadInput, CannotTell
from security.gate import judge, observe
from security.gates.network import NetworkPolicyEnforcement
from security.gates.workload import WorkloadHardening
from security.manifests import Item, material
from security.verdict import Basis, Outcome, Subject
from tests.cluster.conftest import World, lets, rolled, stuck
from tests.cluster.server import Refusal, Told
from tests.security.manifests.given import COMPONENTS, RELEASE, VALUES, rendered

MODELS = [VALUES["model"], "ef" * 32, "12" * 32, "34" * 32, "56" * 32]
NAMES = [release(Values.model_validate(VALUES | {"model": each})) for each in MODELS]
OLD, NEW = NAMES[:2]
SUBJECT = Subject(kind="manifests", name="live", sha256="0" * 64)


class Site:
    """A cluster where pods of a release answer as soon as callers can be led to them."""

    def __init__(self, world: World, client: Client) -> None:
        self.world, self.client = world, client
        self.said: list[str] = []
        for name, model in zip(NAMES, MODELS, strict=True):
            world.serve(name, model)

    def manifests(self, number: int) -> list[Item]:
        return rendered(model=MODELS[number])

    def until(self, seconds: float = 30) -> Until:
        return Until(seconds, sleep=lambda _: time.sleep(0.01))

    def place(self, number: int, seconds: float = 30) -> Placed:
        told = self.manifests(number)
        return place(self.client, told, say=self.said.append, lets=lets, until=self.until(seconds))

    def switch(self, number: int, expected: str | None, stands: Callable[[str], bool] = lambda _: True) -> Switched:
        told = self.manifests(number)
        return switch(
            self.client, told, say=self.said.append, expected=expected, stands=stands, until=self.until()
        )

    def rollback(self, to: str, stands: Callable[[str], bool] = lambda _: True) -> Switched:
        told = self.manifests(NAMES.index(to))
        return rollback(self.client, told, say=self.said.append, stands=stands, until=self.until())

    @property
    def serving(self) -> str | None:
        return status(self.client, "sluice", "sample").serving

    def there(self) -> dict[str, str]:
        """Every object but the lock and what jobs leave: its place and version."""
        return {
            f"{kind}/{name}": told["metadata"]["uid"]
            for (kind, _, name), told in self.world.objects.held.items()
            if kind not in ("Lease", "Pod", "Job")
        }

    def free(self) -> bool:
        return not self.client.get("Lease", "sluice-sample", "sluice")["spec"].get("holderIdentity")


@pytest.fixture
def site(world: World) -> Iterator[Site]:
    with world.client() as client:
        yield Site(world, client)


@pytest.fixture
def old(site: Site) -> Site:
    """The same, where one release serves."""
    site.place(0)
    site.switch(0, None)
    return site


def failed(site: Site, error: type[Exception], said: str, act: Callable[[], object]) -> str:
    """What was said of a failure after which all is as before, and the old one serves."""
    before = site.there()
    with pytest.raises(error, match=said) as why:
        act()
    site.world.cluster.faults.clear()
    assert site.there() == before
    assert site.serving == OLD
    assert site.free()
    return str(why.value)


def test_a_release_is_placed_and_callers_are_led_to_it(site: Site) -> None:
    site.world.processes = True
    placed = site.place(0)
    assert (placed.serving, placed.release.release) == (None, OLD)
    assert site.serving is None
    assert [(each.expected, each.outcome) for each in placed.words] == [("allowed", "connected"), ("denied", "refused")]
    assert placed.words[0].answers is not None
    assert placed.words[0].answers.model == MODELS[0]
    done = site.switch(0, placed.serving)
    assert (done.release, done.before, done.word.name) == (OLD, None, "sample:80 allowed")
    again = site.place(1)
    assert (again.serving, site.serving) == (OLD, OLD)
    assert site.switch(1, OLD).before == OLD
    found = status(site.client, "sluice", "sample")
    assert found.serving == NEW
    assert {(each.release, each.model, each.image, each.available, each.lacks) for each in found.releases} == {
        (OLD, MODELS[0], VALUES["image"], 2, ""), (NEW, MODELS[1], VALUES["image"], 2, "")
    }  # fmt: skip
    assert site.free()


def test_what_is_read_back_satisfies_the_gates_as_observed(old: Site) -> None:
    placed = old.place(1)
    assert {"probe.json", f"deployment-sample-{OLD}.json", f"deployment-sample-{NEW}.json"} <= dict(placed.items).keys()
    for gate, limits in ((NetworkPolicyEnforcement(), {"components": COMPONENTS}), (WorkloadHardening(), {})):
        items = [each for each in placed.items if gate.name == "network_policy_enforcement" or each[0] != "probe.json"]
        given = material(SUBJECT, items, expected=len(items), basis=Basis.OBSERVED)
        told = judge(gate, observe(gate, given, limits, random.Random(1)), limits)
        assert told.outcome is Outcome.PASS, told


def test_what_somebody_else_has_put_there_is_read_back_too(old: Site) -> None:
    opened = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "spec": {
        "podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]}}  # fmt: skip
    old.client.create(opened | {"metadata": {"name": "opened", "namespace": "sluice"}})
    placed = old.place(1)
    assert "networkpolicy-opened.json" in dict(placed.items)
    given = material(SUBJECT, placed.items, expected=len(placed.items), basis=Basis.OBSERVED)
    limits = {"components": COMPONENTS}
    told = judge(gate := NetworkPolicyEnforcement(), observe(gate, given, limits, random.Random(1)), limits)
    assert "NP-06" in {each.rule for each in told.findings}


def test_a_pod_of_nobody_is_read_back_too(old: Site) -> None:
    labels = read(old.manifests(0)).deployment["spec"]["template"]["metadata"]["labels"]
    about = {"name": "stowaway", "namespace": "sluice", "labels": labels}
    box = {"name": "a", "image": "registry.example/a", "securityContext": {"privileged": True}}
    old.client.create({"apiVersion": "v1", "kind": "Pod", "metadata": about, "spec": {"containers": [box]}})
    items = [each for each in old.place(1).items if each[0] != "probe.json"]
    given = material(SUBJECT, items, expected=len(items), basis=Basis.OBSERVED)
    told = judge(gate := WorkloadHardening(), observe(gate, given, {}, random.Random(1)), {})
    assert [each for each in told.findings if each.rule == "PSS-PRIVILEGED" and "stowaway" in each.place], told


def torn(items: list[Item], name: str, data: bytes) -> list[Item]:
    return [(each, data if each == name else before) for each, before in items]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("network.yaml", b"kind: ["),
        ("service.yaml", b"a: b\n"),
        ("smoke.yaml", b""),
        ("deployment.yaml", b"kind: Deployment\nkind: Job\n"),
        ("budget.yaml", b"apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: a}\nspec: {more: {}}\n"),
    ],
)
def test_a_manifest_that_does_not_parse_and_nothing_is_done(old: Site, name: str, data: bytes) -> None:
    old.world.cluster.asked.clear()
    for act in (place, switch):
        more: dict[str, Any] = {"expected": OLD, "stands": lambda _: True} if act is switch else {"lets": lets}
        with pytest.raises(BadInput, match=name):
            act(old.client, torn(old.manifests(1), name, data), say=old.said.append, **more)  # type: ignore[operator]
    assert old.world.cluster.asked == []
    assert old.serving == OLD


@pytest.mark.parametrize(
    ("left", "said"),
    [
        ("deployment.yaml", "Deployment"), ("service.yaml", "Service/sample"), ("smoke.yaml", "-smoke"),
        ("stranger.yaml", "-stranger"), ("candidate.yaml", f"Service/sample-{NEW}"), ("namespace.yaml", "Namespace"),
    ],
)  # fmt: skip
def test_manifests_are_those_of_one_whole_release(left: str, said: str) -> None:
    told = rendered(model=MODELS[1])
    with pytest.raises(BadInput, match=said):
        read([each for each in told if each[0] != left])
    with pytest.raises(BadInput):
        read([])
    with pytest.raises(BadInput, match="twice"):
        read([*told, ("again.yaml", dict(told)["budget.yaml"])])
    pod = json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "sluice"},
                      "spec": {"containers": [{"name": "a"}]}}).encode()  # fmt: skip
    with pytest.raises(BadInput, match="Pod/a"):
        read([*told, ("pod.yaml", pod)])
    other = dict(told)["service.yaml"].replace(NEW.encode(), OLD.encode())
    with pytest.raises(BadInput, match="selector"):
        read(torn(told, "service.yaml", other))


def test_all_is_tried_dry_before_anything_is_done(old: Site) -> None:
    """The last object of all would be refused: nothing was applied, not even the first."""
    def versions() -> dict[tuple[str, str, str], str]:
        held = old.world.objects.held.items()
        return {key: told["metadata"]["resourceVersion"] for key, told in held if key[0] not in ("Lease", "Pod")}

    status(old.client, "sluice", "sample")
    before = versions()
    old.world.cluster.faults += [("PATCH .*/services/sample[?].*dryRun=All", 422, {})]
    old.world.cluster.asked.clear()
    failed(old, Invalid, "422", lambda: old.place(1))
    patches = [each for each in old.world.cluster.asked if each.startswith("PATCH")]
    assert len(patches) == 12
    assert all("dryRun=All" in each for each in patches)
    assert versions() == before


def test_a_dry_run_is_one_where_the_server_decides(old: Site) -> None:
    """What would be refused in earnest is refused dry: an object that the schema takes and the server does not."""
    told = rendered(model=MODELS[1], image=None)
    before = len(old.world.objects.held)
    failed(old, Invalid, r"containers\[0\].image", lambda: place(old.client, told, say=print, lets=lets))
    assert len(old.world.objects.held) == before


def test_on_a_first_deploy_the_namespace_alone_is_made_before_the_dry_run(site: Site) -> None:
    site.world.cluster.faults += [("PATCH .*/deployments/.*dryRun=All", 422, {})]
    with pytest.raises(Invalid):
        site.place(0)
    assert {key[0] for key in site.world.objects.held} == {"Namespace", "Lease"}
    first, second, third = [each for each in site.world.cluster.asked if each.startswith("PATCH")][:3]
    assert "namespaces/sluice?" in first
    assert "dryRun=All" in first
    assert "namespaces/sluice?" in second
    assert "dryRun=All" in third
    assert site.said[0].startswith("Namespace/sluice is new, and stays")


def test_fields_of_somebody_else_stop_it_before_anything_is_done(old: Site) -> None:
    public = old.client.get("Service", "sample", "sluice")
    public["spec"]["ports"][0]["targetPort"] = 9090
    with Client(old.client.config, manager="kubectl-edit") as other:
        other.replace(public)
    said = failed(old, Conflict, "managed by kubectl-edit", lambda: old.place(1))
    assert ".targetPort" in said


@pytest.mark.parametrize("waits", ["ImagePullBackOff", "CrashLoopBackOff"])
@pytest.mark.parametrize("gives_up", [True, False])
def test_a_release_that_never_becomes_ready(old: Site, waits: str, gives_up: bool) -> None:
    def act() -> Placed:
        old.world.rollout = lambda told, look: (stuck(waits, gives_up) if NEW in str(told) else rolled)(told, look)
        return old.place(1, seconds=30 if gives_up else 2)

    why = "ProgressDeadlineExceeded" if gives_up else "0 of 2 replicas are updated; allowed: 2 s in all"
    said = failed(old, Undone, why, act)
    assert f"its pods' container serving waits: {waits}" in said
    assert said.endswith(f"what it made was taken away again; {OLD} still serves")


@pytest.mark.parametrize(
    "told",
    [
        {"observedGeneration": 0},
        {"updatedReplicas": 1},
        {"updatedReplicas": 0, "replicas": 2},
        {"replicas": 3},
        {"availableReplicas": 1},
        {"availableReplicas": True},
        {"updatedReplicas": None},
    ],
)
def test_that_pods_are_available_is_not_enough(old: Site, told: Told) -> None:
    """A rollout that looks only at `availableReplicas` takes pods of another generation for those of this one."""

    def rollout(seen: Told, look: int) -> tuple[Told, str]:
        return rolled(seen, 9)[0] | (told if NEW in str(seen) else {}), ""

    old.world.rollout = rollout
    failed(old, Undone, "allowed: 1 s in all", lambda: old.place(1, seconds=1))


@pytest.mark.parametrize(
    ("otherwise", "said"),
    [
        ({"ready": 503}, "whether it is ready was answered 503"),
        ({"model": "99" * 32}, "it runs the model 999999999999; allowed: efefef"),
        ({"model": ""}, "that it does not name"),
        ({"bare": 200}, "a question without a token was answered 200; allowed: 401"),
        ({"garbage": 200}, "a question with garbage for a token was answered 200; allowed: 401"),
        ({"bare": 404}, "404; allowed: 401"),
    ],
)
def test_a_release_that_answers_otherwise_than_it_must(old: Site, otherwise: dict[str, Any], said: str) -> None:
    old.world.serve(NEW, **({"model": MODELS[1]} | otherwise))
    failed(old, Undone, said, lambda: old.place(1))


def test_a_network_that_lets_strangers_in(old: Site) -> None:
    """What it saw is told: to judge it is the part of the gate over policies."""
    old.world.open = True
    placed = old.place(1)
    assert {each.expected: each.outcome for each in placed.words} == dict.fromkeys(("allowed", "denied"), "connected")
    assert json.loads(dict(placed.items)["probe.json"])[1]["outcome"] == "connected"
    withdraw(old.client, placed, say=old.said.append)
    assert (old.serving, [each.release for each in status(old.client, "sluice", "sample").releases]) == (OLD, [OLD])


def test_a_release_that_nobody_reaches(old: Site) -> None:
    old.world.serving.pop(NEW).close()
    failed(old, Undone, "80 allowed: found refused; allowed: a connection", lambda: old.place(1))


WORD = {"name": f"sample-{NEW}:80 allowed", "expected": "allowed", "outcome": "connected"}
FINE = {"ready": 200, "model": MODELS[1], "bare": 401, "garbage": 401}


@pytest.mark.parametrize(
    ("code", "word", "said"),
    [
        (1, "", r"probe failed \(Error, exit code 1\)"),
        (0, "", "0 of 1 containers left a last word"),
        (0, "yes", "none of a probe's"),
        (0, "[]", "none of a probe's"),
        (0, json.dumps(WORD), "says nothing of what it was answered"),
        (0, json.dumps(WORD | {"answers": FINE | {"more": 1}}), "none of a probe's"),
        (0, json.dumps(WORD | {"answers": FINE, "name": "other:80 allowed"}), "of another connection"),
        (0, json.dumps(WORD | {"answers": FINE, "expected": "denied"}), "of another connection"),
        (0, json.dumps(WORD | {"answers": FINE | {"ready": "200"}}), "none of a probe's"),
    ],
)
def test_a_probe_that_says_something_else(old: Site, code: int, word: str, said: str) -> None:
    old.world.job = lambda told: (code, word)
    failed(old, Undone, said, lambda: old.place(1))


@pytest.mark.parametrize("status", [429, 500, 503, 0])
@pytest.mark.parametrize(
    "what", [f"PATCH .*/deployments/sample-{NEW}[?](?!.*dryRun)", "GET .*/jobs/.*-probe", "PATCH .*dry-"]
)
def test_a_server_that_stays_busy_at_some_step(old: Site, status: int, what: str) -> None:
    old.world.cluster.faults += [(what, status, {})] * 4
    failed(old, ClusterError, f"answers {status}" if status else "no answer", lambda: old.place(1))


def test_a_server_that_is_busy_for_a_while_is_waited_for(old: Site) -> None:
    busy = {"PUT": 429, "dryRun=All": 500, "PATCH (?!.*dryRun)": 503, "GET .*/jobs/.*stranger": 0}
    old.world.cluster.faults += [(what, status_, {"Retry-After": "1"}) for what, status_ in busy.items()]
    old.place(1)
    assert old.world.cluster.faults == []
    assert old.switch(1, OLD).release == NEW


def test_what_could_not_be_taken_away_is_named(old: Site) -> None:
    old.world.serve(NEW, MODELS[1], bare=200)
    old.world.cluster.faults += [("DELETE .*/deployments/", 500, {})] * 4
    with pytest.raises(Undone, match=f"Deployment/sample-{NEW} could not be taken away; {OLD} still serves") as why:
        old.place(1)
    assert why.value.left == (f"Deployment/sample-{NEW}",)


def test_a_second_deploy_at_the_same_time(old: Site) -> None:
    now = datetime.now(UTC)
    with lock.held(old.client, "sluice", "sample", 60, say=old.said.append, who="other-run"):
        before = old.there()
        for act in (
            lambda: old.place(1),
            lambda: old.switch(1, OLD),
            lambda: old.rollback(NEW),
            lambda: prune(old.client, "sluice", "sample", say=old.said.append),
        ):
            with pytest.raises(Locked, match=rf"held by other-run-[0-9a-f]{{8}} until {now:%Y}.*nothing was done"):
                act()
        assert old.there() == before
        assert old.serving == OLD
    assert old.place(1).serving == OLD


def test_of_two_that_take_the_lock_at_once_one_is_refused(old: Site) -> None:
    """Between look and write somebody else was faster: made anew, or replaced."""
    until = f"{datetime.now(UTC) + timedelta(seconds=5):%Y-%m-%dT%H:%M:%S.%fZ}"
    about = {"name": "sluice-sample", "namespace": "sluice"}
    spec = {"holderIdentity": "fast", "leaseDurationSeconds": 60, "renewTime": until}
    other = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": spec}
    real = old.client.find

    def find(kind: str, name: str, namespace: str = "") -> Told | None:
        found = real(kind, name, namespace)
        if kind == "Lease":
            old.client.find = real  # type: ignore[method-assign]
            seen = old.client.get("Lease", name, namespace)["metadata"]["resourceVersion"]
            old.client.replace({**other, "metadata": {**about, "resourceVersion": seen}})
        return found

    old.client.find = find  # type: ignore[method-assign]
    with pytest.raises(Locked, match="held by fast"):
        old.place(1)


def test_a_lock_whose_answer_was_lost_is_ones_own(old: Site) -> None:
    uid = old.client.get("Lease", "sluice-sample", "sluice")["metadata"]["uid"]
    old.client.delete("Lease", "sluice-sample", "sluice", uid=uid)
    real, lost = old.world.objects.write, [True]

    def write(*told: Any, **more: Any) -> Told:
        made = real(*told, **more)
        if lost and told[0]["kind"] == "Lease":
            lost.pop()
            raise Refusal(503, "ServiceUnavailable", "the answer was lost")
        return made

    old.world.objects.write = write  # type: ignore[method-assign]
    assert old.place(1).serving == OLD


def test_a_switch_is_made_where_it_was_seen_to_be_needed(old: Site) -> None:
    old.place(1)
    for expected in (NEW, None, "0" * 12):
        failed(old, Moved, f"leads to {OLD}; allowed: .*nothing was done", lambda e=expected: old.switch(1, e))


def test_a_switch_that_was_overtaken_between_look_and_write(old: Site) -> None:
    old.place(1)
    real = old.client.find

    def find(kind: str, name: str, namespace: str = "") -> Told | None:
        found = real(kind, name, namespace)
        if (kind, name) == ("Service", "sample"):
            old.client.find = real  # type: ignore[method-assign]
            told = old.client.get(kind, name, namespace)
            told["metadata"]["annotations"] = {"x": "y"}
            with Client(old.client.config, manager="other") as other:
                other.replace(told)
        return found

    old.client.find = find  # type: ignore[method-assign]
    failed(old, Moved, "modified", lambda: old.switch(1, OLD))


def test_nobody_is_led_to_a_release_that_is_not_rolled_out(old: Site) -> None:
    failed(old, Missing, "404", lambda: old.switch(1, OLD))
    old.place(1)
    old.world.rollout = lambda told, look: (rolled(told, 9)[0] | {"availableReplicas": 1}, "")
    failed(old, Unready, "1 of 2 replicas are available; nothing was done", lambda: old.switch(1, OLD))


def test_a_switch_that_does_not_serve_goes_back(old: Site) -> None:
    old.place(1)
    old.world.serve(NEW, MODELS[1], ready=503)
    asked: list[str] = []
    said = failed(old, Undone, "answered 503", lambda: old.switch(1, OLD, lambda each: not asked.append(each)))
    assert said.endswith(f"callers are led to {OLD} again")
    assert asked == [OLD]
    assert not [each for each in diff(old.client, old.manifests(0)) if each.object == "Service/sample"]


def test_a_switch_never_goes_back_to_a_revoked_release(old: Site) -> None:
    old.place(1)
    old.world.serve(NEW, MODELS[1], ready=503)
    with pytest.raises(Undone, match=f"{OLD} must not serve any more, and callers are led nowhere"):
        old.switch(1, OLD, lambda _: False)
    assert old.serving is None


def test_where_the_way_back_is_not_known_callers_are_led_nowhere(old: Site) -> None:
    def unknown(release: str) -> bool:
        raise CannotTell(f"whether {release} stands nobody can tell")

    old.place(1)
    old.world.serve(NEW, MODELS[1], ready=503)
    with pytest.raises(Undone, match=f"could not be led back: whether {OLD} stands .*, and callers are led nowhere"):
        old.switch(1, OLD, unknown)
    assert old.serving is None


@pytest.mark.parametrize("what", ["image", "args", "a policy more", "a policy otherwise", "a pod of somebody"])
def test_what_has_changed_since_the_gates_saw_it_is_not_led_to(old: Site, what: str) -> None:
    placed = old.place(1)
    live = copy.deepcopy(old.client.get("Deployment", f"sample-{NEW}", "sluice"))
    policy = copy.deepcopy(old.client.get("NetworkPolicy", "default-deny", "sluice"))
    box = live["spec"]["template"]["spec"]["containers"][0]
    with Client(old.client.config, manager="kubectl-edit") as other:
        if what == "image":
            box["image"] = f"evil.example/serving@sha256:{'9' * 64}"
            other.replace(live)
        elif what == "args":
            box["args"] += ["--unsafe-accept-expired"]
            other.replace(live)
        elif what == "a policy more":
            spec = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]}
            about = {"name": "open", "namespace": "sluice"}
            other.create({"apiVersion": policy["apiVersion"], "kind": "NetworkPolicy", "metadata": about, "spec": spec})
        elif what == "a policy otherwise":
            policy["spec"]["policyTypes"] = ["Ingress"]
            other.replace(policy)
        else:
            old.world.objects.put(_stowaway(old))
    told = {"say": old.said.append, "expected": OLD, "stands": lambda _: True, "until": old.until()}
    failed(
        old,
        Moved,
        "as it was rendered; nothing was done|otherwise than the gates saw it; nothing was done",
        lambda: switch(old.client, old.manifests(1), placed=placed.items, **told),  # type: ignore[arg-type]
    )


def _stowaway(site: Site) -> Told:
    """A pod that has the labels of the new release, and another owner and another container than that has."""
    told = site.client.get("Deployment", f"sample-{NEW}", "sluice")["spec"]["template"]
    box = {"name": "other", "image": "evil.example/x"}
    about = {"name": "stowaway", "namespace": "sluice", "uid": "u", "labels": told["metadata"]["labels"]}
    owner = [{"kind": "StatefulSet", "name": "other", "uid": "o"}]
    spec = {**told["spec"], "containers": [*told["spec"]["containers"], box]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {**about, "ownerReferences": owner}, "spec": spec}


def test_a_release_that_was_altered_is_nothing_to_go_back_to(old: Site) -> None:
    old.place(1)
    old.switch(1, OLD)
    live = copy.deepcopy(old.client.get("Deployment", f"sample-{OLD}", "sluice"))
    live["spec"]["template"]["spec"]["containers"][0]["image"] = f"evil.example/serving@sha256:{'9' * 64}"
    with Client(old.client.config, manager="kubectl-edit") as other:
        other.replace(live)
    with pytest.raises(Moved, match=r"image: found .*evil\.example.*nothing was done"):
        old.rollback(OLD)
    assert old.serving == NEW


def test_a_first_switch_that_does_not_serve_leads_nowhere_again(site: Site) -> None:
    site.place(0)
    site.world.serve(OLD, MODELS[0], bare=200)
    with pytest.raises(Undone, match="nothing served before, and callers are led nowhere"):
        site.switch(0, None)
    assert site.client.find("Service", "sample", "sluice") is None


def lost(site: Site, kind: str, code: int) -> None:
    """Once, something of a kind is applied, and the answer is lost."""
    real, once = site.world.objects.apply, [True]

    def apply(told: Told, *more: Any, **named: Any) -> tuple[Told, bool]:
        made = real(told, *more, **named)
        if once and told["kind"] == kind and not named["dry"]:
            once.pop()
            site.world.cluster.faults += [("PATCH", code, {})] * (0 if code == 503 else 3)
            raise Refusal(503, "ServiceUnavailable", "the answer was lost")
        return made

    site.world.objects.apply = apply  # type: ignore[method-assign]


@pytest.mark.parametrize("code", [503, 500, 0])
def test_a_switch_whose_answer_was_lost_is_one_all_the_same(old: Site, code: int) -> None:
    old.place(1)
    lost(old, "Service", code)
    assert old.switch(1, OLD).release == NEW
    assert old.serving == NEW


def test_a_switch_whose_answer_was_lost_goes_back_too(old: Site) -> None:
    old.place(1)
    old.world.serve(NEW, MODELS[1], ready=503)
    lost(old, "Service", 503)
    failed(old, Undone, f"callers are led to {OLD} again", lambda: old.switch(1, OLD))


def test_whether_a_switch_was_made_is_said_not_to_be_known(old: Site) -> None:
    old.place(1)
    old.world.cluster.faults += [("PATCH .*/services/sample[?]", 0, {})] * 4
    real = old.client.find
    calls = []

    def find(kind: str, name: str, namespace: str = "") -> Told | None:
        calls.append((kind, name))
        if calls.count(("Service", "sample")) == 3:  # before, what differs, and after
            old.world.cluster.faults += [("GET .*/services/sample", 500, {})] * 4
        return real(kind, name, namespace)

    old.client.find = find  # type: ignore[method-assign]
    failed(old, Undone, f"whether callers are led to {NEW} is not known", lambda: old.switch(1, OLD))


def test_a_deployment_whose_answer_was_lost_is_taken_away_too(old: Site) -> None:
    lost(old, "Deployment", 500)
    failed(old, Undone, f"500.*{OLD} still serves", lambda: old.place(1))


def test_what_somebody_else_made_meanwhile_is_not_taken_away(old: Site) -> None:
    """Nobody was there when it was looked, and then somebody was faster."""
    real = old.client.apply

    def apply(told: Told, *, dry: bool = False) -> Told:
        if told["kind"] == "Deployment" and not dry:
            other = json.loads(json.dumps(told))
            other["spec"]["replicas"] = 7
            with Client(old.client.config, manager="kubectl-create") as client:
                client.create(other)
        return real(told, dry=dry)

    old.client.apply = apply  # type: ignore[method-assign]
    with pytest.raises(Undone, match=f"managed by kubectl-create.*{OLD} still serves"):
        old.place(1)
    assert old.client.get("Deployment", f"sample-{NEW}", "sluice")["spec"]["replicas"] == 7


def test_a_name_that_leads_there_in_a_moment_is_waited_for(old: Site) -> None:
    """After a switch the network knows it a moment later: the first answer is of the release before."""
    old.place(1)
    real, first = old.world.serving[NEW], [True]

    def job(told: Told) -> tuple[int, str]:
        old.world.serving[NEW] = old.world.serving[OLD] if first else real
        first.clear()
        return old.world.run(told)

    old.world.job = job
    assert old.switch(1, OLD).word.answers.model == MODELS[1]  # type: ignore[union-attr]


def test_one_open_answer_is_not_asked_away(old: Site) -> None:
    """One pod of two lets somebody in: another try might meet the other."""
    tried: list[str] = []

    def job(told: Told) -> tuple[int, str]:
        tried.append(told["metadata"]["name"])
        old.world.serve(NEW, MODELS[1], bare=200 if len(tried) == 1 else 401)
        return old.world.run(told)

    old.world.job = job
    failed(old, Undone, "without a token was answered 200", lambda: old.place(1))
    assert len(tried) == 1


def test_the_rights_that_are_needed_are_enough_and_none_is_too_much(site: Site) -> None:
    """An owner has made the namespace before."""
    owned = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "sluice"}}
    site.world.objects.write(owned, "owner", new=True, dry=False)
    site.world.cluster.rights["deployer"] = [
        {"verbs": [each.verb], "apiGroups": [each.group], "resources": [each.resource]} for each in NEEDED
    ]
    used: set[tuple[str, ...]] = set()
    real = site.world.cluster.may

    def may(user: str, *at: str) -> bool:
        used.add(at[:3])
        return real(user, *at)

    site.world.cluster.may = may  # type: ignore[method-assign]
    site.place(0)
    site.switch(0, None)
    site.place(1)
    site.switch(1, OLD)
    site.rollback(OLD)
    prune(site.client, "sluice", "sample", say=site.said.append, keep=0)
    assert diff(site.client, site.manifests(0)) == []
    assert used == {(each.verb, each.group, each.resource) for each in NEEDED}


def test_a_rollback_leads_to_an_earlier_release(old: Site) -> None:
    old.place(1)
    old.switch(1, OLD)
    done = old.rollback(OLD)
    assert (done.release, done.before, old.serving) == (OLD, NEW, OLD)
    assert not [each for each in diff(old.client, old.manifests(0)) if each.object == "Service/sample"]
    for to, error, said in (
        (OLD, Moved, "already"), (NAMES[4], Missing, "404"),
    ):  # fmt: skip
        failed(old, error, said, lambda to=to: old.rollback(to))
    revoked = f"{NEW} must not serve any more; {OLD} still serves"
    failed(old, Undone, revoked, lambda: old.rollback(NEW, lambda _: False))
    old.world.serve(NEW, "99" * 32)
    failed(old, Undone, f"it runs the model 99.*callers are led to {OLD} again", lambda: old.rollback(NEW))


def test_a_rollback_waits_for_pods_that_come_back(old: Site) -> None:
    """They were without a lease, and begin again once there is one; where they do not, nobody is led anywhere."""
    old.place(1)
    old.switch(1, OLD)
    place = ("Deployment", "sluice", f"sample-{OLD}")
    looks = iter(range(9))

    def back(told: Told, look: int) -> tuple[Told, str]:
        mine = told["metadata"]["name"] == place[2]
        return rolled(told, look if not mine else min(next(looks), 2))

    old.world.rollout = back
    old.world.objects.held[place]["metadata"]["generation"] += 1
    assert old.rollback(OLD).release == OLD
    assert next(looks) > 2, "it was looked at until it was rolled out"
    old.switch(1, OLD)
    old.world.rollout = stuck("CrashLoopBackOff")
    old.world.objects.held[place]["metadata"]["generation"] += 1
    with pytest.raises(Unready, match="CrashLoopBackOff; nothing was done"):
        old.rollback(OLD)
    assert old.serving == NEW


def test_old_releases_are_taken_away_but_two(old: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (1, 2, 3, 4):
        old.place(number)
        for key, told in old.world.objects.held.items():
            if key[0] == "Deployment" and NAMES[number] in key[2]:
                told["metadata"]["creationTimestamp"] = f"2031-01-0{number}T00:00:00Z"
    old.switch(1, OLD)
    assert prune(old.client, "sluice", "sample", say=old.said.append) == (OLD, NAMES[2])
    found = status(old.client, "sluice", "sample")
    assert (found.serving, [each.release for each in found.releases]) == (NEW, [NEW, *NAMES[3:]])
    left = {key[2] for key in old.world.objects.held if key[0] in ("Deployment", "Service", "Job", "Pod")}
    assert not [each for each in left if OLD in each or NAMES[2] in each]
    assert f"sample-{NAMES[3]}" in left
    assert prune(old.client, "sluice", "sample", say=old.said.append) == ()


def test_what_may_go_is_not_known_where_nobody_is_led_anywhere(site: Site) -> None:
    site.place(0)
    with pytest.raises(Missing, match="leads to no release"):
        prune(site.client, "sluice", "sample", say=site.said.append, keep=0)
    assert len(status(site.client, "sluice", "sample").releases) == 1


def _edited(told: Told) -> None:
    box = told["spec"]["template"]["spec"]["containers"][0]
    box["env"] = [{"name": "EXTRA", "value": "1"}]
    box["resources"]["limits"]["memory"] = "2Gi"
    told["metadata"]["annotations"].pop("sluice/path")


def test_each_difference_is_told(old: Site) -> None:
    assert diff(old.client, old.manifests(0)) == []
    place_ = f"Deployment/sample-{OLD}"
    told = old.client.get("Deployment", f"sample-{OLD}", "sluice")
    _edited(told)
    with Client(old.client.config, manager="kubectl-edit") as other:
        other.replace(told)
    budget = old.client.get("PodDisruptionBudget", "sample", "sluice")
    old.client.delete("PodDisruptionBudget", "sample", "sluice", uid=budget["metadata"]["uid"])
    found = diff(old.client, old.manifests(0))
    box = ".spec.template.spec.containers"
    assert set(found) == {
        Drift(place_, ".metadata.annotations.sluice/path", f'"{VALUES["path"]}"', ""),
        Drift(place_, f"{box}[0].resources.limits.memory", '"512Mi"', '"2Gi"'),
        Drift(place_, f"{box}[serving].env[EXTRA].name", "", '"EXTRA" (set by kubectl-edit)'),
        Drift(place_, f"{box}[serving].env[EXTRA].value", "", '"1" (set by kubectl-edit)'),
        Drift("PodDisruptionBudget/sample", "", '"PodDisruptionBudget/sample"', ""),
    }
    others = {each.object for each in diff(old.client, old.manifests(1))}
    assert {f"Deployment/sample-{NEW}", f"Service/sample-{NEW}", "Service/sample"} <= others


def test_a_release_that_was_there_stays_whatever_comes_of_it(old: Site) -> None:
    """The serving one is placed once more, and its probe fails: it is not taken away."""
    old.world.serve(OLD, MODELS[0], bare=200)
    failed(old, Undone, "without a token was answered 200", lambda: old.place(0))
    assert old.client.get("Deployment", f"sample-{RELEASE}", "sluice")
