"""The sealed plan, the terms on which each gate judges, and what follows from a verdict.

`terms` is used twice: when the plan is made, and by `verify`, which makes the terms again from the policy that its
caller holds and compares. So a plan that was weakened after the fact names other terms than its policy gives.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, timedelta
from typing import Any

from pydantic import ValidationError

from configs.contract import contract
from configs.load import Policy
from configs.load import Terms as Given
from security.errors import PlanError
from security.gate import CAUSES, Gate
from security.verdict import Basis, Effect, Frozen, Outcome, Verdict, digest

Matrix = Mapping[str, Mapping[str, Mapping[str, list[str]]]]
"""Stage -> task -> `before` and `after` -> gates."""

ELSEWHERE = "elsewhere"
"""In place of a digest: there are baselines of other numbers of partitions, and so none is established any more."""
_PARTITION = re.compile("[0-9]{4}-[0-9]{2}(-[0-9]{2})?")


class Terms(Frozen):
    """How one gate judges one task's subjects, resolved.

    `accepts`: rule -> lowest basis; `observe`: named causes; `enforce`: advisory rules whose breach stops; `waive`:
    rules of which a person may let a finding go.
    """

    limits: dict[str, Any]
    accepts: dict[str, Basis]
    observe: tuple[str, ...]
    enforce: tuple[str, ...] = ()
    waive: tuple[str, ...] = ()


class Plan(Frozen):
    """Everything that decides a run, sealed before any data is read. Holds references to keys, never a key."""

    run: str
    retries: str = ""
    """The run that this one tries again."""
    predecessor: dict[str, str] = {}
    """The run whose published outputs this one starts from, and the head of its log; empty for a run of its own."""
    started: float
    document: dict[str, Any]
    document_sha256: str
    policy: dict[str, Any]
    policy_sha256: str
    signed: str
    """The owner's envelope over the policy's digest, or `UnsafeUnsignedPolicy`."""
    target: str
    partition: str
    window: int | None
    """How many partitions up to this one; None means all."""
    contract: dict[str, Any]
    """The data contract that the rows keep, whole."""
    waivers: tuple[str, ...] = ()
    """Envelopes of the waivers that there were."""
    inputs: dict[str, str] = {}
    """Partition -> the version of it that the store listed when the plan was sealed; empty where it listed none."""
    baseline: str
    """Digest of the approved model that this run is compared with, or `establish`."""
    profiles: dict[str, str] = {}
    """Task -> digest of the profile that its rows are held against, or `ELSEWHERE`; without it where there is none."""
    matrix: dict[str, dict[str, dict[str, list[str]]]]
    terms: dict[str, dict[str, dict[str, Terms]]]
    """Stage -> task -> gate -> its terms."""
    signer: str
    isolation: str
    """`none`; `training` where the code that trains was seen to reach neither key nor network; `user` where moreover
    the keys are another user's."""
    confined: tuple[str, ...] = ()
    """What holds the process that trains."""
    loose: str = ""
    """Why nothing holds it."""
    code: str
    source: str
    """Digest of the commit, or signed list, that says which files were signed; empty where nothing does."""
    registry: tuple[str, ...] = ()
    """Digests of the newest entries of the registry: of the model's chain, and of the revocations, where there are
    any."""
    lock: str
    locks: dict[str, str] = {}
    """Name -> digest of the locks beside it that the policy names: what they pin may be installed too."""
    index: str

    @property
    def sha256(self) -> str:
        """Digest of the plan."""
        return digest(self.model_dump(mode="json"))


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
    return limits | {"roles": contract(plan["contract"]).roles(), "handled": task == "prepare"}


def _inputs(limits: dict[str, Any], plan: Mapping[str, Any], task: str) -> dict[str, Any]:
    return limits | {"producer": plan["signer"], "named": plan["inputs"]}


def _dependencies(limits: dict[str, Any], plan: Mapping[str, Any], task: str) -> dict[str, Any]:
    if "sealed" in limits:
        raise PlanError("dependency_scanning: limits.sealed: is the plan's to say, not a policy's")
    return limits | {"sealed": plan["locks"]}


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
    others, by = contract(plan["contract"]).others(), limits.get("by", {})
    beside = {name: "category" if role == "agent" else "id" for name, role in others.items()}
    held = plan["profiles"].get(task, "")
    if held == ELSEWHERE:
        limits, held = limits | {"first": "fail"}, ""
    if task != "fetch":  # only rows as they were fetched have them
        beside, by = {}, {name: told for name, told in by.items() if name not in others}
    return limits | {
        "baseline": held,
        "partitions": told,
        "since": since,
        "until": until,
        "beside": beside,
        "by": by,
    }


def _signature(limits: dict[str, Any], plan: Mapping[str, Any], task: str) -> dict[str, Any]:
    return limits | {"signer": plan["signer"], "name": plan["document"]["pipeline_name"]}


def _versions(limits: dict[str, Any], plan: Mapping[str, Any], task: str) -> dict[str, Any]:
    own = {name: plan[name] for name in ("run", "code", "lock", "signer")} | {"own": "train" in plan["matrix"]}
    own |= {"name": plan["document"]["pipeline_name"], "at": "fit" if task == "fit" else "serve"}
    if taken := sorted(own.keys() & limits):
        raise PlanError(f"model_versioning: limits.{taken[0]}: is the plan's to say, not a policy's")
    return limits | own


def _registry(limits: dict[str, Any], plan: Mapping[str, Any], task: str) -> dict[str, Any]:
    own = {"name": plan["document"]["pipeline_name"], "signer": plan["signer"]}
    if taken := sorted(own.keys() & limits):
        raise PlanError(f"registry_authorization: limits.{taken[0]}: is the plan's to say, not a policy's")
    return limits | own


def _thresholds(limits: dict[str, Any], plan: Mapping[str, Any], task: str) -> dict[str, Any]:
    return limits | {"thresholds": _stages(plan)["model_evaluation"]["thresholds"]}


def _stages(plan: Mapping[str, Any]) -> dict[str, Any]:
    return {stage["name"]: stage for stage in plan["document"]["stages"]}


RESOLVE: dict[str, Callable[[dict[str, Any], Mapping[str, Any], str], dict[str, Any]]] = {
    "PII_detection": _personal,
    "approved_inputs": _inputs,
    "data_contract": _contract,
    "data_drift_monitoring": _drift,
    "dependency_scanning": _dependencies,
    "model_signature": _signature,
    "model_versioning": _versions,
    "metric_thresholds": _thresholds,
    "registry_authorization": _registry,
}
"""Gates whose limits are completed from the plan: contract, columns, window, partitions, baselines, locks, signer,
thresholds."""


def terms(
    policy: Policy, plan: Mapping[str, Any], matrix: Matrix, gates: Mapping[str, Gate[Any]]
) -> dict[str, dict[str, dict[str, Terms]]]:
    """The terms of every gate of every task. `plan` needs all that `RESOLVE` asks.

    Raises `PlanError` for a task without a gate, a gate without terms, and terms that the gate does not have.
    """
    made: dict[str, dict[str, dict[str, Terms]]] = {}
    for part, persons in (("waivers", policy.waivers), ("models", policy.models)):
        if persons and plan["signer"] in persons.approvers:
            raise PlanError(f"policy {policy.name}: {part}: the pipeline's own key approves nothing")
    for stage, tasks in matrix.items():
        for task, sides in tasks.items():
            names = [*sides["before"], *sides["after"]]
            if not names:
                raise PlanError(f"{stage}/{task} has no gate")
            for name in names:
                gate = gates.get(name)
                given = policy.gates.get(name)
                if gate is None or given is None:
                    missing = "is not built" if gate is None else f"has no terms in policy {policy.name}"
                    raise PlanError(f"{stage}/{task}: gate {name} {missing}")
                limits = RESOLVE[name](dict(given.limits), plan, task) if name in RESOLVE else dict(given.limits)
                made.setdefault(stage, {}).setdefault(task, {})[name] = _checked(gate, limits, given, policy)
    if not made:
        raise PlanError("the plan has no stage")
    return made


def _checked(gate: Gate[Any], limits: dict[str, Any], given: Given, policy: Policy) -> Terms:
    accepts, observe, enforce, waive = given.accepts, given.observe, given.enforce, given.waive
    if policy.target == "kubernetes_prod" and (unsafe := sorted(set(_unsafe(limits)))):
        raise PlanError(f"{gate.name}: limits: {unsafe[0]} is for no target {policy.target}")
    try:
        gate.limits.model_validate(limits)
        floors = {rule: Basis(basis) for rule, basis in accepts.items()}
    except ValidationError as why:
        first = why.errors()[0]
        raise PlanError(f"{gate.name}: limits.{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except ValueError as why:
        raise PlanError(f"{gate.name}: accepts: {why}") from None
    if unknown := sorted(set(accepts) - set(gate.rules)):
        raise PlanError(f"{gate.name}: accepts: no rule {', '.join(unknown)}; there are {', '.join(gate.rules)}")
    if unknown := sorted(set(observe) - (gate.causes - CAUSES)):
        there = ", ".join(sorted(gate.causes)) or "none"
        raise PlanError(f"{gate.name}: observe: {', '.join(unknown)} cannot be observed; its causes: {there}")
    advisory = sorted(rule.id for rule in gate.rules.values() if rule.advisory)
    if unknown := sorted(set(enforce) - set(advisory)):
        there = ", ".join(advisory) or "none"
        raise PlanError(f"{gate.name}: enforce: {', '.join(unknown)} is not an advisory rule; there are: {there}")
    can = sorted(rule.id for rule in gate.rules.values() if rule.waivable)
    if unknown := sorted(set(waive) - set(can)):
        raise PlanError(f"{gate.name}: waive: {', '.join(unknown)} cannot be; what can: {', '.join(can) or 'none'}")
    if waive and policy.waivers is None:
        raise PlanError(f"{gate.name}: waive: policy {policy.name} names nobody who may (`waivers`)")
    told = {"observe": tuple(observe), "enforce": tuple(enforce), "waive": tuple(waive)}
    return Terms(limits=limits, accepts=floors, **told)


def _unsafe(value: Any) -> Iterator[str]:
    """Insecure choices, by their names: keys that are set, and values."""
    if isinstance(value, str):
        yield from [value] if value.startswith("Unsafe") else []
    elif isinstance(value, Mapping):
        yield from (key for key, each in value.items() if key.startswith("Unsafe") and each)
        for each in value.values():
            yield from _unsafe(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _unsafe(each)


def effect(verdict: Verdict, terms: Terms) -> Effect:
    """What follows. A finding always stops; inconclusive stops unless its cause is one that the policy observes: of
    several, joined by `+`, every one."""
    if verdict.outcome is Outcome.PASS:
        return Effect(action="proceed", because="enforced")
    if verdict.outcome is Outcome.INCONCLUSIVE and {*verdict.cause.split("+")} <= {*terms.observe}:
        return Effect(action="proceed", because="observed")
    return Effect(action="stop", because="enforced")
