"""A release is put beside the one that serves, asked, and read back; nobody is led to it yet.

1. All manifests are read; one that cannot be, and nothing is done.
2. The namespace, where there is none. Nothing in it can be tried before it is there, not even by a dry run; so it is
   made first, after a dry run of its own. It is empty and admits only what is restricted, and it stays: who deploys
   needs no right to take away a namespace.
3. The lock. From here on nobody else rolls out.
4. A dry run of every object. If one is refused, nothing more is done.
5. What releases share; a lease that names its model, without which its pods do not begin; the Deployment, and its own
   name; wait until it is rolled out.
6. A job that must reach it, and is held to that; and one that must not: what it saw a gate over policies judges.
7. All that is there is read back: what the gates look at is what the cluster holds, and whatever else is in it.

Where anything fails after 4, what this release made is taken away again, but for its place in the lease: who let it
serve takes that back. The one that serves is never touched.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from deployments.kubernetes import kinds, lock
from deployments.kubernetes.asking import Word, good, seen
from deployments.kubernetes.client import Client
from deployments.kubernetes.errors import ClusterError, Undone
from deployments.kubernetes.release import RELEASE, Release, items, read
from deployments.kubernetes.watch import Until, ready
from security.errors import SluiceError
from security.gates.network import PROBE
from security.manifests import Item
from security.manifests.live import written

SECONDS = 600.0
LISTED = ("NetworkPolicy", "PodDisruptionBudget", "Service", "Deployment", "Job")
"""What is read back whoever made it: one policy more, and more can be reached."""
Say = Callable[[str], None]
Lets = Callable[[Client, Release], None]
"""Lets the model of a release serve from now on, beside those that do."""
Told = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Placed:
    """A release that stands beside the one that serves.

    `serving`: the release that callers are led to, None for none; a switch is to be told it. `items`: every object as
    the cluster gives it, and what the probes saw (`probe.json`), as the gates over manifests look at them. `words`:
    what the probes said. `warnings`: what the cluster said beside its answers. `made`: what was not there before.
    """

    release: Release
    serving: str | None
    items: tuple[Item, ...]
    words: tuple[Word, ...]
    warnings: tuple[str, ...]
    made: tuple[Told, ...]


def place(
    client: Client,
    manifests: Sequence[Item],
    *,
    say: Say,
    lets: Lets,
    who: str = "sluice",
    until: Until | None = None,
) -> Placed:
    """Put a release there; `lets` is asked before its pods begin. `BadInput` for manifests that are none, `Locked`
    where another rollout is under way, another `ClusterError` for what was refused before anything was done, `Undone`
    where it was taken away again."""
    release, until = read(manifests), until or Until(SECONDS)
    _namespace(client, release, say)
    with lock.held(client, release.where, release.name, until.seconds, say=say, who=who):
        serving = led(client.find("Service", release.name, release.where))
        for each in release.every:
            client.apply(_dry(each), dry=True)
        say(f"dry run: {len(release.every)} objects are accepted")
        made: list[Told] = []
        try:
            words = _put(client, release, lets, made, until, say)
            found = (*items(there(client, release)), (PROBE, json.dumps([_told(each) for each in words]).encode()))
        except BaseException as why:
            stands = f"{serving} still serves" if serving else "nothing serves, as before"
            left = undo(client, made, say)
            if not isinstance(why, SluiceError):
                raise
            kept = f"; {', '.join(left)} could not be taken away" if left else ""
            raise Undone(f"{release.own}: {why}; what it made was taken away again{kept}; {stands}", left) from why
    return Placed(release, serving, tuple(found), words, tuple(client.warnings), tuple(made))


def led(public: Told | None) -> str | None:
    """The release that a public name leads to; None where there is none, or it leads to none in particular."""
    found = ((public or {}).get("spec") or {}).get("selector") or {}
    return str(found[RELEASE]) if RELEASE in found else None


def _namespace(client: Client, release: Release, say: Say) -> None:
    if client.find("Namespace", release.where) is None:
        client.apply(release.namespace, dry=True)
        client.apply(release.namespace)
        say(f"Namespace/{release.where} is new, and stays whatever comes of the release")


def _dry(told: Told) -> Told:
    """As it is tried: a job by a name of its own, since one that has run cannot be changed."""
    if told["kind"] != "Job":
        return told
    return {**told, "metadata": {**told["metadata"], "name": f"dry-{told['metadata']['labels'][RELEASE]}"}}


def _put(
    client: Client, release: Release, lets: Lets, made: list[Told], until: Until, say: Say
) -> tuple[Word, ...]:
    for each in (release.namespace, *release.shared):
        until.left("objects are not applied")
        client.apply(each)
    lets(client, release)
    deployment = release.deployment
    for each in (release.deployment, release.candidate):
        until.left("objects are not applied")
        before = client.find(*kinds.where(each))
        if before is None:
            made.append(each)  # noted first: an answer can be lost, and the object be there
        applied = client.apply(each)
        deployment = applied if each is release.deployment else deployment
        say(f"{kinds.place(each)} {'is new' if before is None else 'was there'}")
    ready(client, deployment, until)
    say(f"Deployment/{release.own} is rolled out")
    words: list[Word] = []
    reaches, stranger = release.jobs
    for job in (reaches, stranger):
        made.append(job)
        words.append(good(client, job, release.model, until) if job is reaches else seen(client, job, until))
        say(f"{kinds.place(job)}: {words[-1].name}: {words[-1].outcome}")
    return tuple(words)


def withdraw(client: Client, placed: Placed, *, say: Say, who: str = "sluice") -> tuple[str, ...]:
    """Take away again what was made for a release, unless callers are led to it by now; what could not be. What
    releases share stays: it was judged before it was applied."""
    release = placed.release
    with lock.held(client, release.where, release.name, SECONDS, say=say, who=who):
        if led(client.find("Service", release.name, release.where)) == release.release:
            return ()
        return undo(client, placed.made, say)


def undo(client: Client, made: Sequence[Told], say: Say) -> tuple[str, ...]:
    """Take away what was made, last first, each by its uid; what could not be."""
    left: list[str] = []
    for each in reversed(made):
        kind, name, namespace = kinds.where(each)
        try:
            found = client.find(kind, name, namespace)
            if found is not None and _applied(client, found):
                client.delete(kind, name, namespace, uid=found["metadata"]["uid"])
                say(f"{kind}/{name} was taken away again")
        except ClusterError as why:
            say(f"{kind}/{name} could not be taken away: {why}")
            left.append(f"{kind}/{name}")
    return tuple(left)


def _applied(client: Client, found: Told) -> bool:
    """Whether it is one that was applied from here: what somebody else made meanwhile is not taken away."""
    entries = found["metadata"].get("managedFields") or []
    return any((each.get("manager"), each.get("operation")) == (client.manager, "Apply") for each in entries)


def there(client: Client, release: Release) -> list[Told]:
    """What the cluster holds: our own objects, everything of the kinds that others could add, and pods of nobody or
    with more in them than was applied. Jobs are gone a while after they have ended."""
    namespace = release.where
    found = [client.get("Namespace", namespace)]
    found += [client.get(*kinds.where(each)) for each in release.shared if each["kind"] not in LISTED]
    for kind in LISTED:
        found += client.list(kind, namespace)
    places = {kinds.place(each) for each in found}
    ours = (*release.shared, release.deployment, release.candidate)
    if lost := [kinds.place(each) for each in ours if kinds.place(each) not in places]:
        raise Undone(f"{lost[0]} was applied, and is not there")
    owners = [each for each in found if each["kind"] in ("Deployment", "Job")]
    for pod in client.list("Pod", namespace):
        if not any(_owns(each, pod) for each in owners):
            found.append(pod)
    return [written(each) for each in found]


def _owns(owner: Told, pod: Told) -> bool:
    labels = pod["metadata"].get("labels") or {}
    selector = (owner["spec"].get("selector") or {}).get("matchLabels") or {}
    if not pod["metadata"].get("ownerReferences") or _runs(owner["spec"]["template"]["spec"]) != _runs(pod["spec"]):
        return False
    if owner["kind"] == "Job":
        return bool(labels.get("batch.kubernetes.io/controller-uid") == owner["metadata"]["uid"])
    return bool(selector) and selector.items() <= labels.items()


def _runs(pod: Told) -> Told:
    """What of a pod nobody may add to on its way: each container with its image, command and rights, and the pod's."""
    boxes = [*pod.get("initContainers", ()), *pod.get("containers", ()), *pod.get("ephemeralContainers", ())]
    what = ("image", "command", "args", "securityContext", "lifecycle")
    told: Told = {str(each.get("name")): {key: each.get(key) for key in what} for each in boxes}
    return told | {key: pod.get(key) or None for key in ("hostNetwork", "hostPID", "hostIPC", "securityContext")}


def _told(word: Word) -> dict[str, str]:
    return {"name": word.name, "expected": word.expected, "outcome": word.outcome}
