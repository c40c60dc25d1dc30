"""Where a lease lies in a cluster: a ConfigMap that pods of every release of a name mount. It is no part of a release:
what is in it is another every few minutes, and each service believes it by its signature.

It is put in the place of the one that was seen, and of no other: of two who renew it at once, one looks again at what
the other has left before it makes its own.
"""

from collections.abc import Callable
from typing import Any

from deployments.kubernetes.client import Client
from deployments.kubernetes.errors import Moved
from deployments.kubernetes.release import NAME

FILE = "lease.dsse"
TRIES = 5
Make = Callable[[bytes], bytes]
"""From the envelope that lies there (empty: none) to the next one."""


def called(name: str) -> str:
    """What it is called, beside releases of a name."""
    return f"{name}-lease"


def found(client: Client, namespace: str, name: str) -> bytes:
    """The envelope that lies there, whoever made it; empty where there is none."""
    return _envelope(client.find("ConfigMap", called(name), namespace))


def renewed(client: Client, namespace: str, name: str, make: Make) -> bytes:
    """Lay there what `make` makes of what lies there; the envelope. `Moved` where somebody else was first each time,
    `Conflict` where it is somebody else's."""
    last: Moved | None = None
    for _ in range(TRIES):
        live = client.find("ConfigMap", called(name), namespace)
        envelope = make(_envelope(live))
        try:
            client.apply(_told(namespace, name, envelope, live))
        except Moved as why:
            last = why
            continue
        if live is not None or found(client, namespace, name) == envelope:
            return envelope
        # What was not there has no version to hold to: of two who make it at once the second is not told.
        last = Moved(f"ConfigMap/{called(name)} was made by another at once")
    raise Moved(f"{last}; tried {TRIES} times; the lease that lies there is somebody else's, and this one is not there")


def _envelope(live: dict[str, Any] | None) -> bytes:
    return str(((live or {}).get("data") or {}).get(FILE) or "").encode()


def _told(namespace: str, name: str, envelope: bytes, live: dict[str, Any] | None) -> dict[str, Any]:
    about: dict[str, Any] = {
        "name": called(name),
        "namespace": namespace,
        "labels": {NAME: name, "app.kubernetes.io/part-of": "sluice"},
    }
    if live is not None:
        about["resourceVersion"] = live["metadata"]["resourceVersion"]
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": about, "data": {FILE: envelope.decode()}}
