"""`sluice check`: one gate over one subject, anywhere, without a run. 0: pass; 1: fail; 2: inconclusive."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml
from pydantic import ValidationError

from flows.screen import MARKS, plain
from security import sarif
from security.errors import PlanError, SluiceError
from security.gate import Gate, judge, observe, unopened
from security.gates.artifact import ModelArtifactScan
from security.gates.authorization import RegistryAuthorization
from security.gates.code import CodeIntegrity
from security.gates.dependencies import DependencyScanning
from security.gates.network import NetworkPolicyEnforcement
from security.gates.secrets import SecretsScanning
from security.gates.workload import WorkloadHardening
from security.material import Material
from security.models.chain import Keys
from security.policy import unsafe
from security.posture import asked
from security.verdict import Outcome, Subject, Trouble, Verdict
from tasks import artifact, authority, candidate, chains, checkout, lock, signer, tree
from tasks.home import Home
from tasks.store import measure

CODES = {Outcome.PASS: 0, Outcome.FAIL: 1, Outcome.INCONCLUSIVE: 2}
Opener = Callable[..., Material[Any]]
"""From the path and the limits; that of a lock also takes `out`."""


def _lock(path: Path, limits: dict[str, Any], out: Path | None = None) -> Material[Any]:
    return lock.opened(Home.here(), path, limits, out=out)


def _registry(path: Path, limits: dict[str, Any]) -> Material[Any]:
    """What the producer of this home may do in a registry, or what readers of its own folder refuse it."""
    home = Home.here()
    local = signer.keys(home)
    keys = Keys((local.public("producer"),), (local.public("verifier"),), (local.public("owner"),))
    known = chains.heads(home, limits["name"]) if not limits["registry"] else ()
    return asked(RegistryAuthorization(), authority.opened(home, limits, keys, local.signer("producer"), known))


def _manifests(path: Path, limits: dict[str, Any]) -> Material[Any]:
    """The manifests of a folder, each file of it one."""
    return candidate.manifests(Subject(kind="manifests", name=path.name, sha256=measure(path)[0]), path)


def _repository(subject: str) -> dict[str, Any]:
    """The limits that the name of a model in a registry is: HOST[:PORT][/PATH]/NAME, or NAME of the home's own."""
    registry, _, name = subject.rpartition("/")
    told = {"registry": registry, "name": name, "signer": signer.keys(Home.here()).public("producer").id}
    try:
        RegistryAuthorization.limits.model_validate(told)
    except ValidationError:
        raise PlanError(f"{subject!a} is no model; allowed: HOST[:PORT][/PATH]/NAME, or NAME of this home") from None
    return told


CHECKS: dict[str, tuple[Gate[Any], dict[str, Any], Opener]] = {
    "dependency_scanning": (
        DependencyScanning(),
        {"allowed": "UnsafeAnyName", "licences": "UnsafeAnyLicence", "installed": False, "index": False, "bill": False},
        _lock,
    ),
    "code_integrity_check": (CodeIntegrity(), {"signers": [], "imported": False}, tree.opened),
    "secrets_scanning": (SecretsScanning(), {}, checkout.opened),
    "model_artifact_scan": (ModelArtifactScan(), {}, artifact.opened),
    "registry_authorization": (RegistryAuthorization(), {}, _registry),
    "network_policy_enforcement": (NetworkPolicyEnforcement(), {"placed": False}, _manifests),
    "workload_hardening": (WorkloadHardening(), {"placed": False}, _manifests),
}
"""Gate, the limits where none are given, and who opens its subject."""
SPELLED: dict[str, Callable[[str], dict[str, Any]]] = {"registry_authorization": _repository}
"""Limits that the subject's own name is."""


def check(
    name: str,
    subject: str,
    limits: Path | None = None,
    *,
    bill: Path | None = None,
    as_json: bool = False,
    as_sarif: bool = False,
) -> int:
    """Run a gate over a subject, say what it found, and answer with the outcome's code. `bill`: where the bill of
    materials is written."""
    gate, told, opener = CHECKS[name]
    told = told | (SPELLED[name](subject) if name in SPELLED else {})
    if limits and Path(subject).is_dir() and limits.resolve().is_relative_to(Path(subject).resolve()):
        raise PlanError(f"{limits.name}: limits of {_name(subject)} found in it; allowed: from outside of it alone")
    terms = told | _limits(gate, told, limits)
    if bill:
        if "bill" not in gate.limits.model_fields:
            raise PlanError(f"--bill: {name} writes no bill of materials")
        terms["bill"], opener = True, partial(opener, out=bill)
    verdict = _verdict(gate, Path(subject), terms, opener)
    rests = sorted({*gate.rules} - {*gate.active(gate.limits.model_validate(terms))})
    chosen = sorted(set(unsafe(terms)))
    code = CODES[verdict.outcome]
    if as_sarif:
        print(json.dumps(sarif.log(verdict, gate, quote(Path(subject).as_posix()), code, rests), indent=1))
    elif as_json:
        said = verdict.model_dump(mode="json") | {"subject": _name(subject), "not_asked": rests, "unsafe": chosen}
        print(json.dumps(said, indent=1, sort_keys=True))
    else:
        _show(verdict, _name(subject), rests, chosen, gate)
    return code


def _name(subject: str) -> str:
    return Path(subject).name or Path(subject).resolve().name


def _limits(gate: Gate[Any], default: dict[str, Any], path: Path | None) -> dict[str, Any]:
    spelled = path.name if path else "limits"
    try:
        told = yaml.safe_load(path.read_text()) if path else {}
        if gate.name in SPELLED and (taken := sorted(default.keys() & told)):
            raise PlanError(f"{spelled}: {taken[0]}: is the subject's to say")
        gate.limits.model_validate(default | told)
    except (OSError, yaml.YAMLError, TypeError, UnicodeDecodeError) as why:
        raise PlanError(f"{spelled}: found no mapping of limits ({type(why).__name__})") from None
    except ValidationError as why:
        first = why.errors()[0]
        raise PlanError(f"{spelled}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    return dict(told)


def _verdict(gate: Gate[Any], path: Path, limits: dict[str, Any], opener: Opener) -> Verdict:
    try:
        seen = observe(gate, opener(path, limits), limits)
    except SluiceError as why:
        subject = Subject(kind=gate.kind, name=path.name, sha256="")
        seen = unopened(gate, subject, Trouble(cause="unreadable", message=str(why)))
    return judge(gate, seen, limits)


def _show(verdict: Verdict, subject: str, rests: list[str], chosen: list[str], gate: Gate[Any]) -> None:
    mark, _ = MARKS[verdict.outcome]
    print(f"{mark} {verdict.gate} {plain(subject)}: {verdict.outcome}")
    if verdict.outcome is not Outcome.FAIL:
        print(f"  {plain(verdict.reason)}")
    for each in verdict.findings:
        print(f"  {each.rule} ({each.severity}) {plain(each.place)}: {plain(each.message)}\n    {each.remedy}")
    for name in chosen:
        print(f"  {name} is set")
    for rule in rests:
        print(f"  not asked: {rule}, {gate.rules[rule].title}")
