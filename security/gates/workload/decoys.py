"""Known-bad manifests: for each rule a workload of the sample, or one made for it, with one field changed.

The container that is changed is one that is there, or a copy of it among the init or ephemeral containers.
"""

import copy
import json
import random
from collections.abc import Callable, Sequence
from typing import Any

from security.errors import CannotTell
from security.gate import Violation
from security.gates.workload.beyond import DRAINED, ENFORCE, SERVES
from security.gates.workload.sound import Told, whole, word
from security.manifests import Item, documents

File = tuple[str, bytes, list[Told]]
Change = Callable[[Told, random.Random], object]
LISTS = ("containers", "initContainers", "ephemeralContainers")
TEMPLATED = frozenset({*SERVES, "Job"})


def _files(sample: Sequence[Item]) -> list[File]:
    return [(name, data, [told for _, told in documents([(name, data)])]) for name, data in sample]


def _items(files: Sequence[File]) -> list[Item]:
    """Files as they were, but for those in which something was changed."""
    made: list[Item] = []
    for name, data, told in files:
        same = bool(data) and [each for _, each in documents([(name, data)])] == told
        made.append((name, data if same else "\n---\n".join(json.dumps(each, indent=2) for each in told).encode()))
    return made


def _chosen(files: list[File], kinds: frozenset[str], draw: random.Random) -> Told:
    """A workload with a template, of the sample where it has one."""
    if not files:
        raise CannotTell("there is nothing that known-bad manifests could be made of", "coverage")
    held = [each for *_, told in files for each in told if each.get("kind") in kinds and _templated(each)]
    if not held:
        files.append((f"{word(draw)}.yaml", b"", whole(draw)))
        held = [each for each in files[-1][2] if each["kind"] == "Deployment"]
    return draw.choice(held)


def _templated(each: Told) -> bool:
    try:
        return bool(each["spec"]["template"]["spec"]["containers"][0]["name"])
    except (KeyError, IndexError, TypeError):
        return False


def _workload(change: Change, kinds: frozenset[str] = TEMPLATED) -> Violation[Item]:
    def made(sample: Sequence[Item], draw: random.Random) -> list[Item]:
        files = _files(sample)
        change(_chosen(files, kinds, draw), draw)
        return _items(files)

    return made


def _pod(change: Change) -> Violation[Item]:
    return _workload(lambda each, draw: change(each["spec"]["template"]["spec"], draw))


def _container(change: Change, lists: Sequence[str] = LISTS, kinds: frozenset[str] = TEMPLATED) -> Violation[Item]:
    def made(each: Told, draw: random.Random) -> None:
        pod, where = each["spec"]["template"]["spec"], draw.choice(lists)
        if where == "containers":
            target = draw.choice(pod["containers"])
        else:
            target = copy.deepcopy(draw.choice(pod["containers"])) | {"name": word(draw)}
            for only in ("livenessProbe", "readinessProbe", "startupProbe", "ports"):
                target.pop(only, None)
            pod[where] = [*(pod.get(where) or []), target]
        if not isinstance(target.get("securityContext"), dict):
            target["securityContext"] = {}
        change(target, draw)

    return _workload(made, kinds)


def _context(**fields: Any) -> Violation[Item]:
    return _container(lambda target, draw: target["securityContext"].update(fields))


def _added(make: Callable[[str, random.Random], Told]) -> Violation[Item]:
    """An object more, in a namespace of its own workload."""

    def made(sample: Sequence[Item], draw: random.Random) -> list[Item]:
        files = _files(sample)
        home = str((_chosen(files, TEMPLATED, draw).get("metadata") or {}).get("namespace", "default"))
        files.insert(draw.randrange(len(files) + 1), (f"{word(draw)}.yaml", b"", [make(home, draw)]))
        return _items(files)

    return made


def _volume(kind: str, told: Told) -> Violation[Item]:
    def change(pod: Told, draw: random.Random) -> None:
        pod["volumes"] = [*(pod.get("volumes") or []), {"name": word(draw), kind: told}]

    return _pod(change)


def _capability(target: Told, draw: random.Random) -> None:
    kept = draw.choice(({"drop": ["ALL"], "add": [draw.choice(("NET_RAW", "SYS_ADMIN"))]}, {"drop": ["NET_RAW"]}))
    target["securityContext"]["capabilities"] = kept


def _elsewhere(target: Told, draw: random.Random) -> None:
    call = {"host": "169.254.169.254", "port": 80}
    target["lifecycle"] = {"preStop": draw.choice(({"httpGet": call}, {"tcpSocket": call}))}


def _resources(target: Told, draw: random.Random) -> None:
    sizes = {"cpu": "10m", "memory": "16Mi"}
    target["resources"] = draw.choice(({}, {"requests": sizes}, {"limits": sizes}, {"limits": {"cpu": "1"}}))


def _unlabelled(draw: random.Random) -> list[Told]:
    told = whole(draw)
    told[0]["metadata"]["labels"] = draw.choice(({}, {ENFORCE: "baseline"}, {ENFORCE: "privileged"}))
    return told


def _namespace(sample: Sequence[Item], draw: random.Random) -> list[Item]:
    files = _files(sample)
    files.insert(draw.randrange(len(files) + 1), (f"{word(draw)}.yaml", b"", _unlabelled(draw)))
    return _items(files)


def _named(home: str, draw: random.Random) -> Told:
    return {"name": word(draw), "namespace": home}


def _service(home: str, draw: random.Random, **spec: Any) -> Told:
    told = {"selector": {"app.kubernetes.io/name": word(draw)}, "ports": [{"port": 80}], **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": _named(home, draw), "spec": told}


def _open(sample: Sequence[Item], draw: random.Random) -> list[Item]:
    """A service in front of a workload with a port, open to the outside."""
    files, told = _files(sample), whole(draw)
    pod = told[2]["spec"]["template"]
    pod["spec"]["containers"][0]["ports"] = [{"containerPort": 80}]
    way: Told = draw.choice(({"type": "NodePort"}, {"type": "LoadBalancer"}, {"externalIPs": ["192.0.2.1"]}))
    selects = {"selector": dict(pod["metadata"]["labels"])}
    told.append(_service(told[2]["metadata"]["namespace"], draw, **selects, **way))
    files.insert(draw.randrange(len(files) + 1), (f"{word(draw)}.yaml", b"", told))
    return _items(files)


def _role(home: str, draw: random.Random) -> Told:
    rules: list[Told] = [
        {"apiGroups": ["*"], "resources": ["pods"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["*"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["*"]},
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["list"]},
        {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"], "verbs": ["escalate"]},
    ]
    kind = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role"}
    return {**kind, "metadata": _named(home, draw), "rules": [draw.choice(rules)]}


def _typo(home: str, draw: random.Random) -> Told:
    data = {draw.choice(("dta", "Data", "datas")): {"a": "b"}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _named(home, draw), **data}


def _secret(target: Told, draw: random.Random) -> None:
    name = draw.choice(("DB_PASSWORD", "API_KEY", "AUTH_TOKEN", "AWS_SECRET_ACCESS_KEY"))
    target["env"] = [*(target.get("env") or []), {"name": name, "value": word(draw)}]


def _tagged(target: Told, draw: random.Random) -> None:
    target["image"] = draw.choice((f"{word(draw)}:latest", word(draw), f"{word(draw)}:1.2@sha256:ab"))


VIOLATIONS: dict[str, Violation[Item]] = {
    "PSS-HOSTPROCESS": _context(windowsOptions={"hostProcess": True}),
    "PSS-HOSTNS": _pod(lambda pod, draw: pod.update({draw.choice(("hostNetwork", "hostPID", "hostIPC")): True})),
    "PSS-PRIVILEGED": _context(privileged=True),
    "PSS-CAPS": _container(_capability),
    "PSS-HOSTPATH": _volume("hostPath", {"path": "/"}),
    "PSS-HOSTPORT": _container(
        lambda target, draw: target.update(
            ports=[*(target.get("ports") or []), {"containerPort": 7, "hostPort": draw.randint(1, 65_535)}]
        )
    ),
    "PSS-HOSTPROBE": _container(_elsewhere),
    "PSS-APPARMOR": _context(appArmorProfile={"type": "Unconfined"}),
    "PSS-SELINUX": _context(seLinuxOptions={"user": "system_u"}),
    "PSS-PROCMOUNT": _context(procMount="Unmasked"),
    "PSS-SECCOMP": _context(seccompProfile={"type": "Unconfined"}),
    "PSS-SYSCTL": _pod(
        lambda pod, draw: pod.update(
            securityContext={**(pod.get("securityContext") or {}), "sysctls": [{"name": "kernel.msgmax", "value": "1"}]}
        )
    ),
    "PSS-VOLUME": _volume("nfs", {"server": "a", "path": "/"}),
    "PSS-ESCALATION": _context(allowPrivilegeEscalation=True),
    "PSS-NONROOT": _context(runAsNonRoot=False),
    "PSS-ROOTUSER": _context(runAsUser=0),
    "K8S-IMG": _container(_tagged),
    "K8S-SA": _pod(
        lambda pod, draw: pod.update(
            draw.choice(({"automountServiceAccountToken": True}, {"serviceAccountName": "default"}))
        )
    ),
    "K8S-RBAC": _added(_role),
    "K8S-RES": _container(_resources, LISTS[:2]),
    "K8S-ROFS": _context(readOnlyRootFilesystem=False),
    "K8S-PROBE": _container(
        lambda target, draw: target.pop(draw.choice(("livenessProbe", "readinessProbe")), None), LISTS[:1], SERVES
    ),
    "K8S-NS": _namespace,
    "K8S-PDB": _workload(lambda each, draw: each["spec"].update(replicas=0), DRAINED),
    "K8S-ENV": _container(_secret),
    "K8S-SVC": _open,
    "K8S-SCHEMA": _added(_typo),
    "K8S-SEL": _added(_service),
}
