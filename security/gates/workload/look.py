"""From manifests to facts: each container with what holds for it, whoever says so."""

import re
from collections import Counter
from collections.abc import Iterable

from security.errors import CannotTell
from security.gates.workload.facts import Box, Facts, Grant, Leads, Pods
from security.manifests import (
    Item,
    Namespace,
    Object,
    PodDisruptionBudget,
    Role,
    Service,
    ServiceAccount,
    Workload,
    documents,
    parse,
)
from security.manifests.contexts import Profile
from security.manifests.part import Selector
from security.manifests.pods import Container, PodSpec, Volume
from security.network.read import selector

SECRET = re.compile(r"(SECRET|PASSW(OR)?D|TOKEN|API_?KEY|PRIVATE_?KEY|CREDENTIAL|ACCESS_?KEY)", re.IGNORECASE)


def found(items: Iterable[Item]) -> Facts:
    """The facts; `CannotTell` for what is no YAML, is there twice, or where nothing runs."""
    objects: list[Object] = []
    faults: list[tuple[str, str]] = []
    for where, told in documents(items):
        try:
            objects.append(parse(where, told))
        except CannotTell as why:
            faults.append((where, str(why).removeprefix(f"{where}: ")))
    if twice := [place for place, count in Counter(each.place for each in objects).items() if count > 1]:
        raise CannotTell(f"{sorted(twice)[0]} is there twice")
    accounts = {each.place: each for each in objects if isinstance(each, ServiceAccount)}
    held = sorted((each for each in objects if isinstance(each, Workload)), key=lambda each: each.place)
    if not held and not faults:
        raise CannotTell("nothing runs: there is no workload among the manifests", "coverage")
    pods = tuple(_pods(each, accounts) for each in held)
    budgets = [each for each in objects if isinstance(each, PodDisruptionBudget)]
    return Facts(
        kinds=dict(sorted(Counter(each.kind for each in objects).items())),
        faults=tuple(sorted(faults)),
        namespaces={
            each.metadata.name: dict(sorted(each.metadata.labels.items()))
            for each in sorted(objects, key=lambda each: each.place)
            if isinstance(each, Namespace)
        },
        accounts=tuple(sorted(accounts)),
        pods=pods,
        services=tuple(
            sorted((_leads(each, pods) for each in objects if isinstance(each, Service)), key=lambda each: each.place)
        ),
        budgets={
            each.place: _kept(each.namespace, each.spec.selector, pods)
            for each in sorted(budgets, key=lambda each: each.place)
        },
        grants=tuple(grant for each in objects if isinstance(each, Role) for grant in _grants(each)),
    )


def _pods(each: Workload, accounts: dict[str, ServiceAccount]) -> Pods:
    spec = each.pod
    account = f"ServiceAccount/{each.namespace}/{spec.service_account_name or 'default'}"
    mounts = spec.automount_service_account_token
    if mounts is None and account in accounts:
        mounts = accounts[account].automount_service_account_token
    ports = [port for container in spec.containers for port in container.ports]
    return Pods(
        place=each.place,
        kind=each.kind,
        namespace=each.namespace,
        replicas=each.replicas,
        labels=dict(sorted(each.labels.items())),
        ports=dict(sorted([(str(port.container_port), port.container_port) for port in ports]
                          + [(port.name, port.container_port) for port in ports if port.name])),
        account=account,
        mounts=mounts is not False,
        host=tuple(name for name, on in (("network", spec.host_network), ("pid", spec.host_pid), ("ipc", spec.host_ipc))
                   if on),
        volumes=dict(sorted(_volume(volume) for volume in spec.volumes)),
        sysctls=tuple(sorted(sysctl.name for sysctl in spec.security_context.sysctls)),
        own=each.selects is None or (not each.selects.empty and selector(each.selects).holds(each.labels)),
        boxes=tuple(_box(where, container, spec) for where, container in spec.every),
    )  # fmt: skip


def _volume(told: Volume) -> tuple[str, str]:
    kinds = sorted(told.keys() - {"name"})
    return str(told.get("name", "")), "+".join(kinds) or "emptyDir"


def _box(place: str, each: Container, spec: PodSpec) -> Box:
    own, pod = each.security_context, spec.security_context
    probes = {"liveness": each.liveness_probe, "readiness": each.readiness_probe, "startup": each.startup_probe}
    hooks = [each.lifecycle.post_start, each.lifecycle.pre_stop] if each.lifecycle else []
    calls = [call for hook in (*probes.values(), *hooks) if hook for call in (hook.http_get, hook.tcp_socket) if call]
    windows = own.windows_options or pod.windows_options
    selinux = own.se_linux_options or pod.se_linux_options
    return Box(
        place=place,
        kind=place.partition("[")[0],
        image=each.image,
        privileged=bool(own.privileged),
        escalation=own.allow_privilege_escalation,
        fixed=bool(own.read_only_root_filesystem),
        added=tuple(sorted(own.capabilities.add)) if own.capabilities else (),
        dropped=tuple(sorted(own.capabilities.drop)) if own.capabilities else (),
        proc=own.proc_mount or "Default",
        seccomp=_type(own.seccomp_profile or pod.seccomp_profile),
        apparmor=_type(own.app_armor_profile or pod.app_armor_profile),
        selinux={"type": selinux.type, "user": selinux.user, "role": selinux.role} if selinux else {},
        nonroot=own.run_as_non_root if own.run_as_non_root is not None else pod.run_as_non_root,
        user=own.run_as_user if own.run_as_user is not None else pod.run_as_user,
        process=bool(windows and windows.host_process),
        host_ports=tuple(sorted(port.host_port for port in each.ports if port.host_port)),
        elsewhere=sum(bool(call.host) for call in calls),
        requests=tuple(sorted(each.resources.requests)),
        limits=tuple(sorted(each.resources.limits)),
        probes=tuple(name for name, probe in probes.items() if probe),
        secrets=tuple(sorted(var.name for var in each.env if var.value and SECRET.search(var.name))),
    )


def _type(profile: Profile | None) -> str:
    return profile.type if profile else ""


def _leads(each: Service, pods: tuple[Pods, ...]) -> Leads:
    mine = [pod for pod in pods if pod.namespace == each.namespace and each.spec.selector]
    mine = [pod for pod in mine if each.spec.selector.items() <= pod.labels.items()]
    lost = {
        f"{port.target_port or port.port} of {pod.place}"
        for port in each.spec.ports
        for pod in mine
        if str(port.target_port or port.port) not in pod.ports
    }
    return Leads(
        place=each.place,
        type=each.spec.type,
        outside=bool(each.spec.external_ips),
        selected=len(mine),
        lost=tuple(sorted(lost)),
    )


def _kept(namespace: str, told: Selector, pods: tuple[Pods, ...]) -> tuple[str, ...]:
    chosen = selector(told)
    return tuple(pod.place for pod in pods if pod.namespace == namespace and chosen.holds(pod.labels))


def _grants(each: Role) -> list[Grant]:
    return [
        Grant(
            place=f"{each.place}, rule {number}",
            verbs=tuple(sorted(rule.verbs)),
            resources=tuple(sorted(rule.resources)),
            groups=tuple(sorted(rule.api_groups)),
        )
        for number, rule in enumerate(each.rules, 1)
    ]
