"""Waiting for a cluster, up to a moment: until what runs is what was applied, until a job has ended.

That pods are available says nothing by itself: they may be those of another generation. What was applied runs when the
controller has seen that generation, and all replicas are of it, and there are no others.
"""

import time
from collections.abc import Callable
from typing import Any

from deployments.kubernetes import kinds
from deployments.kubernetes.client import Client
from deployments.kubernetes.errors import Unready

PAUSE = 1.0
Told = dict[str, Any]


class Until:
    """A moment, `seconds` from now, until which is waited. `clock` and `sleep` are there for tests."""

    def __init__(
        self,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.seconds, self.clock, self.sleep = seconds, clock, sleep
        self.ends = clock() + seconds

    def left(self, what: str) -> None:
        """`Unready` once the moment has come."""
        if self.clock() >= self.ends:
            raise Unready(f"{what}; allowed: {self.seconds:g} s in all")

    def wait(self, what: str) -> None:
        """A pause; `Unready` once the moment has come."""
        self.left(what)
        self.sleep(min(PAUSE, max(0.0, self.ends - self.clock())))


def lacking(told: Told) -> str:
    """What keeps a Deployment from being rolled out; empty where nothing does. `Unready` where it has given up."""
    spec, status, about = told["spec"], told.get("status") or {}, told["metadata"]
    if _count(status, "observedGeneration") < int(about["generation"]):
        return "the controller has not seen it"
    for each in status.get("conditions") or []:
        if (each.get("type"), each.get("status")) == ("Progressing", "False"):
            raise Unready(f"{kinds.place(told)} has given up ({each.get('reason')})")
    if spec.get("paused"):
        raise Unready(f"{kinds.place(told)} is paused")
    wanted = int(spec.get("replicas", 1))
    if wanted < 1:
        raise Unready(f"{kinds.place(told)} is to have no replicas")
    for field, what in (("updatedReplicas", "updated"), ("replicas", "there"), ("availableReplicas", "available")):
        if (found := _count(status, field)) != wanted:
            return f"{found} of {wanted} replicas are {what}"
    return ""


def _count(status: Told, field: str) -> int:
    found = status.get(field, 0)
    return found if isinstance(found, int) and not isinstance(found, bool) else 0


def ready(client: Client, deployment: Told, until: Until) -> Told:
    """The Deployment, once it is rolled out. `Unready` says why it is not, and what its pods wait for."""
    kind, name, namespace = kinds.where(deployment)
    while True:
        told = client.get(kind, name, namespace)
        try:
            if told["metadata"].get("uid") != deployment["metadata"].get("uid", told["metadata"].get("uid")):
                raise Unready(f"{kind}/{name} was taken away and made anew")
            if not (what := lacking(told)):
                return told
            until.wait(f"{kind}/{name}: {what}")
        except Unready as why:
            waits = pods(client, told)
            raise Unready(f"{why}{': ' if waits else ''}{'; '.join(waits)}") from None


def pods(client: Client, told: Told) -> list[str]:
    """Why pods of a Deployment do not run, each reason once."""
    labels = told["spec"]["selector"].get("matchLabels", {})
    waits: dict[str, None] = {}
    for each in client.list("Pod", told["metadata"]["namespace"], labels):
        status = each.get("status") or {}
        for box in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
            state = box.get("state") or {}
            reason = (state.get("waiting") or {}).get("reason") or (state.get("terminated") or {}).get("reason")
            if reason:
                waits[f"its pods' container {box.get('name')} waits: {reason}"] = None
        for condition in status.get("conditions") or []:
            if (condition.get("type"), condition.get("status")) == ("PodScheduled", "False"):
                waits[f"its pods are not placed: {condition.get('reason')}"] = None
    return list(waits)


def ended(client: Client, job: Told, until: Until) -> str:
    """The last word of the one pod of a job, once it is complete. `Unready` where it failed, or said nothing."""
    kind, name, namespace = kinds.where(job)
    while True:
        told = client.get(kind, name, namespace)
        conditions = {each.get("type"): each for each in (told.get("status") or {}).get("conditions") or []
                      if each.get("status") == "True"}  # fmt: skip
        if "Complete" in conditions or "Failed" in conditions:
            break
        until.wait(f"{kind}/{name} has not ended")
    found = client.list("Pod", namespace, {"batch.kubernetes.io/controller-uid": told["metadata"]["uid"]})
    states = [(box.get("state") or {}).get("terminated") or {} for each in found
              for box in (each.get("status") or {}).get("containerStatuses") or []]  # fmt: skip
    if "Failed" in conditions:
        said = conditions["Failed"].get("reason") or "nothing is said of why"
        codes = ", ".join(str(each["exitCode"]) for each in states if "exitCode" in each)
        raise Unready(f"{kind}/{name} failed ({said}{f', exit code {codes}' if codes else ''})")
    words = [str(each["message"]) for each in states if each.get("exitCode") == 0 and each.get("message")]
    if len(states) != 1 or len(words) != 1:
        raise Unready(f"{kind}/{name}: {len(words)} of {len(states)} containers left a last word; allowed: one of one")
    return words[0]
