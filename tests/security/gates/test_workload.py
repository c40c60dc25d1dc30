"""How what runs is held: each rule over each kind of workload and container, and what is no answer."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from security.errors import CannotTell
from security.gate import judge, observe
from security.gates.workload import Facts, Limits, WorkloadHardening
from security.manifests import Item, material
from security.material import Handed, Material
from security.policy import Terms, effect
from security.verdict import Basis, Outcome, Subject
from tests.security.manifests.given import OWN, Objects, changed, objects, rendered

if TYPE_CHECKING:
    from tests.conformance.subjects import Case

GATE = WorkloadHardening()
SUBJECT = Subject(kind="manifests", name="rendered", sha256="0" * 64)
Change = Callable[[dict[str, Any]], object]


def opened(items: list[Item], basis: Basis = Basis.OBSERVED) -> Material[Any]:
    return material(SUBJECT, items, expected=len(items), basis=basis)


def case(folder: Path) -> "Case":
    """Our own manifests; in the bad ones the service's container is privileged. A stricter policy wants three pods."""
    from tests.conformance.subjects import Case  # which has this one among its own

    bad = changed(lambda told: container(told)["securityContext"].update(privileged=True))
    return Case({}, {"replicas": 3}, good=lambda: opened(rendered()), bad=lambda: opened(bad), rule="PSS-PRIVILEGED")


def pod(told: Objects) -> dict[str, Any]:
    return told[f"Deployment/{OWN}"]["spec"]["template"]["spec"]  # type: ignore[no-any-return]


def container(told: Objects) -> dict[str, Any]:
    return pod(told)["containers"][0]  # type: ignore[no-any-return]


def look(items: list[Item]) -> Facts:
    return GATE.look(Handed(SUBJECT, iter(items)))


def rules(items: list[Item], **limits: Any) -> set[str]:
    return {each.rule for each in GATE.judge(look(items), Limits.model_validate(limits))}


def context(**fields: Any) -> Change:
    return lambda each: each["securityContext"].update(fields)


CONTAINER: list[tuple[str, Change]] = [
    ("PSS-PRIVILEGED", context(privileged=True)),
    ("PSS-HOSTPROCESS", context(windowsOptions={"hostProcess": True})),
    ("PSS-CAPS", context(capabilities={"drop": ["ALL"], "add": ["NET_ADMIN"]})),
    ("PSS-CAPS", context(capabilities={"drop": ["CHOWN"]})),
    ("PSS-CAPS", context(capabilities=None)),
    ("PSS-HOSTPORT", lambda each: each.update(ports=[{"containerPort": 8080, "hostPort": 80, "name": "http"}])),
    ("PSS-HOSTPROBE", lambda each: each.update(startupProbe={"httpGet": {"port": 80, "host": "10.0.0.1"}})),
    ("PSS-HOSTPROBE", lambda each: each.update(lifecycle={"postStart": {"tcpSocket": {"port": 80, "host": "a"}}})),
    ("PSS-APPARMOR", context(appArmorProfile={"type": "Unconfined"})),
    ("PSS-SELINUX", context(seLinuxOptions={"type": "spc_t"})),
    ("PSS-SELINUX", context(seLinuxOptions={"role": "system_r"})),
    ("PSS-PROCMOUNT", context(procMount="Unmasked")),
    ("PSS-SECCOMP", context(seccompProfile={"type": "Unconfined"})),
    ("PSS-ESCALATION", context(allowPrivilegeEscalation=True)),
    ("PSS-ESCALATION", context(allowPrivilegeEscalation=None)),
    ("PSS-NONROOT", context(runAsNonRoot=False)),
    ("PSS-ROOTUSER", context(runAsUser=0)),
    ("K8S-IMG", lambda each: each.update(image="registry.example/a:1")),
    ("K8S-IMG", lambda each: each.update(image=f"registry.example/a@sha256:{'a' * 63}")),
    ("K8S-ROFS", context(readOnlyRootFilesystem=False)),
    ("K8S-ENV", lambda each: each.update(env=[{"name": "DB_PASSWORD", "value": "x"}])),
]
"""What is wrong with one container, whichever list of which kind of workload it is in."""
POD: list[tuple[str, Change]] = [
    ("PSS-HOSTNS", lambda each: each.update(hostNetwork=True)),
    ("PSS-HOSTNS", lambda each: each.update(hostPID=True)),
    ("PSS-HOSTNS", lambda each: each.update(hostIPC=True)),
    ("PSS-HOSTPATH", lambda each: each.update(volumes=[{"name": "a", "hostPath": {"path": "/"}}])),
    ("PSS-VOLUME", lambda each: each.update(volumes=[{"name": "a", "nfs": {"server": "b", "path": "/"}}])),
    ("PSS-SYSCTL", lambda each: each["securityContext"].update(sysctls=[{"name": "kernel.msgmax", "value": "1"}])),
    ("K8S-SA", lambda each: each.update(serviceAccountName="default")),
    ("K8S-SA", lambda each: each.update(serviceAccountName="nobodys")),
    ("K8S-SA", lambda each: each.update(automountServiceAccountToken=True)),
]
OTHER: list[tuple[str, Callable[[Objects], object], set[str]]] = [
    ("K8S-RES", lambda o: container(o)["resources"].pop("limits"), {"K8S-RES"}),
    ("K8S-RES", lambda o: container(o)["resources"]["requests"].pop("cpu"), {"K8S-RES"}),
    ("K8S-PROBE", lambda o: container(o).pop("livenessProbe"), {"K8S-PROBE"}),
    ("K8S-NS", lambda o: o["Namespace/sluice"]["metadata"].pop("labels"), {"K8S-NS"}),
    ("K8S-NS", lambda o: o.pop("Namespace/sluice"), {"K8S-NS"}),
    ("K8S-PDB", lambda o: o.pop("PodDisruptionBudget/sample"), {"K8S-PDB"}),
    ("K8S-PDB", lambda o: o[f"Deployment/{OWN}"]["spec"].update(replicas=1), {"K8S-PDB"}),
    ("K8S-SVC", lambda o: o["Service/sample"]["spec"].update(type="LoadBalancer"), {"K8S-SVC"}),
    ("K8S-SVC", lambda o: o["Service/sample"]["spec"].update(externalIPs=["192.0.2.1"]), {"K8S-SVC"}),
    ("K8S-SEL", lambda o: o["Service/sample"]["spec"]["selector"].update(x="y"), {"K8S-SEL"}),
    ("K8S-SEL", lambda o: o["Service/sample"]["spec"]["ports"][0].update(targetPort=80), {"K8S-SEL"}),
    ("K8S-SEL", lambda o: o[f"Deployment/{OWN}"]["spec"]["selector"]["matchLabels"].update(x="y"), {"K8S-SEL"}),
    ("K8S-SEL", lambda o: o[f"Deployment/{OWN}"]["spec"].update(selector={}), {"K8S-SEL"}),
    ("K8S-SEL", lambda o: o["PodDisruptionBudget/sample"]["spec"]["selector"]["matchLabels"].update(x="y"),
     {"K8S-SEL", "K8S-PDB"}),
    ("K8S-SCHEMA", lambda o: o["ServiceAccount/sample"].update(automount=False), {"K8S-SCHEMA", "K8S-SA"}),
    ("K8S-SCHEMA", lambda o: o["Service/sample"].update(kind="Servcie"), {"K8S-SCHEMA"}),
]  # fmt: skip
GRANTS: list[tuple[dict[str, Any], bool]] = [
    ({"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}, False),
    ({"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]}, False),
    ({"apiGroups": [""], "resources": ["secrets"], "verbs": ["list"]}, True),
    ({"apiGroups": [""], "resources": ["*"], "verbs": ["get"]}, True),
    ({"apiGroups": ["*"], "resources": ["pods"], "verbs": ["get"]}, True),
    ({"apiGroups": [""], "resources": ["pods"], "verbs": ["*"]}, True),
    ({"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"], "verbs": ["bind"]}, True),
]


def templates(told: Objects, kind: str) -> dict[str, Any]:
    """The template's pod of the deployment, made into another kind of workload; what made it is gone."""
    each = told[f"Deployment/{OWN}"]
    template, labels = each["spec"]["template"], each["spec"]["selector"]
    if kind == "Pod":
        each.update(apiVersion="v1", spec=template["spec"])
        each["metadata"]["labels"] = template["metadata"]["labels"]
    elif kind == "Job":
        each.update(apiVersion="batch/v1", spec={"template": template})
    elif kind == "CronJob":
        each.update(apiVersion="batch/v1", spec={"schedule": "@daily", "jobTemplate": {"spec": {"template": template}}})
    else:
        each["spec"] = {"selector": labels, "template": template, "replicas": 2}
    each["kind"] = kind
    return template["spec"]  # type: ignore[no-any-return]


KINDS = ("Pod", "Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "CronJob")


def test_our_own_manifests_break_no_rule() -> None:
    assert rules(rendered()) == set()
    told = judge(GATE, observe(GATE, opened(rendered()), {}, random.Random(1)), {})
    assert told.outcome is Outcome.PASS
    assert told.reason == "11/11 manifests, 4 containers of 4 workloads"


@pytest.mark.parametrize("kind", KINDS)
def test_no_kind_of_workload_breaks_a_rule_by_itself(kind: str) -> None:
    assert rules(changed(lambda told: templates(told, kind))) == set()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("where", ["containers", "initContainers", "ephemeralContainers"])
def test_a_container_is_held_wherever_it_is(kind: str, where: str) -> None:
    for rule, change in CONTAINER:

        def worse(told: Objects, change: Change = change) -> None:
            spec = templates(told, kind)
            if where == "containers":
                change(spec["containers"][0])
                return
            other = json.loads(json.dumps(spec["containers"][0])) | {"name": "other", "ports": []}
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                del other[probe]
            change(other)
            spec[where] = [other]

        assert rules(changed(worse)) == {rule}, rule


@pytest.mark.parametrize("kind", KINDS)
def test_a_pod_is_held_whatever_makes_it(kind: str) -> None:
    for rule, change in POD:

        def worse(told: Objects, change: Change = change) -> None:
            change(templates(told, kind))

        assert rules(changed(worse)) == {rule}, rule


@pytest.mark.parametrize(("rule", "change", "expected"), OTHER)
def test_what_surrounds_the_pods_is_held(rule: str, change: Callable[[Objects], object], expected: set[str]) -> None:
    assert rule in expected
    assert rules(changed(change)) == expected


@pytest.mark.parametrize(("grant", "wrong"), GRANTS)
@pytest.mark.parametrize("kind", ["Role", "ClusterRole"])
def test_roles_let_nobody_do_anything(grant: dict[str, Any], wrong: bool, kind: str) -> None:
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": "r"}, "rules": [grant]}
    assert rules([*rendered(), ("role.yaml", json.dumps(role).encode())]) == ({"K8S-RBAC"} if wrong else set())


def test_what_the_container_does_not_say_its_pod_says() -> None:
    def plain(told: Objects) -> None:
        for name in ("runAsNonRoot", "runAsUser", "seccompProfile"):
            del container(told)["securityContext"][name]

    assert rules(changed(plain)) == set()
    pairs: list[tuple[dict[str, Any], str]] = [
        ({"runAsNonRoot": False}, "PSS-NONROOT"),
        ({"runAsUser": 0}, "PSS-ROOTUSER"),
        ({"seccompProfile": {"type": "Unconfined"}}, "PSS-SECCOMP"),
        ({"seLinuxOptions": {"user": "x"}}, "PSS-SELINUX"),
        ({"appArmorProfile": {"type": "Unconfined"}}, "PSS-APPARMOR"),
        ({"windowsOptions": {"hostProcess": True}}, "PSS-HOSTPROCESS"),
    ]
    for fields, rule in pairs:
        assert rules(changed(plain, lambda told, fields=fields: pod(told)["securityContext"].update(fields))) == {rule}


def test_a_policy_names_registries_and_capabilities() -> None:
    assert rules(rendered(), registries=["registry.example/"]) == set()
    assert rules(rendered(), registries=["registry.example/slu/"]) == {"K8S-IMG"}
    bound = changed(lambda o: container(o)["securityContext"]["capabilities"].update(add=["NET_BIND_SERVICE"]))
    assert rules(bound) == set()
    assert rules(bound, capabilities=[]) == {"PSS-CAPS"}
    with pytest.raises(ValueError, match="registries"):
        Limits.model_validate({"registries": ["registry.example"]})


def test_what_is_rendered_is_judged_before_it_is_placed_and_the_verdict_says_which_it_was() -> None:
    for placed, outcome, said in (
        (False, Outcome.PASS, "rendered only"),
        (True, Outcome.INCONCLUSIVE, "accept nothing lower than observed"),
    ):
        limits = {"placed": placed}
        told = judge(GATE, observe(GATE, opened(rendered(), Basis.RENDERED), limits, random.Random(1)), limits)
        assert (told.outcome, told.reason.endswith(said)) == (outcome, True), told.reason


def test_where_no_image_was_built_the_rest_is_told() -> None:
    seen = observe(GATE, opened(rendered(image=None)), {}, random.Random(1))
    told = judge(GATE, seen, {})
    assert (told.outcome, told.cause) == (Outcome.INCONCLUSIVE, "image")
    assert effect(told, Terms(limits={}, accepts={}, observe=("image",))).because == "observed"
    assert effect(told, Terms(limits={}, accepts={}, observe=())).action == "stop"
    seen = observe(GATE, opened(rendered(image=None)), {"replicas": 3}, random.Random(1))
    assert judge(GATE, seen, {"replicas": 3}).outcome is Outcome.FAIL


@pytest.mark.parametrize(
    ("items", "said"),
    [
        ([("a.yaml", b"a: [")], "is not YAML"),
        ([("a.yaml", b"")], "no document"),
        ([("a.yaml", b"kind: Namespace\napiVersion: v1\nmetadata: {name: a}\n")], "nothing runs"),
        ([*rendered(), *rendered()], "is there twice"),
    ],
)
def test_what_cannot_be_read_is_no_answer(items: list[Item], said: str) -> None:
    with pytest.raises(CannotTell, match=said):
        look(items)


def test_no_value_of_a_variable_is_told() -> None:
    items = changed(lambda o: container(o).update(env=[{"name": "API_KEY", "value": "hunter2hunter2"}]))
    facts = look(items)
    assert "hunter2" not in facts.model_dump_json()
    assert all("hunter2" not in each.message for each in GATE.judge(facts, Limits()))


def test_our_objects_are_all_looked_at() -> None:
    assert sum(look(rendered()).kinds.values()) == len(objects(rendered()))
