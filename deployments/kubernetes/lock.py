"""One rollout at a time: a Lease that is held while one is under way.

It is made or replaced in the version that was seen, so that of two who try one is refused. Who holds it has a name that
nobody else has; a lease that has run out may be taken, and one that was taken is not given back by who lost it.
"""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from deployments.kubernetes.client import Client
from deployments.kubernetes.errors import ClusterError, Locked, Moved

MARGIN = 120
"""Seconds that a lease outlasts what it is for: what is taken away again takes time too."""


@contextmanager
def held(
    client: Client,
    namespace: str,
    name: str,
    seconds: float,
    *,
    say: Callable[[str], None],
    who: str = "sluice",
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Iterator[None]:
    """Hold the lock `sluice-NAME`, and give it back. `Locked` where somebody else holds it."""
    me = f"{who}-{secrets.token_hex(4)}"
    lease = _taken(client, namespace, f"sluice-{name}", me, int(seconds) + MARGIN, now())
    try:
        yield
    finally:
        try:
            _given(client, lease, me)
        except ClusterError as why:  # it runs out by itself, and what was done stands
            say(f"the lock could not be given back: {why}")


def _taken(client: Client, namespace: str, name: str, me: str, seconds: int, now: datetime) -> dict[str, Any]:
    about = {"name": name, "namespace": namespace}
    stamp = now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    spec = {"holderIdentity": me, "leaseDurationSeconds": seconds, "acquireTime": stamp, "renewTime": stamp}
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": about, "spec": spec}
    found = client.find("Lease", name, namespace)
    try:
        if found is None:
            return client.create(lease)
        _free(found, me, now)
        return client.replace({**lease, "metadata": {**about, "resourceVersion": found["metadata"]["resourceVersion"]}})
    except Moved:
        found = client.find("Lease", name, namespace)
        if found and found["spec"].get("holderIdentity") == me:
            return found  # it was made, and the answer was lost
        if found:
            _free(found, me, now)
        raise Locked(f"Lease/{name} was taken in this moment: another rollout is under way; nothing was done") from None


def _free(found: dict[str, Any], me: str, now: datetime) -> None:
    spec = found.get("spec") or {}
    holder = spec.get("holderIdentity")
    if not holder or holder == me:
        return
    place, until = f"Lease/{found['metadata']['name']}", _until(spec)
    if until is None:
        raise Locked(f"{place} is held by {holder}, nobody can tell until when; nothing was done")
    if until > now:
        raise Locked(f"{place} is held by {holder} until {until:%Y-%m-%dT%H:%M:%SZ}: another rollout is under way; "
                     "nothing was done")  # fmt: skip


def _until(spec: dict[str, Any]) -> datetime | None:
    try:
        begun = datetime.fromisoformat(str(spec.get("renewTime") or spec["acquireTime"]).replace("Z", "+00:00"))
        return begun + timedelta(seconds=int(spec["leaseDurationSeconds"]))
    except (KeyError, ValueError, TypeError):
        return None


def _given(client: Client, lease: dict[str, Any], me: str) -> None:
    about = lease["metadata"]
    found = client.find("Lease", about["name"], about["namespace"])
    if found is None or found["spec"].get("holderIdentity") != me:
        raise Moved("it is not held any more")
    kept = {"name": about["name"], "namespace": about["namespace"],
            "resourceVersion": found["metadata"]["resourceVersion"]}  # fmt: skip
    spec = {"leaseDurationSeconds": 1, "renewTime": found["spec"]["renewTime"]}
    try:
        client.replace({"apiVersion": lease["apiVersion"], "kind": "Lease", "metadata": kept, "spec": spec})
    except Moved:
        found = client.find("Lease", about["name"], about["namespace"])
        if found and found["spec"].get("holderIdentity") == me:
            raise  # or else it was given back, and the answer was lost
