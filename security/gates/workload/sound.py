"""A workload that breaks no rule, with all that surrounds it: what a known-bad one is made of where there is none."""

import random
from typing import Any

from security.gates.workload.beyond import ENFORCE

Told = dict[str, Any]


def word(draw: random.Random) -> str:
    """A name that nobody has."""
    return f"{draw.choice('abcdefghij')}{draw.getrandbits(28):07x}"


def whole(draw: random.Random) -> list[Told]:
    """A namespace with a workload that breaks no rule."""
    home, name = word(draw), word(draw)
    labels = {"app.kubernetes.io/name": name}
    sizes = {"cpu": "10m", "memory": "16Mi"}
    probe = {"exec": {"command": ["true"]}}
    container = {
        "name": "main",
        "image": f"{word(draw)}/{word(draw)}@sha256:{draw.getrandbits(256):064x}",
        "resources": {"requests": sizes, "limits": dict(sizes)},
        "livenessProbe": probe,
        "readinessProbe": dict(probe),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    pod = {"serviceAccountName": name, "automountServiceAccountToken": False, "containers": [container]}
    called = {"name": name, "namespace": home}
    spec = {
        "replicas": 100,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": dict(labels)}, "spec": pod},
    }
    kept = {"maxUnavailable": 1, "selector": {"matchLabels": dict(labels)}}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": home, "labels": {ENFORCE: "restricted"}}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": dict(called)},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": dict(called), "spec": spec},
        {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": dict(called), "spec": kept},
    ]
