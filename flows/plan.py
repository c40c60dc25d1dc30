"""Document and policy to a sealed plan. Whatever is unknown, unbuilt, unpinned or unguarded is refused here.

Order of the checks: those of `flows.brief`; then the code, the policy's signature, and the terms of every gate.
"""

import time
import uuid
from pathlib import Path

from configs import load
from configs.load import Policy
from flows.brief import Brief, among
from flows.code import beside, code, lock
from flows.evaluation import evaluation
from security.errors import KeyBroken, LogBroken, PlanError
from security.keys import ISOLATED, PublicKey, UnsafeLocalKeys, seal, unseal
from security.policy import Plan, terms
from security.registry import GATES
from security.resolve import ELSEWHERE, days
from security.verify import SIGNED, UNSIGNED, Trust
from tasks import baseline, chains, envelopes, signer, tree
from tasks.home import Home
from tasks.store import conditional, current, pointer
from tasks.trainer.ask import TRAINER


def signature(brief: Brief, home: Home) -> str:
    """The owner's envelope over the policy, or `UnsafeUnsignedPolicy` where the policy itself allows that."""
    path = home.root / "trust" / "signed" / f"{brief.policy_sha256}.json"
    owner = home.root / "trust" / "owner.pub"
    if path.is_file() and owner.is_file():
        try:
            claim = unseal(path.read_bytes(), PublicKey.read(owner))
        except (LogBroken, KeyBroken) as why:
            raise PlanError(f"policy {brief.terms.name}: its signature does not hold: {why}") from None
        if {"name": brief.terms.name, "digest": {"sha256": brief.policy_sha256}} not in claim["subject"]:
            raise PlanError(f"policy {brief.terms.name}: the signature found is for another policy")
        return path.read_text()
    if brief.terms.unsigned == UNSIGNED and brief.terms.target == "local":
        return UNSIGNED
    raise PlanError(
        f"policy {brief.terms.name} is not signed by its owner: sign it with `sluice sign {brief.terms.name}`"
    )


def sign(policy: str, home: Home) -> Path:
    """Sign a policy, and through its pins its documents, with the owner's key; where the signature lies."""
    judged = load.text(load.find(policy, "policies"))
    terms_, sha = load.policy(judged, policy), load.sha256(judged)
    keys = UnsafeLocalKeys(home.root / "keys")
    (home.folder("trust") / "owner.pub").write_bytes(keys.public("owner").pem)
    path = home.folder("trust", "signed") / f"{sha}.json"
    path.write_bytes(seal(SIGNED, {terms_.name: sha}, {"documents": terms_.documents}, keys.signer("owner")))
    return path


def trust(brief: Brief, home: Home) -> Trust:
    """What this process verifies with. The public keys are also laid out for anyone else."""
    keys = signer.keys(home)
    for role in ("producer", "verifier"):
        path, pem = home.folder("trust") / f"{role}.pub", keys.public(role).pem
        if not path.exists() or path.read_bytes() != pem:
            path.write_bytes(pem)
    key, whose = keys.public("producer"), owner(brief.terms, home)
    return Trust(key, brief.terms, brief.policy_sha256, load.matrix(), GATES, whose)


def owner(judged: Policy, home: Home) -> PublicKey | None:
    """The owner's key that lies in a home, where a policy has to be signed by it; None where there is none."""
    path = home.root / "trust" / "owner.pub"
    return PublicKey.read(path) if judged.unsigned != UNSIGNED and path.is_file() else None


def _profiles(brief: Brief, home: Home, partition: str, window: int | None) -> dict[str, str]:
    """Task -> digest of what its rows are held against, as the policy says which."""
    if not (told := brief.terms.gates.get(baseline.NAME)):
        return {}
    length, key = told.limits.get("partitions", 1), signer.keys(home).public("producer")
    if type(length) is not int:
        return {}  # of which the terms will say what is wrong
    known, span = baseline.entries(home, key, brief.parsed.pipeline_name), min(length, window or length)
    establishes = told.limits.get("first", "fail") == "establish"
    against, only = told.limits.get("against", "pinned"), "" if establishes else brief.policy_sha256
    found = baseline.named(known, partition, span, against=against, only=only)
    others = dict.fromkeys(sorted(baseline.elsewhere(known, span)), ELSEWHERE) if establishes else {}
    return others | {task: entry.profiles[task] for task, entry in found.items()}


def plan(
    brief: Brief,
    home: Home,
    index: str,
    *,
    partition: str,
    window: int | None,
    stages: list[str],
    predecessor: dict[str, str] | None = None,
    retries: str = "",
    run: str = "",
    inputs: dict[str, str] | None = None,
) -> Plan:
    """Seal: nothing that decides this run is read after this. `inputs` is what may be trained on, by version."""
    matrix = load.matrix()
    among(stages, matrix, "stage", "stages")
    order = [stage for stage in matrix if stage in stages]
    if not order:
        raise PlanError("stages: none is left to run")
    first = list(matrix).index(order[0])
    if order != list(matrix)[first : first + len(order)] or (first > 0) != bool(predecessor):
        raise PlanError(
            f"stages {', '.join(order)}: a run takes stages in a row, and begins where its predecessor ended"
        )
    if window is not None and window < 1:
        raise PlanError(f"window {window}: allowed: 1 or more partitions, or none given for all")
    if brief.terms.code != "UnsafeAnyCode" and code() not in brief.terms.code:
        raise PlanError(
            f"policy {brief.terms.name} does not accept this code; if it is meant to, add to code: {code()}"
        )
    if brief.terms.store == "conditional" and not conditional(home):
        raise PlanError(f"policy {brief.terms.name} wants conditional writes, and this home is an UnsafeStore")
    days(partition, window)
    own = signer.keys(home).public("producer")
    apart = TRAINER.isolation(signer.secret(home), soon=bool({"train", "evaluate"} & {*order}))
    level = ISOLATED if apart.level != "none" and signer.isolated() else apart.level
    if brief.terms.keys == "isolated" and level != ISOLATED:
        raise PlanError(
            f"policy {brief.terms.name} wants isolated keys, of another user ({signer.LISTENS}), and a training that "
            f"reaches neither them nor a network; found key_isolation: {level}{f' ({apart.why})' if apart.why else ''}"
        )
    started = round(time.time(), 3)
    chosen = {stage: matrix[stage] for stage in order}
    sealed = {
        "run": run or f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(started))}-{uuid.uuid4().hex[:6]}",
        "document": brief.document,
        "partition": partition,
        "window": window,
        "contract": brief.contract,
        "inputs": inputs or {},
        "profiles": _profiles(brief, home, partition, window),
        "signer": own.id,
        "target": brief.terms.target,
        "waivers": envelopes.there(home, "waivers") if brief.terms.waivers else (),
        "matrix": chosen,
        "evaluation": evaluation(matrix),
        "code": code(),
        "lock": lock(),
        "locks": beside(brief.terms.gates),
    }
    return Plan(
        **sealed,
        retries=retries,
        predecessor=predecessor or {},
        started=started,
        document_sha256=brief.document_sha256,
        policy=brief.policy,
        policy_sha256=brief.policy_sha256,
        signed=signature(brief, home),
        baseline=current(home, pointer(brief.terms.target, brief.parsed.pipeline_name))[1].get("model", "establish"),
        terms=terms(brief.terms, sealed, chosen, GATES),
        isolation=level,
        confined=apart.layers,
        loose=apart.why,
        source=tree.source(tree.PIPELINE),
        registry=chains.heads(home, brief.parsed.pipeline_name),
        index=index,
    )
