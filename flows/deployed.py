"""`sluice deploy`: what runs at a target, what was decided, any difference, the way back to an earlier release, and
what may serve there for the next while.

Nothing that a cluster says of a release is believed: which model it is of says the decision that the verifier signed,
and whether that may serve says the registry.
"""

import argparse
import json
import time
from contextlib import AbstractContextManager
from typing import Any

import httpx

from deployments.kubernetes import lease as laid
from deployments.kubernetes import release, switch
from deployments.kubernetes import status as states
from deployments.kubernetes.client import Client
from flows import brief as briefs
from flows import plan as planning
from flows.waiver import Lines, show
from security.errors import LogBroken, PlanError
from security.gates.deployer import Limits
from security.models.lease import Lease
from security.models.standing import Row, Standing
from security.verify import verify
from tasks import chains, cluster, decision, lead, lease, models, process, signer
from tasks.decision import Decision
from tasks.home import Home
from tasks.lease import Given
from tasks.store import current, move, moves, pointer

STATUS = ("run", "release", "model", "version", "registry", "state", "until", "serves")
LEASE = ("run", "release", "model", "serves", "why")
DIFF = ("object", "field", "wanted", "found")
SHOWN = 12


class Deployed:
    """A target as a policy names it, and what was decided for it. `standing`: of the model in the registry."""

    def __init__(self, home: Home, document: str, policy: str, *, by_path: bool = True) -> None:
        self.home, self.brief = home, briefs.read(document, policy, by_path=by_path)
        self.target, self.name = self.brief.terms.target, self.brief.parsed.pipeline_name
        self.keys = signer.keys(home)
        self.pointer = pointer(self.target, self.name)
        self.decided = decision.made(home, self.target, self.name, self.keys.public("verifier"))
        self.said = current(home, self.pointer)[1]

    @property
    def standing(self) -> Standing:
        """What the registry says now."""
        return chains.standing(self.home, self.name, models.own(self.keys, self.brief.terms))

    @property
    def limits(self) -> Limits:
        """What the policy says of the cluster."""
        given = self.brief.terms.gates.get(cluster.NAME)
        told = {**(given.limits if given else {}), "name": self.name, "target": self.target}
        return Limits.model_validate(told)

    @property
    def namespace(self) -> str:
        """Where releases lie, as the newest decision's run has it."""
        if not self.said:
            raise PlanError(f"nothing was ever released to {self.target} from this home")
        return self.said["namespace"]

    def spoken(self) -> AbstractContextManager[Client]:
        """The cluster's client."""
        return cluster.spoken(self.limits)

    @property
    def leased(self) -> lease.Of:
        """What leases are given of. `PlanError` where there are none, or the policy is not signed as it must be."""
        if self.target == "local":
            raise PlanError("on the target local the service asks the registry itself: there is no lease")
        planning.signature(self.brief, self.home)
        own = models.own(self.keys, self.brief.terms)
        return lease.Of(self.home, self.name, self.target, self.keys, own, self.limits.lease)

    def row(self, model: str) -> Row | None:
        """The version of the registry that a model is."""
        return next((row for row in self.standing.rows if row.claim.release == model), None)

    def line(self, each: Decision, **more: Any) -> dict[str, Any]:
        """A line about a decision."""
        row = self.row(each.model)
        said = row.wrong or ", ".join(row.aliases) or "no alias names it now" if row else "was never entered"
        told = {"run": each.run, "release": each.release, "model": each.model[:SHOWN]}
        return told | {"version": str(row.claim.version) if row else "", "registry": said, **more}


def status(of: Deployed) -> Lines:
    """What runs, and what was decided of it."""
    if of.target == "local":
        return [of.line(each, **_process(of, each)) for each in of.decided]
    with of.spoken() as client:
        found = states.status(client, of.namespace, of.said["name"])
        envelope = laid.found(client, of.namespace, of.said["name"])
    leased = lease.last(envelope, of.keys.public("verifier"))
    known = {each.release: each for each in of.decided}
    lines: Lines = []
    for here in found.releases:
        state = here.lacks or f"{here.available}/{here.replicas} ready"
        each = known.pop(here.release, None)
        until = _until(leased, of, each.model) if each else ""
        more = {"state": state, "until": until, "serves": here.release == found.serving}
        nobody = {"run": "", "release": here.release, "model": here.model[:SHOWN], "version": ""}
        lines.append(of.line(each, **more) if each else nobody | {"registry": "nobody decided on it", **more})
    gone = {"state": "not there any more", "until": "", "serves": False}
    return lines + [of.line(each, **gone) for each in known.values()]


def _until(leased: Lease | None, of: Deployed, model: str) -> str:
    """Until when the lease that lies there lets a model serve."""
    if leased is None or leased.place != (of.name, of.target) or model not in leased.models:
        return "no lease"
    return f"{'ran out ' if leased.until <= time.time() else ''}{_stamp(leased.until)}"


def _stamp(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


def _process(of: Deployed, each: Decision) -> dict[str, Any]:
    alive = bool(process.alive(of.home.root / "service" / each.run / "process.json"))
    return {"state": "runs" if alive else "has ended", "serves": alive and of.said.get("run") == each.run}


def diff(of: Deployed) -> Lines:
    """Each difference between what was decided, what the registry says, and what runs."""
    if not of.said:
        raise PlanError(f"nothing was ever released to {of.target} from this home")
    mine = decision.one(of.decided, of.said["run"])
    lines, found = list[dict[str, Any]](), of.standing
    now = found.aliases.get("production")
    if now is None or now.release != mine.model:
        seen = now.release[:SHOWN] if now else found.fallen.get("production", "nothing")
        lines.append(_line("the registry", "production", mine.model[:SHOWN], seen))
    row = of.row(mine.model)
    if row is None or row.wrong:
        lines.append(_line("the registry", mine.model[:SHOWN], "a version that stands", row.wrong if row else "none"))
    return lines + (_running(of, mine) if of.target == "local" else _drifted(of, mine))


def _line(of: str, field: str, wanted: str, found: str) -> dict[str, Any]:
    return {"object": of, "field": field, "wanted": wanted, "found": found}


def _running(of: Deployed, mine: Decision) -> Lines:
    """The local service, asked what it runs."""
    try:
        reply = httpx.get(f"{of.said['url']}/readyz", timeout=5, trust_env=False)
        found = str(reply.json().get("model", "")) if reply.status_code == 200 else f"status {reply.status_code}"
    except (httpx.HTTPError, ValueError, AttributeError) as why:
        found = f"no answer ({type(why).__name__})"
    return [] if found == mine.model else [_line("the service", "model", mine.model[:SHOWN], found[:40])]


def _drifted(of: Deployed, mine: Decision) -> Lines:
    with of.spoken() as client:
        found = states.status(client, of.namespace, of.said["name"])
        drift = states.diff(client, lead.rendered(of.home, mine.run, of.keys.public("producer")))
    name = f"Service/{of.said['name']}"
    led = [] if found.serving == mine.release else [_line(name, "release", mine.release, found.serving or "none")]
    others = [each for each in drift if not (led and each.object == name)]
    return led + [_line(each.object, each.path, each.wanted, each.found) for each in others]


def rollback(of: Deployed, to: str, reason: str) -> dict[str, str]:
    """Lead callers to an earlier release, whose whole log is judged again under the policy; signed by the verifier."""
    if of.target == "local":
        raise PlanError("on the target local an earlier model goes through every gate again: sluice run --after RUN")
    mine, seen = decision.one(of.decided, to), current(of.home, of.pointer)[0]
    proof = verify(of.home.evidence(mine.run) / "log.jsonl", planning.trust(of.brief, of.home))
    if proof.head != mine.log:
        raise LogBroken(f"run {mine.run}: its log is not the one that was decided upon")
    known = {each.release: each.model for each in of.decided}
    own = models.own(of.keys, of.brief.terms)
    stands = cluster.standing(of.home, of.name, own, known, chains.heads(of.home, of.name))
    where = next(each for each in moves(of.home, of.pointer) if each["run"] == mine.run)
    told = where | {"log": proof.head, "reason": reason}
    envelope = decision.sign(proof.plan, proof.head, told, of.keys.signer("verifier"))
    manifests = lead.rendered(of.home, mine.run, of.keys.public("producer"))
    if not states.takes(release.read(manifests).deployment):
        raise PlanError(f"release {mine.release} {lease.UNLEASED}")
    with of.spoken() as client:
        lease.renew(of.leased, client, of.namespace, of.said["name"])  # its pods may have been without one
        switch.rollback(client, manifests, say=lambda said: print(f"  {said}"), stands=stands)
    with decision.kept(of.home, mine.run, seen + 1, envelope):
        move(of.home, of.pointer, seen, told)
    return {"release": mine.release, "model": mine.model, "run": mine.run}


def lets(of: Deployed, given: Given) -> bool:
    """Whether a lease lets the model serve that was decided on last."""
    return of.said.get("model") in given.lease.models


def renewed(of: Deployed) -> Given:
    """Give a lease of what may serve now, and lay it in the cluster."""
    asked = of.leased
    with of.spoken() as client:
        return lease.renew(asked, client, of.namespace, of.said["name"])


def said(given: Given) -> str:
    """A lease in a sentence."""
    count = len(given.lease.models)
    models_ = f"{count} model{'s' if count > 1 else ''}" if count else "nothing"
    return f"{models_} of {given.lease.name} may serve at {given.lease.target} until {_stamp(given.lease.until)}"


def _leased(given: Given, code: int, *, as_json: bool) -> int:
    lines = [{**each._asdict(), "serves": not each.why} for each in given.lines]
    if as_json:
        print(json.dumps({"lease": given.lease.model_dump(mode="json"), "releases": lines}, indent=1, sort_keys=True))
        return code
    print(said(given))
    show([{**each, "model": each["model"][:SHOWN]} for each in lines], LEASE, as_json=False)
    return code


def command(given: argparse.Namespace) -> int:
    """One of the four. A difference is 1, and so is a lease that does not let serve what was decided on last."""
    of = Deployed(Home.here(), given.document, given.policy)
    if given.what == "status":
        return show(status(of), STATUS, as_json=given.json)
    if given.what == "diff":
        lines = diff(of)
        show(lines, DIFF, as_json=given.json)
        return int(bool(lines))
    if given.what == "lease":
        made = renewed(of)
        return _leased(made, int(not lets(of, made)), as_json=given.json)
    told = rollback(of, given.to, given.reason)
    print(f"callers are led to {told['release']}, the model {told['model'][:SHOWN]} of run {told['run']}")
    return 0
