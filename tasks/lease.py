"""Which models may serve in a cluster now, and the lease that says so, by the verifier's key.

A model may whose release was decided on and is there, if by the registry it may (`cluster.unfit`). While a run places
its candidate, that one may too: as long as the run's process lives, and by what its signed log has of it. Of a registry
that cannot be believed, or that lacks an entry that the lease before knew, no lease is given; then the one that lies
there runs out.

Who has a candidate says a file a run, so that whoever renews the lease meanwhile leaves it in.
"""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from deployments.kubernetes import lease as laid
from deployments.kubernetes import release as manifests
from deployments.kubernetes.client import Client
from deployments.kubernetes.release import Release
from deployments.kubernetes.status import status
from security import whole
from security.errors import LogBroken, PlanError, SluiceError
from security.keys import Keys as Held
from security.keys import PublicKey
from security.log import kind_of, read
from security.models import lease
from security.models.chain import Keys
from security.models.lease import Lease
from security.models.manifest import REVOKED
from security.models.standing import LATE, Standing, stands
from tasks import chains, cluster, decision, lead, models
from tasks.home import Home, lives, mine
from tasks.run import Run

TICK = 0.001
"""Seconds by which one lease is later than another."""
UNLEASED = "was rendered before there were leases, and asks nobody: roll it out anew"
"""Of a release that goes on whatever a lease says."""


@dataclass(frozen=True)
class Of:
    """What leases are given of: a pipeline at a target. `keys`: who signs; `trusted`: whose word counts in the
    registry; `seconds`: for how long; `known`: entries of the registry that were there.
    """

    home: Home
    name: str
    target: str
    keys: Held
    trusted: Keys
    seconds: int
    known: Collection[str] = ()

    @property
    def candidates(self) -> Path:
        """A file for each run that places one here."""
        return self.home.folder("candidates", f"{self.target}-{self.name}")


class Line(NamedTuple):
    """A release that may serve, or why not (empty: it may)."""

    run: str
    release: str
    model: str
    why: str


class Given(NamedTuple):
    """A lease as it lies there now, and each release that it was asked of."""

    lease: Lease
    lines: list[Line]


def renew(of: Of, client: Client, namespace: str, name: str) -> Given:
    """Give a lease of what may serve now, and lay it beside the releases of a name. `LogBroken` where registry or
    decisions cannot be believed; nothing is laid then."""
    made: list[Given] = []

    def make(before: bytes) -> bytes:
        there = {each.release: each.leased for each in status(client, namespace, name).releases}
        envelope, given = _made(of, _own(of, before), there)
        made[:] = [given]
        return envelope

    laid.renewed(client, namespace, name, make)
    return made[0]


def last(envelope: bytes, key: PublicKey) -> Lease | None:
    """The lease that lies somewhere, of whatever place and whether it is good still; None where there is none that the
    verifier (`key`) gave."""
    with suppress(LogBroken):
        return lease.said(envelope, key)
    return None


def _own(of: Of, envelope: bytes) -> Lease | None:
    """The lease that lies there; `PlanError` for one that the verifier gave for another place: nothing takes that one's
    place."""
    found = last(envelope, of.keys.public("verifier"))
    if found and found.place != (of.name, of.target):
        place = f"a lease of {found.name} at {found.target} lies there"
        raise PlanError(f"{place}; allowed: none, or one of {of.name} at {of.target}; nothing was laid")
    return found


def _made(of: Of, before: Lease | None, there: Mapping[str, bool]) -> tuple[bytes, Given]:
    known = {*of.known, *((before.chain, before.revocations) if before else ())} - {""}
    # The model's chain is read first: what it names of revocations is there by then.
    entries, gone = chains.there(of.home, of.name), chains.there(of.home, REVOKED)
    now = time.time()
    found = stands(entries, gone, of.trusted, of.name, now=now, known=known)
    lines = [*_decided(of, found, there), *_candidates(of, found)]
    if gone_for := found.barred.get(of.keys.public("verifier").id):
        nobody = f"is let serve by nobody: the verifier's key is revoked: {gone_for}"
        lines = [each._replace(why=nobody) for each in lines]
    # No service whose clock is right has taken one of days to come: it holds up none after it.
    at = round(max(now, before.at + TICK if before and before.at <= now + LATE else 0.0), 3)
    told: dict[str, Any] = {
        "name": of.name,
        "target": of.target,
        "models": [each.model for each in lines if not each.why],
        "chain": found.head,
        "revocations": found.revocations,
        "entries": len(entries) + len(gone),
        "at": at,
        "until": at + of.seconds,
    }
    envelope = lease.sealed(of.keys.signer("verifier"), **told)
    return envelope, Given(lease.said(envelope, of.keys.public("verifier")), lines)


def _decided(of: Of, found: Standing, there: Mapping[str, bool]) -> Iterator[Line]:
    """Those that are there, and the newest, wherever it is."""
    decided = decision.made(of.home, of.target, of.name, of.keys.public("verifier"))
    for each in decided:
        if each.release in there or each is decided[-1]:
            why = {None: "is not there any more", False: UNLEASED, True: ""}[there.get(each.release)]
            yield Line(each.run, each.release, each.model, cluster.unfit(found, each.model) or why)


def _candidates(of: Of, found: Standing) -> Iterator[Line]:
    for path in sorted(of.candidates.glob("[!.]*")):
        try:
            mark = path.read_text()
        except FileNotFoundError:
            continue  # its run has ended since
        if lives(mark.split()):
            yield _candidate(of, found, path.name)
        else:
            path.unlink(missing_ok=True)


def _candidate(of: Of, found: Standing, run: str) -> Line:
    """What a run's log says that it places here, and whether log and registry let it."""
    key = of.keys.public("producer")
    rendered = manifests.read(lead.rendered(of.home, run, key))
    told = read(of.home.evidence(run) / "log.jsonl", key)[0]
    plan = told[0]["predicate"]["plan"]
    if (plan["document"]["pipeline_name"], plan["target"]) != (of.name, of.target):
        raise LogBroken(f"run {run}: is of another pipeline or target than it places a candidate of")
    row = next((row for row in found.rows if row.claim.release == rendered.model), None)
    why = _refused(told) or (row.wrong if row else _barred(of, found, run))
    return Line(run, rendered.release, rendered.model, why)


def _refused(told: Iterable[dict[str, Any]]) -> str:
    """What in a run's log stops it."""
    for kind, said in ((kind_of(each), each["predicate"]) for each in told):
        if kind == "verdict" and said["effect"]["action"] != "proceed":
            return f"was refused by {said['gate']}"
        if kind == "closed" and said["outcome"] != "passed":
            return f"is of a run that ended otherwise than it should ({said['outcome']})"
    return ""


def _barred(of: Of, found: Standing, run: str) -> str:
    """Why what a run made may not serve, of a model that is not entered yet: what it comes from was revoked, or the key
    that signed it."""
    key, folder = of.keys.public("producer"), of.home.evidence(run)
    if key.id in found.barred:
        return f"is signed by the key {key.id[:12]}, which is revoked: {found.barred[key.id]}"
    while (log := folder / "log.jsonl").exists():
        for each in (each["predicate"]["output"] for each in read(log, key)[0] if kind_of(each) == "output"):
            if each["sha256"] in found.barred:
                return f"comes from the dataset {each['sha256'][:12]}, which is revoked: {found.barred[each['sha256']]}"
        folder /= "predecessor"
    return ""


def of_run(run: Run) -> Of:
    """Of the pipeline of a run, at its target."""
    name, limits = str(run.plan.document["pipeline_name"]), cluster.limits(run)
    return Of(run.home, name, run.plan.target, run.keys, models.trusted(run), limits.lease, run.plan.registry)


def lets(run: Run) -> Callable[[Client, Release], None]:
    """Lets a run's candidate serve while it is looked at. `PlanError` where it may not."""

    def let(client: Client, release: Release) -> None:
        of = of_run(run)
        whole.write(of.candidates / run.plan.run, (mine().encode(),))
        run.let = release.where, release.name
        given = renew(of, client, *run.let)
        for each in given.lines:
            if each.run == run.plan.run and each.why:
                raise PlanError(f"{release.own}: its model may not serve: it {each.why}")
        if release.model not in given.lease.models:
            raise PlanError(f"{release.own}: is of another model than the run's log has")
        run.listener.step("deploy", f"its model may serve while it is looked at, for {of.seconds:,} s at a time")

    return let


def settle(run: Run) -> None:
    """A run's candidate is none any more: from now on its model may serve if a release of it was decided on, and else
    not. Where no lease can be laid that is told, and stops nothing: the one that lies there runs out."""
    if run.let is None:
        return
    try:
        of = of_run(run)
        (of.candidates / run.plan.run).unlink(missing_ok=True)
        with cluster.spoken(cluster.limits(run)) as client:
            renew(of, client, *run.let)
    except (SluiceError, OSError) as why:
        run.listener.step("deploy", f"the lease could not be renewed, and the one that is there runs out: {why}")
    run.let = None
