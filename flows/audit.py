"""`sluice verify`: one screen of what held and what did not, from a folder of evidence and what the auditor brings."""

import json
import os
from pathlib import Path
from typing import Any

from configs import load
from flows.screen import plain
from security.errors import KeyBroken, LogBroken, SluiceError
from security.keys import PublicKey
from security.log import counted, missing, placed
from security.registry import GATES
from security.verdict import Outcome
from security.verify import UNSIGNED, Held, Proof, Trust, verify
from security.waiver import readable
from security.words import day
from tasks.lock import billed
from tasks.store import hashed


def outside(path: Path, evidence: Path, what: str) -> Path:
    """A file from outside the evidence. One that lies beside what it should prove, or is linked from there, is none."""
    for place in (Path(os.path.abspath(path)), path.resolve()):
        if place.is_relative_to(evidence.resolve()) or place.is_relative_to(Path(os.path.abspath(evidence))):
            raise KeyBroken(f"{path.name} lies in the evidence; bring {what} from outside of it")
    return path


def _told(proof: Proof, signed: str) -> dict[str, Any]:
    plan = proof.plan
    return {
        "run": plan.run,
        "target": plan.target,
        "document": plan.document["pipeline_name"],
        "partition": plan.partition,
        "policy_signature": signed,
        "key_isolation": plan.isolation,
        "confined": list(plan.confined),
        "code": plan.code,
        "head": proof.head,
        "published": {stage: [ref.sha256 for ref in refs] for stage, refs in proof.published.items()},
    }


def _waivers(proof: Proof | None, trust: Trust) -> dict[str, str]:
    """Id -> what an approver let go, for whom and why, in words."""
    if proof is None or trust.policy.waivers is None:
        return {}
    names = trust.policy.waivers.approvers
    return {
        each.id: f"{each.claim.rule} {each.claim.place}: {each.claim.message}; by {names[each.approver]} for "
        f"{each.claim.requester}, {each.claim.ticket}, until {day(each.claim.expires)}: {each.claim.reason}"
        for each in readable(proof.plan.waivers, trust.policy.waivers)
    }


def _row(each: Held, waivers: dict[str, str]) -> dict[str, Any]:
    return {
        "stage": each.stage,
        "task": each.task,
        "gate": each.verdict.gate,
        "outcome": each.verdict.outcome.value,
        "because": each.effect.because,
        "basis": each.seen.basis.value,
        "reason": each.verdict.reason,
        "advice": [f"{told.rule} {told.place}: {told.message}" for told in each.verdict.advice],
        "waived": [waivers[id] for id in each.effect.waivers if id in waivers],
    }


def audit(folder: Path, key: Path, policy: str, *, owner: Path | None = None, as_json: bool = False) -> int:
    """Print what held and what did not; 0 if all of it does, 1 if not."""
    evidence = folder if folder.is_dir() else folder.parent
    judged = load.text(outside(load.find(policy, "policies"), evidence, "a policy"))
    public = PublicKey.read(outside(key, evidence, "a key"))
    known = PublicKey.read(outside(owner, evidence, "a key")) if owner else None
    terms = load.policy(judged, policy)
    trust = Trust(public, terms, load.sha256(judged), load.matrix(), GATES, known)
    held: list[Held] = []
    proof: Proof | None = None
    told: dict[str, Any] = {"run": evidence.resolve().name, "holds": False}
    try:
        proof = verify(evidence / "log.jsonl", trust, told=held)
        unsigned = proof.plan.signed == UNSIGNED
        told |= _told(proof, f"none ({UNSIGNED})" if unsigned else "holds" if known else "not checked (no --owner)")
        if proof.plan.run != evidence.resolve().name:
            raise LogBroken(f"this folder holds the log of another run, {proof.plan.run}")
        told["index"], told["elsewhere"] = _index(evidence, public, proof)
        told["bills"] = _bills(evidence, proof)
        told["holds"] = True
    except SluiceError as why:
        told["why"] = str(why)
    waivers = _waivers(proof, trust)
    told["held"] = [_row(each, waivers) for each in held]
    if as_json:
        print(json.dumps(told, indent=1, sort_keys=True))
        return 0 if told["holds"] else 1
    return _show(told)


def _bills(evidence: Path, proof: Proof) -> list[str]:
    """The bills of materials beside the log; `LogBroken` unless they are the ones that were looked at."""
    names = []
    for each in proof.held:
        if bill := each.seen.facts.get("bill"):
            path = evidence / billed(each.stage)
            if not path.is_file() or hashed(path)[0] != bill["sha256"]:
                found = f"SHA-256 {hashed(path)[0][:12]}" if path.is_file() else "none"
                raise LogBroken(f"{path.name}: found {found}; {each.verdict.gate} looked at {bill['sha256'][:12]}")
            names.append(path.name)
    return names


def _index(evidence: Path, key: PublicKey, proof: Proof) -> tuple[str, list[str]]:
    """How the run stands in the index, where that lies above the evidence, and what it says of other runs."""
    path = evidence.resolve().parent / "index.jsonl"
    if not path.is_file():
        return "not seen: runs that vanished cannot be told", []
    plan = proof.plan
    placed(path, key, plan.run, plan.sha256, plan.index, proof.head)
    for look, count in proof.looks:
        counted(path, key, look, count)
    others = [each for each in missing(path, key, path.parent) if proof.plan.run not in each]
    return "opened, ended, and with this log", others


def _show(told: dict[str, Any]) -> int:
    if "document" in told:
        print(f"run {told['run']}: {told['document']} {told['partition']}, target {told['target']}")
        print(
            f"code {told['code'][:16]}; policy's signature: {told['policy_signature']}; "
            f"key isolation: {told['key_isolation']}; index of runs: {told.get('index', 'not reached')}\n"
        )
    for each in told["held"]:
        mark = "✓" if each["outcome"] == Outcome.PASS else "!"
        where = f"{each['stage']}/{each['task']}"
        how = f"{each['outcome']}, {each['because']}, {each['basis']}"
        print(f"{mark} {where:<17} {each['gate']:<26} {how}: {plain(each['reason'])}")
        for sentence in each["advice"]:
            print(f"    advice: {plain(sentence)}")
        for sentence in each["waived"]:
            print(f"    waived: {plain(sentence)}")
    for stage, digests in told.get("published", {}).items():
        print(f"  {stage:<9} published {', '.join(digests)}")
    if told.get("bills"):
        print(f"  bills of materials, as they were looked at: {', '.join(told['bills'])}")
    for sentence in told.get("elsewhere", []):
        print(f"! {plain(sentence)}")
    count = len(told["held"])
    if "why" in told:
        print(f"\n✗ run {told['run']} does not hold; {count} verdicts stood before this:\n  {plain(told['why'])}")
        return 1
    print(f"\n✓ {count} verdicts were made again from their observations and are the same; head {told['head'][:16]}")
    return 0
