"""Callers are led to another release by one object: the Service that they know. To apply it is the switch.

It is applied only where it still leads to the release that was seen, in the version that was seen. Then a job asks by
that name; if what it sees is not as it must be, callers are led back to the release before, unless that is one that
must not serve any more, or is not there: then they stay, and the error says so.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from deployments.kubernetes import lock, render
from deployments.kubernetes.asking import Word, good
from deployments.kubernetes.client import Client
from deployments.kubernetes.errors import Busy, ClusterError, Missing, Moved, Undone, Unreachable, Unready
from deployments.kubernetes.release import MODEL, NAME, PATH, RELEASE, read
from deployments.kubernetes.rollout import Say, led, undo
from deployments.kubernetes.status import Status, status
from deployments.kubernetes.watch import Until, lacking
from security.manifests import Item

SECONDS, KEPT = 300.0, 2
Stands = Callable[[str], bool]
"""Whether a release may serve still: it was approved, and is not revoked."""
Told = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Switched:
    """To which release callers are led, from which one (None for none), and what was seen by the name they know."""

    release: str
    before: str | None
    word: Word


def switch(
    client: Client,
    manifests: Sequence[Item],
    *,
    say: Say,
    expected: str | None,
    stands: Stands,
    who: str = "sluice",
    until: Until | None = None,
) -> Switched:
    """Lead callers to a release that was placed. `expected`: the release that they were seen to be led to; `Moved`
    where it is another by now. `Undone` where they were led back, or had to stay."""
    release, until = read(manifests), until or Until(SECONDS)
    with lock.held(client, release.where, release.name, until.seconds, say=say, who=who):
        live = client.find("Service", release.name, release.where)
        if led(live) != expected:
            found, seen = led(live) or "no release", expected or "none"
            raise Moved(f"Service/{release.name} leads to {found}; allowed: {seen}, as it was seen; nothing was done")
        _rolled(client, release.where, release.own, release.model)
        move = _Move(client, release.where, release.name, live, say, stands, until)
        return move.to(release.release, release.public, release.smoke, release.model)


def rollback(
    client: Client,
    namespace: str,
    name: str,
    *,
    to: str,
    say: Say,
    stands: Stands,
    who: str = "sluice",
    until: Until | None = None,
) -> Switched:
    """Lead callers to an earlier release that is there and rolled out. `Undone` where it must not serve."""
    until = until or Until(SECONDS)
    with lock.held(client, namespace, name, until.seconds, say=say, who=who):
        live = client.get("Service", name, namespace)
        if led(live) == to:
            raise Moved(f"Service/{name} leads to {to} already; nothing was done")
        if not stands(to):
            raise Undone(f"{to} must not serve any more; {led(live) or 'nothing'} still serves")
        told = _rolled(client, namespace, f"{name}-{to}", "")
        about, pod = told["metadata"].get("annotations", {}), told["spec"]["template"]["spec"]
        image = pod["containers"][0]["image"]
        smoke = yaml.safe_load(render.smoke(name, namespace, to, image, about.get(PATH, "")))
        move = _Move(client, namespace, name, live, say, stands, until)
        return move.to(to, _led_to(live, to), smoke, about.get(MODEL, ""))


def _rolled(client: Client, namespace: str, own: str, model: str) -> Told:
    """The Deployment of a release that may be switched to: there, rolled out, and of that model."""
    told = client.get("Deployment", own, namespace)
    if what := lacking(told):
        raise Unready(f"Deployment/{own}: {what}; nothing was done")
    found = told["metadata"].get("annotations", {}).get(MODEL, "")
    if not found or (model and found != model):
        raise Unready(f"Deployment/{own} is of the model {found[:12] or 'that it does not name'}; nothing was done")
    return told


def _led_to(live: Told, release: str) -> Told:
    """The Service as it is, but for the release that it leads to: what we set of it, and no more."""
    about, spec = live["metadata"], live["spec"]
    told = {key: spec[key] for key in ("type", "ports") if key in spec}
    labels = {key: each for key, each in about.get("labels", {}).items() if key.startswith("app.kubernetes.io/")}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": about["name"], "namespace": about["namespace"], "labels": labels},
        "spec": {**told, "selector": {**spec["selector"], RELEASE: release}},
    }


class _Move:
    """From where callers are led to, to another release, and back where that does not serve."""

    def __init__(
        self, client: Client, namespace: str, name: str, live: Told | None, say: Say, stands: Stands, until: Until
    ) -> None:
        self.client, self.namespace, self.name, self.live = client, namespace, name, live
        self.say, self.stands, self.until = say, stands, until
        self.before = led(live)

    def to(self, release: str, public: Told, smoke: Told, model: str) -> Switched:
        """Apply, ask, and go back if need be."""
        self.until.left("callers are not led elsewhere")
        applied = self._apply(release, public)
        self.say(f"Service/{self.name} leads to {release}, before to {self.before or 'none'}")
        try:
            return Switched(release, self.before, good(self.client, smoke, model, self.until))
        except BaseException as why:
            came = self._back(release, applied)
            if not isinstance(why, ClusterError):
                raise
            raise Undone(f"{self.name}-{release}: {why}; {came}") from why

    def _apply(self, release: str, public: Told) -> Told:
        """The Service that leads there; where the answer was lost, it is looked at whether it does."""
        try:
            return self.client.apply(_seen(public, self.live))
        except (Busy, Moved, Unreachable) as why:
            try:
                found = self.client.find("Service", self.name, self.namespace)
            except ClusterError as other:
                raise Undone(f"{why}; whether callers are led to {release} is not known: {other}") from why
            if found is None or led(found) != release or self.before == release:
                raise
            return found

    def _back(self, release: str, applied: Told) -> str:
        """Where callers are led to then, in words."""
        try:
            if self.live is None:
                self.client.delete("Service", self.name, self.namespace, uid=applied["metadata"]["uid"])
                return "nothing served before, and callers are led nowhere again"
            if self.before is None or self.before == release:
                return f"there is no release before it, and callers are still led to {release}"
            if not self.stands(self.before):
                return f"{self.before} must not serve any more, so callers are still led to {release}"
            _rolled(self.client, self.namespace, f"{self.name}-{self.before}", "")
            self.client.apply(_seen(_led_to(self.live, self.before), applied))
        except ClusterError as why:
            return f"callers are still led to {release}, and could not be led back: {why}"
        self.say(f"Service/{self.name} leads to {self.before} again")
        return f"callers are led to {self.before} again"


def _seen(told: Told, live: Told | None) -> Told:
    """To be applied in the version that was seen, and in no other."""
    if live is None:
        return told
    return {**told, "metadata": {**told["metadata"], "resourceVersion": live["metadata"]["resourceVersion"]}}


def prune(
    client: Client, namespace: str, name: str, *, say: Say, keep: int = KEPT, who: str = "sluice"
) -> tuple[str, ...]:
    """Take away releases that callers are not led to, but for the newest of them; which were taken away. `Missing`
    where callers are led to none: then nobody knows which may go."""
    with lock.held(client, namespace, name, SECONDS, say=say, who=who):
        found: Status = status(client, namespace, name)
        if found.serving is None:
            raise Missing(f"Service/{name} leads to no release: which ones may go is not known; nothing was done")
        beside = sorted((each for each in found.releases if each.release != found.serving), key=lambda e: e.created)
        gone = [each.release for each in (beside[:-keep] if keep else beside)]
        for release in gone:
            labels = {NAME: name, RELEASE: release}
            kinds_ = ("Deployment", "Service", "Job")
            made = [each for kind in kinds_ for each in client.list(kind, namespace, labels)]
            mine = [each for each in made if each["metadata"]["name"].startswith(f"{name}-{release}")]
            if left := undo(client, mine, say):
                raise Undone(f"{name}-{release}: {', '.join(left)} could not be taken away", left)
    return tuple(gone)
