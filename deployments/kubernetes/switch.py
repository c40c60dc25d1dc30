"""Callers are led to another release by one object: the Service that they know. To apply it is the switch.

It is applied only where it still leads to the release that was seen, in the version that was seen, and where what lies
there is what was rendered and judged. Then a job asks by that name; if what it sees is not as it must be, callers are
led back to the release before, or, where that must not serve any more or is not there, nowhere.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from deployments.kubernetes import lock
from deployments.kubernetes.asking import Word, good
from deployments.kubernetes.client import Client
from deployments.kubernetes.errors import Busy, ClusterError, Missing, Moved, Undone, Unreachable, Unready
from deployments.kubernetes.release import NAME, RELEASE, Release, items, read
from deployments.kubernetes.rollout import Say, led, there, undo
from deployments.kubernetes.status import Status, diff, status
from deployments.kubernetes.watch import Until, lacking, ready
from security.errors import SluiceError
from security.gates.network import PROBE
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
    placed: Sequence[Item] = (),
    who: str = "sluice",
    until: Until | None = None,
) -> Switched:
    """Lead callers to a release that was placed. `expected`: the release that they were seen to be led to; `Moved`
    where it is another by now, or where what lies there is otherwise than it was rendered, or than the gates saw it
    (`placed`). `Undone` where they were led back, or nowhere."""
    release, until = read(manifests), until or Until(SECONDS)
    with lock.held(client, release.where, release.name, until.seconds, say=say, who=who):
        live = client.find("Service", release.name, release.where)
        if led(live) != expected:
            found, seen = led(live) or "no release", expected or "none"
            raise Moved(f"Service/{release.name} leads to {found}; allowed: {seen}, as it was seen; nothing was done")
        _ready(client, release, manifests, placed)
        return _Move(client, release, live, say, stands, until).made()


def rollback(
    client: Client,
    manifests: Sequence[Item],
    *,
    say: Say,
    stands: Stands,
    who: str = "sluice",
    until: Until | None = None,
) -> Switched:
    """Lead callers to an earlier release that is there and as it was rendered, once it is rolled out: pods that were
    without a lease need a while. `Undone` where it must not serve."""
    release, until = read(manifests), until or Until(SECONDS)
    with lock.held(client, release.where, release.name, until.seconds, say=say, who=who):
        live = client.get("Service", release.name, release.where)
        if led(live) == release.release:
            raise Moved(f"Service/{release.name} leads to {release.release} already; nothing was done")
        if not stands(release.release):
            raise Undone(f"{release.release} must not serve any more; {led(live) or 'nothing'} still serves")
        told = client.get("Deployment", release.own, release.where)
        _rendered(client, manifests)  # before it is waited for; what is altered meanwhile is seen afterwards
        try:
            ready(client, told, until)
        except Unready as why:
            raise Unready(f"{why}; nothing was done") from why
        _ready(client, release, manifests, ())
        return _Move(client, release, live, say, stands, until).made()


def altered(client: Client, manifests: Sequence[Item]) -> str:
    """The first field of what is a release's own, its Deployment and its name, that is not as it was rendered; empty
    where all is."""
    own = read(manifests).own
    for each in diff(client, manifests):
        if each.object in (f"Deployment/{own}", f"Service/{own}"):
            return f"{each.object}{each.path}: found {each.found or 'nothing'}; allowed: {each.wanted or 'nothing'}"
    return ""


def _rendered(client: Client, manifests: Sequence[Item]) -> None:
    """`Moved` unless what is a release's own lies there as it was rendered."""
    if what := altered(client, manifests):
        raise Moved(f"{what}, as it was rendered; nothing was done")


def _ready(client: Client, release: Release, manifests: Sequence[Item], placed: Sequence[Item]) -> None:
    """`Moved` unless what lies there is what was rendered, and what the gates looked at; `Unready` unless it is rolled
    out."""
    told = client.get("Deployment", release.own, release.where)
    _rendered(client, manifests)
    if what := lacking(told):
        raise Unready(f"Deployment/{release.own}: {what}; nothing was done")
    if placed:
        then, now = ({n: d for n, d in each if not _passing(n)} for each in (placed, items(there(client, release))))
        if others := sorted(name for name in then.keys() | now.keys() if then.get(name) != now.get(name)):
            raise Moved(f"{others[0]} is otherwise than the gates saw it; nothing was done")


def _passing(name: str) -> bool:
    """Whether it is gone a while after it has ended, or is no object."""
    return name.startswith("job-") or name == PROBE


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
        self, client: Client, to: Release, live: Told | None, say: Say, stands: Stands, until: Until
    ) -> None:
        self.client, self.to, self.live = client, to, live
        self.namespace, self.name = to.where, to.name
        self.say, self.stands, self.until = say, stands, until
        self.before = led(live)

    def made(self) -> Switched:
        """Apply, ask, and go back if need be."""
        self.until.left("callers are not led elsewhere")
        release = self.to.release
        applied = self._apply(release, self.to.public)
        self.say(f"Service/{self.name} leads to {release}, before to {self.before or 'none'}")
        try:
            return Switched(release, self.before, good(self.client, self.to.smoke, self.to.model, self.until))
        except BaseException as why:
            came = self._back(release, applied)
            if not isinstance(why, ClusterError):
                raise
            raise Undone(f"{self.to.own}: {why}; {came}") from why

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
        """Where callers are led to then, in words: where they were, if that may serve; else nowhere."""
        why = "nothing served before"
        try:
            if self.before == release:
                return f"it served before, and callers are still led to {release}"
            if self.before is not None and not self.stands(self.before):
                why = f"{self.before} must not serve any more"
            elif self.before is not None and self.live is not None:
                self.client.apply(_seen(_led_to(self.live, self.before), applied))
                self.say(f"Service/{self.name} leads to {self.before} again")
                return f"callers are led to {self.before} again"
        except SluiceError as lost:
            why = f"they could not be led back: {lost}"
        try:
            self.client.delete("Service", self.name, self.namespace, uid=applied["metadata"]["uid"])
        except ClusterError as lost:
            return f"{why}, and callers are still led to {release}: {lost}"
        self.say(f"Service/{self.name} was taken away")
        return f"{why}, and callers are led nowhere"


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
