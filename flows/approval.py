"""`sluice approval`: to approve that a model may go to a target, and which approvals there are.

Nothing is decided here: an approval counts, or does not, where the gate looks, and `list` only says beforehand what
that will come to under a policy.
"""

import argparse
import time
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from configs import load
from flows.waiver import SHOWN, Lines, show
from security.errors import LogBroken, PlanError, Refused
from security.gates import approval
from security.gates.approval.facts import Facts
from security.keys import PublicKey, UnsafeLocalKeys
from security.log import kind_of, read
from security.models.chain import Keys
from security.policy import Plan
from security.registry import GATES
from security.verify import Trust, pending, verify
from security.words import day, within
from tasks import build, chains, envelopes, models, signer
from tasks.home import Home
from tasks.store import measure

DAY = 86_400.0
COLUMNS = ("approval", "model", "image", "name", "target", "approver", "requester", "until", "wrong")


def give(
    home: Home,
    spelled: str,
    policy: str,
    *,
    days: float,
    key: Path | None = None,
    owner: Path | None = None,
    **claim: str,
) -> dict[str, Any]:
    """Sign an approval of a run's model, in the image that the run made of it, if it did; or of a version of the
    registry; with the approver's key of this home. `claim`: target, reason, requester and approver. With the producer's
    public `key`, and the owner's of a policy that is signed, it is of a run of another home, whose evidence is
    verified, to its end or to where it waits for this: an approver's key lies best where no pipeline runs."""
    told = load.text(load.find(policy, "policies"))
    judged = load.policy(told, policy)
    if key is not None:
        whose = PublicKey.read(owner) if owner else None
        trust = Trust(PublicKey.read(key), judged, load.sha256(told), load.matrix(), GATES, whose)
        name, release, image = _verified(Path(spelled), trust)
    else:
        keys = signer.keys(home)
        ran = _ran(home, spelled, keys.public("producer"))
        name, release, image = ran or (*_entered(home, spelled, models.own(keys, judged)), "")
    if not image and claim["target"] == judged.target and build.builds(judged):
        raise PlanError(f"{spelled}: has no image; allowed under {judged.name}: a run that built one, and waits")
    if claim["target"] not in load.TARGETS:
        raise PlanError(f"--target {claim['target']!r}; allowed: {', '.join(load.TARGETS)}")
    if not 0 < days <= 366:
        raise PlanError(f"--days {days:g}: allowed: more than 0, and 366 at the most")
    now, person = round(time.time(), 3), UnsafeLocalKeys(home.root / "keys").signer("approver")
    told = {"name": name, "issued": now, "expires": now + days * DAY, "image": image, **claim}
    try:
        envelope = approval.sign(release, person, **told)
    except ValidationError as why:
        first = why.errors()[0]
        raise PlanError(f"an approval: {first['loc'][0]}: {first['msg']}") from None
    id = envelopes.keep(home, "approvals", envelope)
    return {"approval": id, "approver": person.public.id, "name": name, "release": release, "image": image}


def _verified(folder: Path, trust: Trust) -> tuple[str, str, str]:
    """Pipeline, digest of the model and of the image of a run, by its evidence, which holds."""
    log = folder / "log.jsonl"
    if not log.is_file():
        raise PlanError(f"{folder.name}: no log.jsonl in it; allowed with --key: the folder of a run's evidence")
    try:
        proof = verify(log, trust)
    except (LogBroken, Refused) as why:
        try:
            proof = pending(log, trust, approval.Approval.name)
        except (LogBroken, Refused):
            raise why from None
    if "train" not in proof.available:
        raise PlanError(f"run {proof.plan.run}: has no model; allowed: a run that trained one, or goes on from one")
    release = proof.available["train"].sha256
    return str(proof.plan.document["pipeline_name"]), release, _image(folder, read(log, trust.key)[0], release)


def _image(folder: Path, statements: list[dict[str, Any]], release: str) -> str:
    """Digest of the image that the manifests of a run name, which lie beside its log; empty where it made none."""
    made = [each["predicate"]["output"] for each in statements if kind_of(each) == "output"]
    rendered = [(each["sha256"], each["version"]) for each in made if each["kind"] == "manifests"]
    if not rendered:
        return ""
    kept = folder / build.MANIFESTS
    if not kept.is_dir() or rendered != [(measure(kept)[0], release)]:
        raise PlanError(f"{folder.name}/{build.MANIFESTS}: not those that the run rendered; allowed: its own, whole")
    image, plan = build.named(kept).partition("@sha256:")[2], statements[0]["predicate"]["plan"]
    ended = kind_of(statements[-1]) == "closed" and statements[-1]["predicate"]["outcome"] != "passed"
    if image and ended and {*plan["matrix"]} != {"deploy"}:
        what = f"run {plan['run']}: has ended, and its image has its own log in it, which no other run has"
        raise PlanError(f"{what}; allowed: a run that waits (`wait`), or goes on from an evaluation (`--after`)")
    return image


def _ran(home: Home, run: str, key: PublicKey) -> tuple[str, str, str] | None:
    """Pipeline, digest of the model that a run has, published by itself or by one that it goes on from, and of the
    image that it made of it, as their logs say; None where there is no such run."""
    path = home.evidence(run) / "log.jsonl"
    if "/" in run or not path.is_file():
        return None
    statements, _ = read(path, key)
    plan = Plan.model_validate(statements[0]["predicate"]["plan"])
    told = [each["predicate"]["output"] for each in statements if kind_of(each) == "published"]
    made = [str(each["sha256"]) for each in told if each["kind"] == "model"]
    if not made and plan.predecessor and (before := _ran(home, plan.predecessor["run"], key)):
        return (*before[:2], _image(path.parent, statements, before[1]))
    if len(made) != 1:
        raise PlanError(f"run {run}: found {len(made)} models that it published; allowed: one")
    return str(plan.document["pipeline_name"]), made[0], _image(path.parent, statements, made[0])


def _entered(home: Home, spelled: str, trusted: Keys) -> tuple[str, str]:
    """Name and digest of a version of the registry, which must stand."""
    name, version = models.which(home, spelled, trusted)
    row = chains.standing(home, name, trusted).row(version)
    if row.wrong:
        raise PlanError(f"{name}:{version} {row.wrong}; allowed: a version that stands")
    return name, row.claim.release


def listed(home: Home, policy: str) -> Lines:
    """Every approval that there is, and why it does not count under a policy now; empty where it does."""
    terms, lines = load.policy(load.text(load.find(policy, "policies")), policy), Lines()
    given = dict(terms.gates[approval.Approval.name].limits) if approval.Approval.name in terms.gates else {}
    gate, trusted = approval.Approval(), models.own(signer.keys(home), terms)
    builds = build.builds(terms)
    for text in envelopes.there(home, "approvals"):
        try:
            told = approval.read(text.encode())
        except LogBroken as why:
            lines.append({"wrong": str(why)})
            continue
        limits = approval.Limits.model_validate(
            {**given, "persons": 1, "name": told.claim.name, "target": terms.target}
        )
        gone = tuple({told.signer} & chains.standing(home, told.claim.name, trusted).barred.keys())
        facts = Facts(
            model=told.model, image=told.claim.image, at=time.time(), revoked=gone, envelopes=(text,), others=0
        )
        wrong = [each.message for each in gate.judge(facts, limits) if each.rule != "APR-01"]
        if builds != bool(told.claim.image):
            found, wanted = ("no image", "one") if builds else ("an image", "none")
            wrong.append(f"it is of {found}; allowed: of {wanted}, as this policy has them built")
        claim = told.claim.model_dump(include={"name", "target", "approver", "requester", "reason"})
        claim["image"] = told.claim.image[:SHOWN]
        until = day(told.claim.expires)
        id = approval.name(text.encode())
        lines.append({"approval": id, "model": told.model[:SHOWN], "until": until, "wrong": "; ".join(wrong), **claim})
    return lines


def command(given: argparse.Namespace) -> int:
    """One of the two."""
    home = Home.here()
    if given.what == "list":
        return show(listed(home, given.policy), COLUMNS, as_json=given.json)
    claim = {each: str(getattr(given, each)) for each in ("target", "reason", "requester", "approver")}
    told = give(home, given.model, given.policy, days=given.days, key=given.key, owner=given.owner, **claim)
    of = f"{told['name']}, {told['release'][:SHOWN]}{within(told['image'])}, for {given.target}"
    print(f"approval {told['approval'][:SHOWN]} of {of}")
    print(f"signed by {told['approver']}; it counts where the policy lists that key: approval.limits.approvers")
    return 0
