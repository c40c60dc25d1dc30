"""The sealed plan, the terms on which each gate judges, and what follows from a verdict.

`terms` is used twice: when the plan is made, and by `verify`, which makes the terms again from the policy that its
caller holds and compares. So a plan that was weakened after the fact names other terms than its policy gives.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from configs.load import Policy
from configs.load import Terms as Given
from security.errors import PlanError
from security.gate import CAUSES, Gate
from security.resolve import RESOLVE
from security.verdict import Basis, Effect, Frozen, Outcome, Verdict, digest
from security.walk import Matrix


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
    evaluation: dict[str, dict[str, Any]] = {}
    """What a model is measured by: `split`, the shares that are held out, and `code`, digests of the gates that measure
    and of what makes the lists. Thresholds are the document's, the data that of `inputs`."""
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
    """Name -> digest of the locks beside it that the policy names: of what may be installed too, of what serves."""
    index: str

    @property
    def sha256(self) -> str:
        """Digest of the plan."""
        return digest(self.model_dump(mode="json"))


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
    if policy.target == "kubernetes_prod" and (found := sorted(set(unsafe(limits)))):
        raise PlanError(f"{gate.name}: limits: {found[0]} is for no target {policy.target}")
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


def unsafe(value: Any) -> Iterator[str]:
    """Insecure choices, by their names: keys that are set, and values."""
    if isinstance(value, str):
        yield from [value] if value.startswith("Unsafe") else []
    elif isinstance(value, Mapping):
        yield from (key for key, each in value.items() if key.startswith("Unsafe") and each)
        for each in value.values():
            yield from unsafe(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from unsafe(each)


def effect(verdict: Verdict, terms: Terms) -> Effect:
    """What follows. A finding always stops; inconclusive stops unless its cause is one that the policy observes: of
    several, joined by `+`, every one."""
    if verdict.outcome is Outcome.PASS:
        return Effect(action="proceed", because="enforced")
    if verdict.outcome is Outcome.INCONCLUSIVE and {*verdict.cause.split("+")} <= {*terms.observe}:
        return Effect(action="proceed", because="observed")
    return Effect(action="stop", because="enforced")
