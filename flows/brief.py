"""What was asked for: a document, its data contract and a policy, read, and every name in them known.

Order of the checks: the documents' and policies' own strict readers; names of checks, transformations, metrics and
frameworks; checks that no task of their stage carries; the target; the document's digest in the policy.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs import load
from configs.columns import COLUMNS
from configs.contract import contract
from security.errors import PlanError
from security.gates.metrics.names import METRICS, MOST, THRESHOLDS, parsed
from security.registry import GATES
from tasks.groups import BEHAVIOURS

TRANSFORMATIONS = ("deduplicate", "filter_bots")
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


def among(given: Iterable[str], known: Iterable[str], what: str, where: str) -> None:
    """Refuse what is none of these, with the nearest that is."""
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
        among([kind], known, what, where)
        try:
            parsed(name)
        except ValueError:
            raise PlanError(f"{where}: {what} {name!r}: found @{k or 'nothing'}; allowed: @1 to @{MOST}") from None


def _grouped(brief: Brief, document: str) -> None:
    """Refuse groupings that nobody can make: of behaviour, or from a column of groups that the contract has."""
    evaluate, promised = brief.parsed.stages[3], contract(brief.contract)
    of_users = dict.fromkeys(BEHAVIOURS, "behavioural") | dict.fromkeys(promised.groups("user"), "declared")
    among(evaluate.groups, of_users, "grouping", document)
    among(evaluate.item_groups, promised.groups("item"), "grouping of items", document)
    for name, kind in evaluate.groups.items():
        if kind != of_users[name]:
            raise PlanError(f"{document}: groups: {name}: found {kind}; allowed: {of_users[name]}, which it is")


def _names(brief: Brief, document: str, policy: str) -> None:
    ingest, features, train, evaluate, deploy = brief.parsed.stages
    checks = [check for stage in brief.parsed.stages for check in stage.security_checks]
    among(checks, GATES, "check", document)
    among(brief.terms.gates, GATES, "check", policy)
    among(ingest.transformations, TRANSFORMATIONS, "transformation", document)
    among(features.features, COLUMNS, "feature", document)
    among([train.framework], FRAMEWORKS, "framework", document)
    _measured(evaluate.metrics, METRICS, "metric", document)
    _measured(evaluate.thresholds, THRESHOLDS, "threshold", document)
    _grouped(brief, document)
    if missing := [column for column in COLUMNS if column not in features.features]:
        raise PlanError(f"{document}: features: {', '.join(missing)} is needed by the model")
    for stage in brief.parsed.stages:
        if len(set(stage.security_checks)) != len(stage.security_checks):
            raise PlanError(f"{document}: {stage.name}: a check is named twice")
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
