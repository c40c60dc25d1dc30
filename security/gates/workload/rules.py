"""What the gate over workloads can find wrong.

Controls: Kubernetes Pod Security Standards 1.34 (PSS, with the level), CIS Kubernetes Benchmark, NIST SP 800-53 r5 and
800-190, OWASP Kubernetes Top Ten.
"""

from typing import Literal

from security.verdict import Rule

_NODE = ("PSS:baseline", "NIST-800-190:4.4.3", "OWASP-K01:2022")
_HELD = ("PSS:restricted", "NIST-800-53:AC-6", "OWASP-K01:2022")
_KEPT = ("NIST-800-53:CM-6", "CIS-K8S:5.7.3", "NSA-CISA:pod-security")
_SPENT = ("NIST-800-53:SC-5", "NIST-800-190:4.5.3", "OWASP-K01:2022")
_KNOWN = ("NIST-800-53:SI-7", "SLSA:deployment", "CIS-K8S:5.5.1")
_WHO = ("NIST-800-53:AC-6", "CIS-K8S:5.1.6", "OWASP-K03:2022")
_TABLE: tuple[tuple[str, Literal["medium", "high", "critical"], str, str, tuple[str, ...]], ...] = (
    ("PSS-HOSTPROCESS", "critical", "A process of its Windows host", "leave hostProcess out", _NODE),
    ("PSS-HOSTNS", "critical", "A pod in namespaces of its node", "leave hostNetwork, hostPID, hostIPC out", _NODE),
    ("PSS-PRIVILEGED", "critical", "A privileged container", "leave privileged out", _NODE),
    ("PSS-CAPS", "high", "Capabilities that are kept or added", "drop ALL, and add none", _HELD),
    ("PSS-HOSTPATH", "critical", "A volume that is a path of the node", "use emptyDir or a claim", _NODE),
    ("PSS-HOSTPORT", "high", "A port of the node", "leave hostPort out; a service leads to the pod", _NODE),
    ("PSS-HOSTPROBE", "high", "A probe or hook that calls another host", "leave its host out", _NODE),
    ("PSS-APPARMOR", "high", "AppArmor is switched off", "use RuntimeDefault", _NODE),
    ("PSS-SELINUX", "high", "Options of SELinux that are no container's", "leave them out", _NODE),
    ("PSS-PROCMOUNT", "high", "/proc without its masks", "leave procMount out", _NODE),
    ("PSS-SECCOMP", "high", "No filter of system calls", "set seccompProfile: RuntimeDefault", _HELD),
    ("PSS-SYSCTL", "high", "A setting of the kernel that is not safe", "leave it out", _NODE),
    ("PSS-VOLUME", "high", "A volume of a type that is not allowed", "use emptyDir, configMap, secret, a claim", _HELD),
    ("PSS-ESCALATION", "high", "A container that may gain rights", "allowPrivilegeEscalation: false", _HELD),
    ("PSS-NONROOT", "high", "Nothing says that it is not root", "set runAsNonRoot: true", _HELD),
    ("PSS-ROOTUSER", "critical", "A container that runs as root", "set runAsUser to another than 0", _HELD),
    ("K8S-IMG", "high", "An image by a name that can move", "name it by digest", _KNOWN),
    ("K8S-SA", "high", "A pod with somebody else's account, or its token", "its own account, no token", _WHO),
    ("K8S-RBAC", "critical", "A role that may do anything, or read secrets", "name verbs and resources", _WHO),
    ("K8S-RES", "medium", "A container without requests or limits", "set cpu and memory of both", _SPENT),
    ("K8S-ROFS", "high", "A root filesystem that can be written", "readOnlyRootFilesystem: true", _KEPT),
    ("K8S-PROBE", "medium", "A service that nobody asks whether it is well", "set liveness and readiness", _SPENT),
    ("K8S-NS", "high", "A namespace that admits what is not restricted", "label it enforce: restricted", _KEPT),
    ("K8S-PDB", "medium", "Too few pods, or a drain may take all", "more replicas, and a PodDisruptionBudget", _SPENT),
    ("K8S-ENV", "critical", "A secret in the manifest", "take it from a Secret that a store fills", _KNOWN),
    ("K8S-SVC", "high", "A service that is open to the outside", "ClusterIP, behind a gateway with TLS", _KEPT),
    ("K8S-SCHEMA", "high", "A document that keeps no schema", "correct what is named", _KEPT),
    ("K8S-SEL", "high", "A selector that does not fit the labels", "make selector and labels the same", _KEPT),
)
RULES = {
    id: Rule(id=id, title=title, severity=severity, remedy=remedy, controls=controls)
    for id, severity, title, remedy, controls in _TABLE
}
