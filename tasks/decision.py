"""The decision to release, by the verifier's key: of which model, on which log, under which policy, and in a cluster by
which release. It lies in the evidence of the run that it rests on.

A decision is a verification summary (SLSA VSA v1) in a DSSE envelope. An earlier release that is led to again has a
decision of its own, which rests on the log of the run that placed it.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from security import whole
from security.errors import LogBroken, PlanError
from security.keys import PublicKey, Signer, seal, unseal
from security.policy import Plan
from tasks.home import Home
from tasks.store import moves, pointer

SUMMARY = "https://slsa.dev/verification_summary/v1"


class Decision(NamedTuple):
    """What was decided: the run that it rests on, the model's digest, the head of the log, the policy's digest, and the
    release in a cluster (empty where there is none)."""

    run: str
    model: str
    log: str
    policy: str
    release: str


def sign(plan: Plan, log: str, to: Mapping[str, str], signer: Signer) -> bytes:
    """The envelope of a decision on a run. `to`: what the pointer says, `model` and in a cluster `release` among it."""
    name, release = str(plan.document["pipeline_name"]), to.get("release", "")
    summary = {
        "verifier": {"id": "urn:sluice:verifier"},
        "timeVerified": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "resourceUri": f"urn:sluice:release:{name}:{release}" if release else f"urn:sluice:model:{name}",
        "policy": {"uri": f"urn:sluice:policy:{plan.target}", "digest": {"sha256": plan.policy_sha256}},
        "inputAttestations": [{"uri": "log.jsonl", "digest": {"sha256": log}}],
        "verificationResult": "PASSED",
        "verifiedLevels": [f"SLUICE_TARGET_{plan.target.upper()}"],
    }
    return seal(SUMMARY, {"model": to["model"]}, summary, signer)


@contextmanager
def kept(home: Home, run: str, number: int, envelope: bytes) -> Iterator[None]:
    """The decision that a pointer's move of this number rests on is kept first, and dropped where it does not move."""
    folder = home.evidence(run)
    path = folder / "release.dsse"
    path = folder / f"release-{number}.dsse" if path.exists() else path
    whole.write(path, (envelope,))
    try:
        yield
    except BaseException:
        path.unlink()
        raise


def _path(home: Home, run: str, number: int) -> Path:
    path = home.evidence(run) / f"release-{number}.dsse"
    return path if path.exists() else path.with_name("release.dsse")


def read(envelope: bytes, run: str, target: str, key: PublicKey) -> Decision:
    """A decision of the verifier for a target; `LogBroken` where it is none."""
    told = unseal(envelope, key)
    try:
        said, (subject,) = told["predicate"], told["subject"]
        policy, (log,) = said["policy"], said["inputAttestations"]
        wanted = (SUMMARY, "PASSED", [f"SLUICE_TARGET_{target.upper()}"], f"urn:sluice:policy:{target}")
        if (told["predicateType"], said["verificationResult"], said["verifiedLevels"], policy["uri"]) != wanted:
            raise LogBroken(f"run {run}: what lies there as a decision is none for the target {target}")
        _, kind, *rest = str(said["resourceUri"]).split(":")[1:]
        release = rest[1] if kind == "release" else ""
        model, head, sha = (str(each["digest"]["sha256"]) for each in (subject, log, policy))
        return Decision(run, model, head, sha, release)
    except (KeyError, TypeError, ValueError, IndexError) as why:
        raise LogBroken(f"run {run}: a decision that cannot be read ({type(why).__name__})") from None


def made(home: Home, target: str, name: str, key: PublicKey) -> list[Decision]:
    """The decisions on a pipeline for a target, one for each run that was ever released there, oldest first.
    `LogBroken` where one is missing or altered, or is of another model or release than the pointer says."""
    found: dict[str, Decision] = {}
    for number, told in enumerate(moves(home, pointer(target, name)), 1):
        run = told["run"]
        try:
            data = _path(home, run, number).read_bytes()
        except OSError as why:
            raise LogBroken(f"run {run}: its decision cannot be read ({type(why).__name__})") from None
        each = read(data, run, target, key)
        if (each.model, each.release) != (told["model"], told.get("release", "")):
            raise LogBroken(f"run {run}: the pointer names {told['model'][:12]}, and the decision {each.model[:12]}")
        found[run] = each
    return list(found.values())


def one(decisions: list[Decision], spelled: str) -> Decision:
    """The decision that a person names by its run, or by the beginning of its model's digest or of its release."""
    mine = [each for each in decisions if spelled == each.run]
    mine = mine or [
        each for each in decisions if spelled and (each.model.startswith(spelled) or each.release.startswith(spelled))
    ]
    if len(mine) != 1:
        known = ", ".join(each.run for each in decisions[-5:]) or "none"
        raise PlanError(f"{spelled!a}: found {len(mine)} releases; allowed: one of those of {known}")
    return mine[0]
