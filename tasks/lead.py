"""Leads callers in a cluster to the release that a run has placed, and back where what must follow does not."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from deployments.kubernetes import rollout, switch
from deployments.kubernetes.client import Client
from deployments.kubernetes.errors import ClusterError
from security.errors import BadInput, KeyBroken, PlanError, SluiceError, StoreError
from security.manifests import Item
from tasks import cluster, decision, models
from tasks.render import FOLDER
from tasks.run import Run
from tasks.store import files, measure


@contextmanager
def led(run: Run, told: Mapping[str, str]) -> Iterator[None]:
    """Callers are led to a run's release; back again where the work within fails. On the target `local` nobody is.
    `told`: what is said of the release that was placed."""
    if run.plan.target == "local":
        yield
        return
    before = told["before"]
    with cluster.spoken(cluster.limits(run)) as client:
        decided = decision.made(run.home, run.plan.target, run.keys.public("verifier"))
        known, name = {each.release: each.model for each in decided}, str(run.plan.document["pipeline_name"])
        stands = cluster.standing(run.home, name, models.trusted(run), known)
        switch.switch(
            client, rendered(run), say=_say(run), expected=before or None, stands=stands, who=run.plan.run.lower()
        )
        try:
            yield
        except BaseException as why:
            raise PlanError(f"{why}; {_back(run, client, told, stands)}") from why
        _pruned(run, client, told)


def rendered(run: Run) -> list[Item]:
    """The manifests that a run has rendered, as they were judged: those in its evidence, which must be the same."""
    mine = [each for each in run.outputs.values() if each.kind == "manifests"]
    folder = run.home.evidence(run.plan.run) / FOLDER
    if [each.sha256 for each in mine] != [measure(folder)[0]]:
        raise StoreError("the manifests of this run are not those that were rendered")
    return [(path.name, path.read_bytes()) for path in files(folder)]


def withdraw(run: Run) -> None:
    """Take away what a run has placed, where nobody is led to it. What cannot be is told, and stops nothing."""
    if run.placed is None:
        return
    try:
        with cluster.spoken(cluster.limits(run)) as client:
            left = rollout.withdraw(client, run.placed, say=_say(run), who=run.plan.run.lower())
    except (SluiceError, OSError) as why:
        left = (str(why),)
    if left:
        _say(run)(f"what was placed could not all be taken away: {'; '.join(left)}")


def _say(run: Run) -> rollout.Say:
    return lambda said: run.listener.step("deploy", said)


def _back(run: Run, client: Client, told: Mapping[str, str], stands: switch.Stands) -> str:
    """Lead callers back; where they are then, in words."""
    where, name, before = told["namespace"], told["name"], told["before"]
    try:
        if not before:
            live = client.get("Service", name, where)
            if rollout.led(live) != told["release"]:
                return f"callers are led to {rollout.led(live)}, by somebody else"
            client.delete("Service", name, where, uid=live["metadata"]["uid"])
            return "callers are led nowhere again, as before"
        switch.rollback(client, where, name, to=before, say=_say(run), stands=stands, who=run.plan.run.lower())
    except (ClusterError, BadInput, KeyBroken) as why:
        return f"callers are still led to {told['release']}: {why}"
    return f"callers are led to {before} again"


def _pruned(run: Run, client: Client, told: Mapping[str, str]) -> None:
    """Take away the oldest releases beside it. What cannot be is told: the one that serves serves."""
    try:
        switch.prune(client, told["namespace"], told["name"], say=_say(run), who=run.plan.run.lower())
    except ClusterError as why:
        _say(run)(f"older releases were not taken away: {why}")
