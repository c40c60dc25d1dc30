"""What the gate over who deploys can find wrong."""

from collections.abc import Mapping
from typing import Literal

from security.gates.deployer.facts import Family
from security.verdict import Rule

_LEAST = ("NIST-800-53:AC-6", "OWASP-K03:2022", "CIS-K8S:5.1.1")
_LESS = "take the right away"
_WHERE = ("NIST-800-53:CM-7", "OWASP CICD-SEC-7", "SLSA:deployment")
_WHO = ("NIST-800-53:IA-2", "NIST-800-53:AC-5", "CIS-K8S:5.1.7")
_KNOWN = ("NIST-800-53:SI-7", "SLSA:deployment", "CIS-K8S:5.5.1")
_TABLE: tuple[tuple[str, Literal["medium", "high", "critical"], str, str, tuple[str, ...]], ...] = (
    ("DA-TARGET", "critical", "Another target than the policy's", "deploy where the policy says", _WHERE),
    ("DA-WHO", "critical", "Somebody else than the policy's deploys", "use the deployer's own credentials", _WHO),
    ("DA-IMAGE", "critical", "An image that is not of a listed registry, by digest", "push it there", _KNOWN),
    ("DA-NEED", "high", "What the rollout needs is denied", "grant what is named, in the namespace alone", _LEAST),
    ("DA-SECRETS", "critical", "Who deploys may read or make secrets", _LESS, (*_LEAST, "CIS-K8S:5.1.2")),
    ("DA-EXEC", "critical", "Who deploys may reach into what runs", _LESS, _LEAST),
    ("DA-TOKENS", "critical", "Who deploys may make credentials", _LESS, (*_LEAST, "CIS-K8S:5.1.13")),
    ("DA-RBAC", "critical", "Who deploys may grant rights", _LESS, (*_LEAST, "CIS-K8S:5.1.8")),
    ("DA-IMPERSONATE", "critical", "Who deploys may be another", _LESS, (*_LEAST, "CIS-K8S:5.1.8")),
    ("DA-NODES", "critical", "Who deploys may use nodes, or volumes", _LESS, (*_LEAST, "CIS-K8S:5.1.10")),
    ("DA-ADMISSION", "critical", "Who deploys may change what guards", _LESS, (*_LEAST, "CIS-K8S:5.1.12")),
    ("DA-NAMESPACES", "high", "Who deploys may make, list or end namespaces", "let it get and patch its own", _LEAST),
    ("DA-ELSEWHERE", "critical", "Who deploys may do its work elsewhere", "bind its role in its namespace", _LEAST),
    ("DA-WILD", "critical", "A right to all of something", "name what is needed", (*_LEAST, "CIS-K8S:5.1.3")),
    ("DA-MORE", "high", "A right that the rollout does not need", _LESS, _LEAST),
    ("DA-AGREE", "high", "The server's rules and reviews contradict each other", "find out what else decides", _LEAST),
)
RULES = {
    id: Rule(id=id, title=title, severity=severity, remedy=remedy, controls=controls)
    for id, severity, title, remedy, controls in _TABLE
}
FAMILIES: Mapping[Family, str] = {
    "secrets": "DA-SECRETS",
    "exec": "DA-EXEC",
    "tokens": "DA-TOKENS",
    "rbac": "DA-RBAC",
    "impersonation": "DA-IMPERSONATE",
    "nodes": "DA-NODES",
    "admission": "DA-ADMISSION",
    "namespaces": "DA-NAMESPACES",
    "elsewhere": "DA-ELSEWHERE",
    "wild": "DA-WILD",
    "more": "DA-MORE",
}
"""Family of what must not be -> its rule."""
