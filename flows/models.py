"""What `sluice model` does. Nothing is decided here: `security.models` says what holds and what stands.

Who looks may bring a folder of public keys (`producer.pub`, `verifier.pub`, `owner.pub`; several of a role are
`producer-2.pub`), from outside of what they should prove, and who verifies or pulls must; else this home's own count.
"""

import json
import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal

from configs import load
from flows.audit import outside
from flows.plan import owner
from security.errors import KeyBroken, PlanError, SluiceError
from security.gates.model.signature import SHA
from security.keys import PublicKey, UnsafeLocalKeys
from security.log import counted, placed
from security.models import bill, complete, statement
from security.models.belief import claimed
from security.models.chain import Keys, Move, Version
from security.models.manifest import BILL
from security.models.proof import proven
from security.registry import GATES
from security.verdict import canonical
from security.verify import Trust, verify
from tasks import chains, models, signer
from tasks.home import Home

Told = dict[str, Any]
ROLES = ("producer", "verifier", "owner")


def keys(home: Home, policy: str, folder: Path | None = None) -> Keys:
    """Whose word counts: the keys of a folder, or of this home; and the approvers of a policy."""
    judged = load.policy(load.text(load.find(policy, "policies")), policy)
    if folder is None and not os.environ.get(signer.LISTENS) and not (home.root / "keys").is_dir():
        raise PlanError("this home has no keys yet: bring some with --keys")
    if folder is None:
        return models.own(signer.keys(home), judged)
    found: dict[str, list[PublicKey]] = {role: [] for role in ROLES}
    for path in sorted(folder.glob("*.pub")):
        role = path.stem.partition("-")[0]
        if role not in found:
            raise KeyBroken(f"{path.name}: a key of no role; allowed: {', '.join(f'{each}.pub' for each in ROLES)}")
        for place in ("models", "chains"):
            outside(path, home.root / place, "a key")
        found[role].append(PublicKey.read(path))
    producer, verifier, owner = (tuple(found[role]) for role in ROLES)
    return Keys(producer, verifier, owner, models.approvers(judged))


def listed(home: Home, with_: Keys) -> list[Told]:
    """Every version of every model, newest first, and why it does not stand."""
    told: list[Told] = []
    for name in chains.names(home):
        try:
            found = chains.standing(home, name, with_)
        except SluiceError as why:
            told.append({"model": name, "wrong": str(why), "broken": True})
            continue
        for row in reversed(found.rows):
            said = _version(row.claim) | {"aliases": list(row.aliases), "wrong": row.wrong}
            told.append(said | {"here": models.layout(home).path(row.claim.manifest).is_file()})
    return told


def _version(claim: Version) -> Told:
    told = claim.model_dump(include={"version", "run", "manifest", "release", "data", "expires"}, mode="json")
    return {"model": claim.name, "entered": claim.at, **told}


def shown(home: Home, spelled: str, with_: Keys) -> Told:
    """One version: what is said of it, who moved which alias to it, what its card lacks, and whether it holds."""
    name, version = models.which(home, spelled, with_)
    row = chains.standing(home, name, with_).row(version)
    told = _version(row.claim) | {"aliases": list(row.aliases)}
    told["moves"] = [
        {
            "alias": each.claim.alias,
            "by": with_.approvers.get(each.signer, each.role),
            "key": each.signer,
            "at": each.claim.at,
            "reason": each.claim.reason,
            "log": each.claim.log,
        }
        for each in row.moves
        if isinstance(each.claim, Move)
    ]
    return told | _held(home, name, version, with_)


def _held(home: Home, name: str, version: int, with_: Keys, known: Collection[str] = ()) -> Told:
    """Whether a version holds, and then what is said of it."""
    try:
        found = models.verified(home, name, version, with_, known=known)
    except SluiceError as why:
        return {"holds": False, "wrong": str(why)}
    told = found.claim.model_dump(mode="json", include={"code", "lock", "plan", "datasets", "verdicts"})
    told |= {"holds": True, "wrong": "", "missing": complete.missing(canonical(found.bill))}
    told["schema"] = complete.invalid(canonical(found.bill)) or "CycloneDX 1.6"
    return told | {"metrics": bill.metrics(found.bill)}


def checked(home: Home, spelled: str, with_: Keys, known: Collection[str]) -> Told:
    """Whether everything of one version holds: bytes, signature, statement, provenance, bill, chain, standing."""
    name, version = models.which(home, spelled, with_)
    told = {"model": name, "version": version, "head": chains.standing(home, name, with_, known=known).head}
    return told | _held(home, name, version, with_, known)


def compared(home: Home, one: str, other: str, with_: Keys) -> list[Told]:
    """What differs between two versions, whether they stand or not; the statements of both must hold."""
    before, after = (_facts(home, each, with_) for each in (one, other))
    return [
        {"what": what, "before": before.get(what, ""), "after": after.get(what, "")}
        for what in sorted({*before, *after})
        if before.get(what, "") != after.get(what, "")
    ]


def _facts(home: Home, spelled: str, with_: Keys) -> dict[str, str]:
    stored = models.stored(home, *models.which(home, spelled, with_), with_)
    claim, _ = claimed(stored.files, stored.attached, with_)
    facts = {name: str(getattr(claim, name)) for name in ("name", "version", "run", "code", "lock", "plan", "expires")}
    facts |= {f"data {name}": sha for name, sha in claim.datasets.items()}
    facts |= {f"file {name}": sha for name, sha in statement.shas(stored.files).items()}
    for number, each in enumerate(claim.verdicts, 1):
        facts[f"verdict {number}"] = f"{each.stage}/{each.task} {each.gate}: {each.outcome.value}, {each.because}"
    listed_ = bill.check(stored.attached[BILL], stored.files, claim)
    facts["declared card"] = bill.facts(listed_)["sluice:declared"]
    facts |= {f"metric {each['type']} on {each['slice']}": each["value"] for each in bill.metrics(listed_)}
    hyper = statement.card(stored.files)[1].get("hyperparameters", {})
    return facts | {f"hyperparameter {name}": json.dumps(value) for name, value in hyper.items()}


def decided(home: Home, claim: statement.Claim, policy: str) -> str:
    """The head of the log of a version's run: whole, ended, in the index, verified under a policy, and bearing out what
    the statement says of the model. `Refused` or `LogBroken` where it is not."""
    path = load.find(policy, "policies")
    judged, mine = load.text(path), signer.keys(home)
    terms, key = load.policy(judged, policy), mine.public("producer")
    trust = Trust(key, terms, load.sha256(judged), load.matrix(), GATES, owner(terms, home))
    proof = verify(home.evidence(claim.run) / "log.jsonl", trust)
    placed(home.index, key, proof.plan.run, proof.plan.sha256, proof.plan.index, proof.head)
    for look, count in proof.looks:
        counted(home.index, key, look, count)
    proven(claim, proof)
    return proof.head


def promote(
    home: Home,
    spelled: str,
    alias: Literal["approved", "production"],
    role: Literal["verifier", "approver"],
    reason: str,
    policy: str,
) -> Told:
    """Move an alias by a decision that a key of this home signs, after the log of the model's run was verified."""
    with_ = keys(home, policy)
    name, version = models.which(home, spelled, with_)
    head = decided(home, models.verified(home, name, version, with_).claim, policy)
    mine = signer.keys(home) if role == "verifier" else UnsafeLocalKeys(home.root / "keys")
    chains.move(home, mine.signer(role), with_, name, alias, version, reason=reason, log=head)
    return {"model": name, "version": version, "alias": alias, "log": head, "key": mine.public(role).id}


def revoke(
    home: Home,
    what: Literal["model", "data", "key"],
    target: str,
    role: Literal["owner", "verifier"],
    reason: str,
    policy: str,
) -> Told:
    """Revoke a model (`NAME:VERSION`), a dataset or a key (its SHA-256), by a key of this home."""
    with_, said = keys(home, policy), {}
    sha = target
    if what == "model":
        if ":" not in target:
            raise PlanError(f"{target!a}: which version? allowed: NAME:VERSION")
        name, version = models.which(home, target, with_)
        sha = chains.standing(home, name, with_).row(version).claim.manifest
        said = {"name": name, "version": version}
    elif not re.fullmatch(SHA, sha):
        raise PlanError(f"{target!a}: allowed: the {'id of a key' if what == 'key' else 'digest of a dataset'}, {SHA}")
    person = UnsafeLocalKeys(home.root / "keys").signer(role)
    entry = chains.revoke(home, person, with_, what=what, target=sha, reason=reason, **said)
    return {"what": what, "target": sha, "entry": entry, "fallen": _fallen(home, with_)}


def _fallen(home: Home, with_: Keys) -> list[str]:
    """What does not stand now, in words."""
    return [f"{e['model']} {e.get('version', '')} {e['wrong']}" for e in listed(home, with_) if e["wrong"]]
