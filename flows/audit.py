"""`sluice verify`: one screen of what held and what did not, from a folder of evidence and what the auditor brings."""

import json
from pathlib import Path
from typing import Any

from configs import load
from security.errors import KeyBroken, LogBroken, SluiceError
from security.keys import PublicKey
from security.log import missing
from security.registry import GATES
from security.verdict import Outcome
from security.verify import Proof, Trust, verify


def given(path: Path, evidence: Path) -> PublicKey:
    """A key from outside the evidence. One that lies beside what it should prove proves nothing."""
    if path.resolve().is_relative_to(evidence.resolve()):
        raise KeyBroken(f"{path.name} lies in the evidence; bring a key from outside of it")
    return PublicKey.read(path)


def _told(proof: Proof) -> dict[str, Any]:
    plan = proof.plan
    held = [
        {
            "stage": each.stage,
            "task": each.task,
            "gate": each.verdict.gate,
            "outcome": each.verdict.outcome.value,
            "because": each.effect.because,
            "basis": each.seen.basis.value,
            "reason": each.verdict.reason,
        }
        for each in proof.held
    ]
    return {
        "run": plan.run,
        "holds": True,
        "target": plan.target,
        "document": plan.document["pipeline_name"],
        "partition": plan.partition,
        "policy_signed": not plan.signed.startswith("Unsafe"),
        "key_isolation": plan.isolation,
        "code": plan.code,
        "head": proof.head,
        "held": held,
        "published": {stage: [ref.sha256 for ref in refs] for stage, refs in proof.published.items()},
    }


def audit(folder: Path, key: Path, policy: str, *, owner: Path | None = None, as_json: bool = False) -> int:
    """Print what holds; 0 if all of it does, 1 if not."""
    evidence = folder if folder.is_dir() else folder.parent
    judged = load.text(load.find(policy, "policies"))
    terms = load.policy(judged, policy)
    public = given(key, evidence)
    trust = Trust(public, terms, load.sha256(judged), load.matrix(), GATES, given(owner, evidence) if owner else None)
    told: dict[str, Any]
    try:
        proof = verify(evidence / "log.jsonl", trust)
        told = _told(proof)
        told["index"] = _index(evidence, public, told["head"])
        told["holds"] = not told["index"]
    except SluiceError as why:
        told = {"run": evidence.name, "holds": False, "why": str(why)}
    if as_json:
        print(json.dumps(told, indent=1, sort_keys=True))
        return 0 if told["holds"] else 1
    return _show(told)


def _index(evidence: Path, key: PublicKey, head: str) -> list[str]:
    """What the index of runs, where it lies above the evidence, says against this run or others."""
    path = evidence.parent / "index.jsonl"
    if not path.is_file():
        return []
    try:
        return missing(path, key, evidence.parent)
    except LogBroken as why:
        return [f"the index of runs: {why}"]


def _show(told: dict[str, Any]) -> int:
    if "why" in told:
        print(f"✗ run {told['run']} does not hold\n  {told['why']}")
        return 1
    print(
        f"run {told['run']}: {told['document']} {told['partition']}, target {told['target']}, code {told['code'][:12]}"
    )
    signed = "signed by its owner" if told["policy_signed"] else "unsigned (UnsafeUnsignedPolicy)"
    print(f"policy {signed}; key isolation: {told['key_isolation']}\n")
    for each in told["held"]:
        mark = "✓" if each["outcome"] == Outcome.PASS else "!"
        where = f"{each['stage']}/{each['task']}"
        how = f"{each['outcome']}, {each['because']}, {each['basis']}"
        print(f"{mark} {where:<17} {each['gate']:<21} {how}: {each['reason']}")
    print()
    for stage, digests in told["published"].items():
        print(f"  {stage:<9} published {', '.join(digests)}")
    for sentence in told["index"]:
        print(f"✗ {sentence}")
    count = len(told["held"])
    print(
        f"\n{'✓' if told['holds'] else '✗'} {count} verdicts were made again from their observations and are the same; "
        f"head {told['head'][:16]}"
    )
    return 0 if told["holds"] else 1
