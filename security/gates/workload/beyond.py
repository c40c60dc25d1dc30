"""What the standard leaves open: images, accounts, resources, health, what surrounds the pods."""

import re
from collections.abc import Iterator

from security.errors import CannotTell
from security.gates.workload.facts import Box, Facts, Limits, Pods
from security.verdict import Breach

PINNED = re.compile(r"[a-z0-9][a-z0-9.:/_-]*@sha256:[0-9a-f]{64}")
ENFORCE = "pod-security.kubernetes.io/enforce"
SERVES = frozenset({"Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"})
"""What runs until it is stopped."""
DRAINED = frozenset({"Deployment", "StatefulSet"})
_BOTH = ("cpu", "memory")


def beyond(facts: Facts, limits: Limits) -> Iterator[Breach]:
    """Documents, namespaces, pods with their containers, services, budgets, roles."""
    for where, why in facts.faults:
        yield _breach("K8S-SCHEMA", where, why, "what the kind's schema says")
    for name in sorted({pods.namespace for pods in facts.pods}):
        level = facts.namespaces.get(name, {}).get(ENFORCE, "")
        if level != "restricted":
            yield _breach("K8S-NS", name, f"{ENFORCE}={level}" if level else f"no label {ENFORCE}", "restricted")
    kept = {place for held in facts.budgets.values() for place in held}
    for pods in facts.pods:
        yield from _pods(pods, facts, kept, limits)
        for box in pods.boxes:
            yield from _box(f"{pods.place}, {box.place}", box, pods, limits)
    yield from _around(facts)


def unbuilt(facts: Facts) -> None:
    """`CannotTell` where an image is not named at all, since none was built."""
    if lost := [pods.place for pods in facts.pods for box in pods.boxes if not box.image]:
        raise CannotTell(f"{lost[0]} names no image: none was built, and what would run is not known", "image")


def _pods(pods: Pods, facts: Facts, kept: set[str], limits: Limits) -> Iterator[Breach]:
    if pods.account not in facts.accounts or pods.account.endswith("/default") or pods.mounts:
        what = "a token of the API server is mounted" if pods.mounts else f"{pods.account}, which is not its own"
        yield _breach("K8S-SA", pods.place, what, "an account of its own, automountServiceAccountToken: false")
    if not pods.own:
        yield _breach("K8S-SEL", pods.place, "a selector that does not select its own pods", "the template's labels")
    if pods.kind in DRAINED and (pods.replicas < limits.replicas or pods.place not in kept):
        what = f"{pods.replicas} replicas" if pods.replicas < limits.replicas else "no budget for its pods"
        yield _breach("K8S-PDB", pods.place, what, f"{limits.replicas} or more, and a PodDisruptionBudget")


def _box(place: str, box: Box, pods: Pods, limits: Limits) -> Iterator[Breach]:
    named = not limits.registries or box.image.startswith(limits.registries)
    if box.image and not (PINNED.fullmatch(box.image) and named):
        what = "another registry" if PINNED.fullmatch(box.image) else "no digest"
        allowed = f"NAME@sha256:..., of {' or '.join(limits.registries) or 'any registry'}"
        yield _breach("K8S-IMG", place, what, allowed)
    if not box.fixed:
        yield _breach("K8S-ROFS", place, "a root filesystem that can be written", "readOnlyRootFilesystem: true")
    if box.secrets:
        yield _breach("K8S-ENV", place, f"a value of {', '.join(box.secrets)}", "valueFrom a Secret")
    if box.kind == "ephemeralContainers":
        return  # the API gives it neither resources nor probes
    if not {*_BOTH} <= {*box.requests} or not {*_BOTH} <= {*box.limits}:
        had = f"requests of {', '.join(box.requests) or 'nothing'}, limits of {', '.join(box.limits) or 'nothing'}"
        yield _breach("K8S-RES", place, had, "cpu and memory of both")
    if pods.kind in SERVES and box.kind == "containers" and not {"liveness", "readiness"} <= {*box.probes}:
        yield _breach("K8S-PROBE", place, f"{', '.join(box.probes) or 'no'} probe", "liveness and readiness")


def _around(facts: Facts) -> Iterator[Breach]:
    for each in facts.services:
        if each.type != "ClusterIP" or each.outside:
            yield _breach("K8S-SVC", each.place, f"{each.type}, open to the outside", "ClusterIP without externalIPs")
        if not each.selected or each.lost:
            what = f"port {each.lost[0]} is not declared" if each.lost else "a selector that selects nothing"
            yield _breach("K8S-SEL", each.place, what, "pods, by ports that they have")
    for place, held in facts.budgets.items():
        if not held:
            yield _breach("K8S-SEL", place, "a selector that selects nothing", "the pods that it keeps")
    for grant in facts.grants:
        wide = "*" in grant.verbs or "*" in grant.resources or "*" in grant.groups
        reads = "secrets" in grant.resources and {"get", "list", "watch"} & {*grant.verbs}
        roles = {"bind", "escalate", "impersonate"} & {*grant.verbs}
        if wide or reads or roles:
            what = "a wildcard" if wide else "secrets to be read" if reads else ", ".join(sorted(roles))
            yield _breach("K8S-RBAC", grant.place, what, "verbs and resources by name, and no secrets")


def _breach(rule: str, place: str, found: str, allowed: str) -> Breach:
    return Breach(rule=rule, place=place, message=f"found {found}; allowed: {allowed}")
