"""The Pod Security Standard "restricted", which holds "baseline" within it (Kubernetes 1.34)."""

from collections.abc import Iterator

from security.gates.workload.facts import Box, Limits, Pods
from security.verdict import Breach

SYSCTLS = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.ping_group_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
    }
)
VOLUMES = frozenset(
    {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
)
SELINUX = frozenset({"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"})
PROFILES = ("RuntimeDefault", "Localhost")


def standard(pods: Pods, limits: Limits) -> Iterator[Breach]:
    """A pod, then each of its containers."""
    if pods.host:
        yield _breach("PSS-HOSTNS", pods.place, f"it is in its node's {', '.join(pods.host)}", "none of them")
    for name in pods.sysctls:
        if name not in SYSCTLS:
            yield _breach("PSS-SYSCTL", f"{pods.place}, {name}", "it is set", "those that are safe")
    for name, kind in pods.volumes.items():
        if kind == "hostPath":
            yield _breach("PSS-HOSTPATH", f"{pods.place}, volume {name}", "a path of the node", "no hostPath")
        elif kind not in VOLUMES:
            yield _breach("PSS-VOLUME", f"{pods.place}, volume {name}", kind, ", ".join(sorted(VOLUMES)))
    for box in pods.boxes:
        place = f"{pods.place}, {box.place}"
        yield from _node(place, box)
        yield from _rights(place, box, limits)


def _node(place: str, box: Box) -> Iterator[Breach]:
    """What leads to the node."""
    if box.process:
        yield _breach("PSS-HOSTPROCESS", place, "a process of its host", "hostProcess left out")
    if box.privileged:
        yield _breach("PSS-PRIVILEGED", place, "privileged", "not privileged")
    if box.host_ports:
        yield _breach("PSS-HOSTPORT", place, f"host ports {', '.join(map(str, box.host_ports))}", "none")
    if box.elsewhere:
        yield _breach("PSS-HOSTPROBE", place, f"{box.elsewhere} probes or hooks name a host", "none does")
    if box.proc != "Default":
        yield _breach("PSS-PROCMOUNT", place, f"procMount {box.proc}", "Default")


def _rights(place: str, box: Box, limits: Limits) -> Iterator[Breach]:
    """What it may do in its own place."""
    if box.apparmor not in ("", *PROFILES):
        yield _breach("PSS-APPARMOR", place, box.apparmor, " or ".join(PROFILES))
    if box.selinux and (box.selinux["type"] not in SELINUX or box.selinux["user"] or box.selinux["role"]):
        yield _breach("PSS-SELINUX", place, "another type, a user or a role", "a type of containers, and no more")
    if box.seccomp not in PROFILES:
        yield _breach("PSS-SECCOMP", place, box.seccomp or "no profile", " or ".join(PROFILES))
    kept = "ALL" not in box.dropped
    if kept or set(box.added) - set(limits.capabilities):
        what = "ALL is not dropped" if kept else f"added {', '.join(box.added)}"
        yield _breach("PSS-CAPS", place, what, f"ALL dropped, and none added but {', '.join(limits.capabilities)}")
    if box.escalation is not False:
        yield _breach("PSS-ESCALATION", place, "it may gain rights", "allowPrivilegeEscalation: false")
    if box.nonroot is not True:
        yield _breach("PSS-NONROOT", place, "runAsNonRoot is not set, or false", "true")
    if box.user == 0:
        yield _breach("PSS-ROOTUSER", place, "runAsUser 0", "another user")


def _breach(rule: str, place: str, found: str, allowed: str) -> Breach:
    return Breach(rule=rule, place=place, message=f"found {found}; allowed: {allowed}")
