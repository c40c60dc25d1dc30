"""What the gate over network policies can find wrong.

Controls: NIST SP 800-53 r5, CIS Kubernetes Benchmark, NSA/CISA Kubernetes Hardening Guide, OWASP Kubernetes Top Ten.
"""

from typing import Literal

from security.verdict import Rule

_DENY = ("NIST-800-53:SC-7(5)", "CIS-K8S:5.3.2", "OWASP-K07:2022", "NSA-CISA:network-separation")
_FLOW = ("NIST-800-53:AC-4", "NIST-800-53:SC-7", "CIS-K8S:5.3.2", "OWASP-K07:2022")
_NODE = ("NIST-800-53:SC-7", "CIS-K8S:5.2.5", "NSA-CISA:pod-security")
_SHOWN = ("NIST-800-53:CA-8", "NIST-800-53:SC-7", "CIS-K8S:5.3.1")
_MEANT = "say which pods of which namespaces, by labels, and by which ports"
_TABLE: tuple[tuple[str, Literal["medium", "high", "critical"], str, str, tuple[str, ...]], ...] = (
    ("NP-01", "high", "A namespace does not deny what comes in", "add a policy over all pods, type Ingress", _DENY),
    ("NP-02", "high", "A namespace does not deny what goes out", "add a policy over all pods, type Egress", _DENY),
    ("NP-03", "medium", "A workload that no policy is for", "add a policy that selects it by its labels", _FLOW),
    ("NP-04", "high", "A policy that selects no pod", "correct the labels of its selector", _FLOW),
    ("NP-05", "high", "A policy in a namespace where nothing runs", "put it beside the pods that it is for", _FLOW),
    ("NP-06", "high", "A rule that lets everybody", _MEANT, _FLOW),
    ("NP-07", "high", "A peer that selects everything", _MEANT, _FLOW),
    ("NP-08", "high", "Blocks of addresses that hold the public network", "name the addresses that are needed", _FLOW),
    ("NP-09", "critical", "The metadata service can be reached", "except 169.254.169.254 from every block", _FLOW),
    ("NP-10", "high", "Names are asked for elsewhere, or nowhere", "let port 53, both ways, to the resolver", _FLOW),
    ("NP-11", "medium", "A port that is not said, or that no pod has", "name the pods' own ports", _FLOW),
    ("NP-12", "critical", "Other callers than declared", "let in whom the policy declares, no more, no fewer", _FLOW),
    ("NP-13", "high", "Other peers than declared", "let out to what the policy declares, no more, no less", _FLOW),
    ("NP-14", "critical", "A workload on its node's network", "leave out hostNetwork and hostPort", _NODE),
    ("NP-15", "medium", "A list that reads as one peer and is two", "put both selectors into one item", _FLOW),
    ("NP-16", "critical", "What a probe saw is not what policies say", "use a network that enforces them", _SHOWN),
)  # fmt: skip
RULES = {
    id: Rule(id=id, title=title, severity=severity, remedy=remedy, controls=controls)
    for id, severity, title, remedy, controls in _TABLE
}
