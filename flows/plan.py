"""Document and policy to a sealed plan. Whatever is unknown, unbuilt, unpinned or unguarded is refused here.

Order of the checks: the documents' and policies' own strict readers; names of checks, transformations, metrics and
frameworks; gates that are not built, all of them in one sentence; checks that no task of their stage carries; the
target; the document's digest in the policy; the code; the policy's signature; then the terms of every gate.
"""

import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs import load
from configs.contract import contract
from flows.code import beside, code, lock
from flows.evaluation import evaluation
from security.errors import KeyBroken, LogBroken, PlanError
from security.gates.metrics.names import METRICS, MOST, THRESHOLDS, parsed
from security.keys import ISOLATED, PublicKey, UnsafeLocalKeys, seal, unseal
from security.policy import Plan, terms
from security.registry import GATES, PLANNED
from security.resolve import ELSEWHERE, days
from security.verify import SIGNED, UNSIGNED, Trust
from tasks import baseline, chains, signer, tree, waivers
from tasks.groups import BEHAVIOURS
from tasks.home import Home
from tasks.store import conditional, current
from tasks.trainer.ask import TRAINER

TRANSFORMATIONS = ("deduplicate", "filter_bots")
COLUMNS = ("user_id", "item_id", "interaction_type", "timestamp")
FRAMEWORKS = ("TensorFlow",)


@dataclass(frozen=True)
class Brief:
    """What was asked for, read and checked: a document, its data contract, a policy, and their digests."""

    document: dict[str, Any]
    parsed: load.Document
    policy: dict[str, Any]
    terms: load.Policy
    document_sha256: str
    policy_sha256: str
    contract: dict[str, Any]


def read(document: str, policy: str, *, by_path: bool = True) -> Brief:
    """Read a document and a policy by name, or by path, and check every name in them."""
    paths = load.find(document, "pipelines", paths=by_path), load.find(policy, "policies", paths=by_path)
    told, judged = load.text(paths[0]), load.text(paths[1])
    parsed, terms_ = load.document(told, paths[0].name), load.policy(judged, paths[1].name)
    brief = Brief(told, parsed, judged, terms_, load.sha256(told), load.sha256(judged), _contract(parsed, paths[0]))
    _names(brief, paths[0].name, paths[1].name)
    return brief


def _contract(parsed: load.Document, path: Path) -> dict[str, Any]:
    """The data contract that a document names: shipped, or beside it."""
    found = load.find(parsed.stages[0].contract, "contracts", paths=False, beside=path.parent)
    promised: dict[str, Any] = load.text(found)
    contract(promised, found.name)
    return promised


def _known(given: Iterable[str], known: Iterable[str], what: str, where: str) -> None:
    known = tuple(known)
    for name in given:
        if name not in known:
            raise PlanError(
                f"{where}: unknown {what} {name!r}{load.nearest(name, known)}; there are {', '.join(known)}"
            )


def _measured(given: Iterable[str], known: Iterable[str], what: str, where: str) -> None:
    """Refuse what is no metric of these with a k, as `precision@10`."""
    for name in given:
        kind, _, k = name.partition("@")
        _known([kind], known, what, where)
        try:
            parsed(name)
        except ValueError:
            raise PlanError(f"{where}: {what} {name!r}: found @{k or 'nothing'}; allowed: @1 to @{MOST}") from None


def _names(brief: Brief, document: str, policy: str) -> None:
    ingest, features, train, evaluate, deploy = brief.parsed.stages
    checks = [check for stage in brief.parsed.stages for check in stage.security_checks]
    known = (*GATES, *PLANNED)
    _known(checks, known, "check", document)
    _known(brief.terms.gates, known, "check", policy)
    _known(ingest.transformations, TRANSFORMATIONS, "transformation", document)
    _known(features.features, COLUMNS, "feature", document)
    _known([train.framework], FRAMEWORKS, "framework", document)
    _measured(evaluate.metrics, METRICS, "metric", document)
    _measured(evaluate.thresholds, THRESHOLDS, "threshold", document)
    _known(evaluate.groups, BEHAVIOURS, "grouping", document)
    if missing := [column for column in COLUMNS if column not in features.features]:
        raise PlanError(f"{document}: features: {', '.join(missing)} is needed by the model")
    for stage in brief.parsed.stages:
        if len(set(stage.security_checks)) != len(stage.security_checks):
            raise PlanError(f"{document}: {stage.name}: a check is named twice")
    if unbuilt := sorted({*checks, *brief.terms.gates} - set(GATES)):
        raise PlanError(
            f"{document} under {policy}: refused, {len(unbuilt)} gates are not built yet: {', '.join(unbuilt)}"
        )
    for stage in brief.parsed.stages:
        tasks = load.matrix()[load.SHORT[stage.name]].values()
        carried = {gate for sides in tasks for gate in (*sides["before"], *sides["after"])}
        if lost := sorted(set(stage.security_checks) - carried):
            raise PlanError(
                f"{document}: {stage.name}: no task of this stage carries {', '.join(lost)}; "
                f"there are {', '.join(sorted(carried))}"
            )
    if silent := sorted(set(checks) - set(brief.terms.gates)):
        raise PlanError(f"{policy}: says nothing about {', '.join(silent)}, which {document} asks for")
    if load.TARGETS.index(brief.terms.target) > load.TARGETS.index(deploy.target_environment):
        raise PlanError(
            f"{policy}: target {brief.terms.target}; {document} goes no further than {deploy.target_environment}"
        )
    name = brief.parsed.pipeline_name
    if brief.terms.documents.get(name) != brief.document_sha256:
        raise PlanError(
            f"{policy}: does not pin {document} as it is now; if it is meant to, write under documents: "
            f"{name}: {brief.document_sha256}"
        )
    named, sha = ingest.contract, load.sha256(brief.contract)
    if brief.terms.contracts.get(named) != sha:
        raise PlanError(
            f"{policy}: does not pin the contract {named} as it is now; if it is meant to, write under contracts: "
            f"{named}: {sha}"
        )


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
    return Trust(keys.public("producer"), brief.terms, brief.policy_sha256, load.matrix(), GATES)


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
    _known(stages, matrix, "stage", "stages")
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
        "waivers": waivers.there(home) if brief.terms.waivers else (),
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
        target=brief.terms.target,
        baseline=current(home, "serving")[1].get("model", "establish"),
        terms=terms(brief.terms, sealed, chosen, GATES),
        isolation=level,
        confined=apart.layers,
        loose=apart.why,
        source=tree.source(tree.PIPELINE),
        registry=chains.heads(home, brief.parsed.pipeline_name),
        index=index,
    )
