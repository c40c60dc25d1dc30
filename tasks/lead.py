"""Leads callers in a cluster to the release that a run has placed, and back where what must follow does not."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from deployments.kubernetes import rollout, switch
from deployments.kubernetes.client import Client
from security.errors import PlanError, SluiceError, StoreError
from security.keys import PublicKey
from security.log import kind_of, read
from security.manifests import Item
from tasks import cluster, decision, models, placed
from tasks.home import Home
from tasks.render import FOLDER
from tasks.run import Run
from tasks.store import files, measure


@contextmanager
def led(run: Run, folder: Path, told: Mapping[str, str]) -> Iterator[None]:
    """Callers are led to a run's release; back again where the work within fails. On the target `local` nobody is.
    `folder`: what was placed, as the gates have seen it; `told`: what is said of it."""
    if run.plan.target == "local":
        yield
        return
    with cluster.spoken(cluster.limits(run)) as client:
        stands = _stands(run, client)
        switch.switch(
            client,
            rendered(run.home, run.plan.run, run.trust.key),
            say=_say(run),
            expected=told["before"] or None,
            stands=stands,
            placed=[(path.name, path.read_bytes()) for path in files(placed.objects(folder))],
            who=run.plan.run.lower(),
        )
        try:
            yield
        except BaseException as why:
            raise PlanError(f"{why}; {_back(run, client, told, stands)}") from why


def _stands(run: Run, client: Client) -> switch.Stands:
    """Whether an earlier release may serve: it was decided on, its model stands, and it is as it was rendered."""
    name, target = str(run.plan.document["pipeline_name"]), run.plan.target
    decided = {each.release: each for each in decision.made(run.home, target, name, _key(run))}
    known = {release: each.model for release, each in decided.items()}
    registry = cluster.standing(run.home, name, models.trusted(run), known, run.plan.registry)

    def stands(release: str) -> bool:
        if release not in decided or not registry(release):
            return False
        return not switch.altered(client, rendered(run.home, decided[release].run, run.trust.key))

    return stands


def rendered(home: Home, run: str, key: PublicKey) -> list[Item]:
    """The manifests that a run has rendered, as they lie in its evidence; `StoreError` unless they are those of its
    log."""
    statements, _ = read(home.evidence(run) / "log.jsonl", key)
    told = [each["predicate"]["output"] for each in statements if kind_of(each) == "output"]
    folder = home.evidence(run) / FOLDER
    if [each["sha256"] for each in told if each["kind"] == "manifests"] != [measure(folder)[0]]:
        raise StoreError(f"run {run}: its manifests are not those that its log has")
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


def _back(run: Run, client: Client, told: Mapping[str, str], stands: switch.Stands) -> str:
    """Lead callers back; where they are then, in words: where that may not be, nowhere."""
    where, name, before = told["namespace"], told["name"], told["before"]
    try:
        if before and stands(before):
            decided = decision.made(run.home, run.plan.target, str(run.plan.document["pipeline_name"]), _key(run))
            mine = next(each for each in decided if each.release == before)
            files_ = rendered(run.home, mine.run, run.trust.key)
            switch.rollback(client, files_, say=_say(run), stands=stands, who=run.plan.run.lower())
            return f"callers are led to {before} again"
        live = client.get("Service", name, where)
        if rollout.led(live) != told["release"]:
            return f"callers are led to {rollout.led(live)}, by somebody else"
        client.delete("Service", name, where, uid=live["metadata"]["uid"])
        return f"{before} must not serve any more, and callers are led nowhere" if before else "callers are led nowhere"
    except SluiceError as why:
        return f"callers are still led to {told['release']}, until its lease has run out: {why}"


def pruned(run: Run, told: Mapping[str, str]) -> None:
    """Take away the oldest releases beside the one that serves. What cannot be is told: the one that serves serves."""
    if run.plan.target == "local":
        return
    try:
        with cluster.spoken(cluster.limits(run)) as client:
            switch.prune(client, told["namespace"], told["name"], say=_say(run), who=run.plan.run.lower())
    except (SluiceError, OSError) as why:
        _say(run)(f"older releases were not taken away: {why}")


def _key(run: Run) -> PublicKey:
    return run.keys.public("verifier")


def _say(run: Run) -> rollout.Say:
    return lambda said: run.listener.step("deploy", said)
