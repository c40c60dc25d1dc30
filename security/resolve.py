"""What a policy leaves open of a gate's limits, from the plan: what is trained on, who signs, which baseline counts.

What is the plan's to say is no policy's: one that says it is refused.
"""

import re
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import Any

from configs.contract import contract
from configs.load import GROUPS
from security.errors import PlanError

POPULARITY = "popularity"
"""How items are grouped whatever a document says."""
ELSEWHERE = "elsewhere"
"""In place of a digest: there are baselines of other numbers of partitions, and so none is established any more."""
_PARTITION = re.compile("[0-9]{4}-[0-9]{2}(-[0-9]{2})?")


def days(partition: str, window: int | None) -> tuple[str, str]:
    """First and last day of the window that ends with a partition (a day or a month), as ISO dates; no first: empty."""
    try:
        if not _PARTITION.fullmatch(partition):
            raise ValueError
        year, month, *day = map(int, partition.split("-"))
        if day:
            last = date(year, month, day[0])
            return (str(last - timedelta(days=window - 1)) if window else "", str(last))
        last = (date(year, month, 28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
        months = year * 12 + month - (window or 0)
        return (str(date(months // 12, months % 12 + 1, 1)) if window else "", str(last))
    except (ValueError, TypeError, OverflowError):
        raise PlanError(f"no partition {partition!r}; allowed: a day (2023-10-27) or a month (2016-10)") from None


def _contract(limits: dict[str, Any], plan: Mapping[str, Any], task: str) -> dict[str, Any]:
    since, until = days(plan["partition"], plan["window"])
    promised = contract(plan["contract"]).limits()
    if taken := sorted(promised.keys() & limits):
        raise PlanError(f"data_contract: limits.{taken[0]}: is the contract's to say, not a policy's")
    told: dict[str, Any] = limits.pop("bots", {})
    filtered = "filter_bots" in _stages(plan)["data_ingestion"]["transformations"]
    promised["bots"] = told if task == "fetch" or (task == "clean" and filtered) else None
    return limits | promised | {"since": since, "until": until, "clean": task != "fetch"}


def _personal(limits: dict[str, Any], plan: Mapping[str, Any], task: str) -> dict[str, Any]:
    if taken := sorted({"roles", "handled"} & limits.keys()):
        raise PlanError(f"PII_detection: limits.{taken[0]}: is not a policy's to say")
    promised, actions = contract(plan["contract"]), limits.get("actions", {})
    for name in sorted(promised.groups()):
        told = actions.get(name, {}) if isinstance(actions, dict) else {}
        if (
            odd := [each for each in told.values() if each not in ("block", "UnsafeKeep")]
            if isinstance(told, dict)
            else []
        ):
            raise PlanError(
                f"PII_detection: limits.actions.{name}: found {odd[0]!r}; a column of groups stays or blocks"
            )
    return limits | {"roles": promised.roles(), "handled": task == "prepare"}


def _inputs(limits: dict[str, Any], plan: Mapping[str, Any], task: str) -> dict[str, Any]:
    return limits | {"producer": plan["signer"], "named": plan["inputs"]}


def _dependencies(limits: dict[str, Any], plan: Mapping[str, Any], task: str) -> dict[str, Any]:
    return _with("dependency_scanning", limits, {"sealed": plan["locks"]})


def _drift(limits: dict[str, Any], plan: Mapping[str, Any], task: str) -> dict[str, Any]:
    if taken := sorted({"baseline", "since", "until", "beside"} & limits.keys()):
        raise PlanError(f"data_drift_monitoring: limits.{taken[0]}: is the plan's to say, not a policy's")
    if not limits.get("key"):
        raise PlanError("data_drift_monitoring: limits.key: none; allowed: env:NAME, file:PATH, UnsafeLocal")
    window, told = plan["window"], limits.get("partitions", 1)
    if type(told) is not int or told < 1:
        raise PlanError(f"data_drift_monitoring: limits.partitions: found {told!r}; allowed: 1 or more")
    told = min(told, window) if window else told
    since, until = days(plan["partition"], told)
    promised, by = contract(plan["contract"]), limits.get("by", {})
    others, kept = promised.others(), dict.fromkeys(promised.groups(), "category")
    beside = {name: "category" if role == "agent" else "id" for name, role in others.items()} | kept
    held = plan["profiles"].get(task, "")
    if held == ELSEWHERE:
        limits, held = limits | {"first": "fail"}, ""
    if task != "fetch":  # the others have only rows as they were fetched
        beside, by = kept, {name: told for name, told in by.items() if name not in others}
    return limits | {
        "baseline": held,
        "partitions": told,
        "since": since,
        "until": until,
        "beside": beside,
        "by": by,
    }


def _with(gate: str, limits: dict[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The limits, and what the plan says of them, which no policy may."""
    if taken := sorted(own.keys() & limits):
        raise PlanError(f"{gate}: limits.{taken[0]}: is the plan's to say, not a policy's")
    return {**limits, **own}


def _signature(limits: dict[str, Any], plan: Mapping[str, Any], task: str) -> dict[str, Any]:
    return limits | {"signer": plan["signer"], "name": plan["document"]["pipeline_name"]}


def _versions(limits: dict[str, Any], plan: Mapping[str, Any], task: str) -> dict[str, Any]:
    own = {name: plan[name] for name in ("run", "code", "lock", "signer")} | {"own": "train" in plan["matrix"]}
    own |= {"name": plan["document"]["pipeline_name"], "at": "fit" if task == "fit" else "serve"}
    return _with("model_versioning", limits, own)


def _registry(limits: dict[str, Any], plan: Mapping[str, Any], task: str) -> dict[str, Any]:
    own = {"name": plan["document"]["pipeline_name"], "signer": plan["signer"]}
    return _with("registry_authorization", limits, own)


def _approval(limits: dict[str, Any], plan: Mapping[str, Any], task: str) -> dict[str, Any]:
    own = {"name": plan["document"]["pipeline_name"], "target": plan["target"]}
    known = limits.get("approvers", {})
    if isinstance(known, dict) and plan["signer"] in known:
        raise PlanError("approval: limits.approvers: the pipeline's own key approves nothing")
    return _with("approval", limits, own)


def _manifests(limits: dict[str, Any], plan: Mapping[str, Any], task: str) -> dict[str, Any]:
    return _with("manifests", limits, {"placed": task != "render"})


def _deployer(limits: dict[str, Any], plan: Mapping[str, Any], task: str) -> dict[str, Any]:
    own = {"name": plan["document"]["pipeline_name"], "target": plan["target"]}
    return _with("deployment_authorization", limits, own)


def _image(limits: dict[str, Any], plan: Mapping[str, Any], task: str) -> dict[str, Any]:
    """Who signs the image that a run builds is who signs its plan, where a policy names nobody."""
    return ({"signers": [plan["signer"]]} if limits.get("base") else {}) | limits


def _thresholds(limits: dict[str, Any], plan: Mapping[str, Any], task: str) -> dict[str, Any]:
    return limits | {"thresholds": _stages(plan)["model_evaluation"]["thresholds"]}


def _groups(limits: dict[str, Any], plan: Mapping[str, Any], task: str) -> dict[str, Any]:
    """A policy asks for groupings; the document has others beside them, and takes none away."""
    asked = limits.get("groupings", {})
    if not isinstance(asked, dict) or not asked:
        raise PlanError("fairness_metrics: limits.groupings: none; allowed: what users are grouped by, and its kind")
    there = _stages(plan)["model_evaluation"].get("groups", GROUPS)
    for name in sorted(asked.keys() & there):
        if asked[name] != there[name]:
            raise PlanError(f"fairness_metrics: limits.groupings.{name}: {asked[name]}; the document has {there[name]}")
    if lost := sorted(asked.keys() - there):
        allowed = f"{', '.join(sorted(asked))}, and others beside them"
        found = f"model_evaluation: groups: found {', '.join(sorted(there))}; the policy asks for {allowed}"
        raise PlanError(f"fairness_metrics: limits.groupings.{lost[0]}: {found}")
    return limits | {"groupings": there}


def _item_groups(limits: dict[str, Any], plan: Mapping[str, Any], task: str) -> dict[str, Any]:
    """The bounds of each grouping of items: those that a policy names, and for the document's others its `declared`."""
    asked, others = limits.get("groupings", {}), limits.pop("declared", None)
    there = _stages(plan)["model_evaluation"].get("item_groups", {})
    if not isinstance(asked, dict) or (others is not None and not isinstance(others, dict)):
        raise PlanError("bias_detection: limits.groupings, limits.declared: allowed: bounds by name, and bounds")
    if lost := sorted(asked.keys() - there - {POPULARITY}):
        found = f"model_evaluation: item_groups: found {', '.join(sorted(there)) or 'none'}"
        raise PlanError(f"bias_detection: limits.groupings.{lost[0]}: {found}; the policy asks for it")
    if (mine := sorted(there.keys() - asked)) and others is None:
        raise PlanError(f"bias_detection: limits.declared: none; the document groups items by {', '.join(mine)}")
    return limits | {"groupings": asked | {name: {"kind": "declared", **(others or {})} for name in mine}}


def _stages(plan: Mapping[str, Any]) -> dict[str, Any]:
    return {stage["name"]: stage for stage in plan["document"]["stages"]}


RESOLVE: dict[str, Callable[[dict[str, Any], Mapping[str, Any], str], dict[str, Any]]] = {
    "bias_detection": _item_groups,
    "PII_detection": _personal,
    "approval": _approval,
    "approved_inputs": _inputs,
    "data_contract": _contract,
    "data_drift_monitoring": _drift,
    "dependency_scanning": _dependencies,
    "deployment_authorization": _deployer,
    "fairness_metrics": _groups,
    "image_vulnerability_scanning": _image,
    "model_signature": _signature,
    "model_versioning": _versions,
    "metric_thresholds": _thresholds,
    "network_policy_enforcement": _manifests,
    "workload_hardening": _manifests,
    "registry_authorization": _registry,
}
"""Gates whose limits are completed from the plan: contract, columns, window, partitions, baselines, locks, signer,
thresholds, groupings, target."""
