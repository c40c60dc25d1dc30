"""The registry of a home: models as they are kept, entered, and believed again."""

import time
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from configs.card import Card, card
from configs.load import Policy, find, text
from security.errors import KeyBroken, LogBroken, PlanError, Refused
from security.gates.metrics.names import AVERAGED, parsed
from security.gates.model import contents
from security.keys import Keys as Held
from security.keys import Role, Signer
from security.models import bill, provenance, statement
from security.models.belief import Believed, believe, claimed, entry
from security.models.bill import Metric
from security.models.chain import Keys, Version
from security.models.manifest import BILL, PROVENANCE, STATEMENT
from security.models.proof import judged, proven
from security.models.standing import STEPS, Standing
from security.models.statement import Judged
from security.policy import Plan
from security.proof import Proof
from security.verify import verify
from tasks import chains
from tasks.home import Home
from tasks.layout import Layout, Stored
from tasks.run import Run


def layout(home: Home) -> Layout:
    """Where a home's models lie: private, for weights can be asked what they have seen."""
    return Layout(home.folder("models", private=True))


def approvers(policy: Policy) -> Mapping[str, str]:
    """Who besides the verifier may approve a model, by the policy: id of a key -> name."""
    return policy.models.approvers if policy.models else {}


def datasets(proof: Proof) -> dict[str, str]:
    """The datasets that a run's model comes from, its predecessor's among them: stage -> SHA-256."""
    return {stage: ref.sha256 for stage, ref in proof.available.items() if stage in ("ingest", "features")}


def figures(proof: Proof) -> list[Metric]:
    """What the gate over metrics computed again from each user's lists: the model's figures, and those of what it is
    compared with, which say so."""
    return [
        Metric(
            type=name if system == "model" else f"{name} of the comparison {system}",
            value=value["value"],
            interval=(value["low"], value["high"]) if parsed(name)[0] in AVERAGED else None,
            slice=f"test: the held-out interactions of {held.seen.facts['users']:,} users",
        )
        for held in proof.held
        if held.verdict.gate == "metric_thresholds"
        for system, found in sorted(held.seen.facts["systems"].items())
        for name, value in sorted(found["metrics"].items())
    ]


def attach(
    folder: Path,
    plan: Plan,
    datasets: Mapping[str, str],
    verdicts: Iterable[Judged],
    card: Card,
    metrics: Iterable[Metric],
    signer: Signer,
    *,
    seconds: float,
    frameworks: Mapping[str, str],
) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """The files of a signed model's folder, and what is said about it: bill, provenance, and the statement that binds
    them. `datasets`: what it is called -> SHA-256; `seconds`: that the training took."""
    files = contents(folder)
    made = bill.made(files, datasets, card, list(metrics), seconds=seconds, frameworks=frameworks)
    attached = {BILL: made, PROVENANCE: provenance.sign(plan, files, datasets, time.time(), signer)}
    return files, attached | {STATEMENT: statement.sign(files, attached, datasets, verdicts, signer)}


def enter(
    home: Home, files: Mapping[str, bytes], attached: Mapping[str, bytes], signer: Signer, keys: Keys, reason: str
) -> Version:
    """Keep a model, enter its version, and make it the candidate. The same again changes nothing."""
    claim, key = claimed(files, attached, keys)
    if key.id != signer.public.id:
        raise KeyBroken(f"{claim.name} {claim.version}: is signed by {key.id[:12]}, and entered by another key")
    sha = layout(home).keep(files, attached)
    version = chains.enter(home, signer, keys, **entry(sha, claim))
    layout(home).tag(sha, f"{claim.name}-{claim.version}")
    found = chains.standing(home, claim.name, keys)
    if found.newest == claim.version and "candidate" not in found.row(claim.version).aliases:
        chains.move(home, signer, keys, claim.name, "candidate", claim.version, reason=reason)
    return version


def trusted(run: Run) -> Keys:
    """Whose word counts for a run: the keys of its home, and the approvers of its policy."""
    return own(run.keys, run.trust.policy)


def own(keys: Held, policy: Policy) -> Keys:
    """Whose word counts in the home of these keys: theirs, and that of the approvers of a policy."""
    roles: tuple[Role, ...] = ("producer", "verifier", "owner")
    producer, verifier, owner = ((keys.public(role),) for role in roles)
    return Keys(producer, verifier, owner, approvers(policy))


def declared(run: Run) -> Card:
    """What people declare of the run's model, by the name that the policy has."""
    name = run.trust.policy.gates["model_versioning"].limits["card"]
    return card(text(find(name, "cards", paths=False)), name)


def register(run: Run, proof: Proof) -> Version:
    """Enter the model of a run whose log verifies, with what the log of its training says and the figures of its
    evaluation, and make it the candidate. What was entered before stays as it is."""
    keys, signer = trusted(run), run.keys.signer("producer")
    if entered := _entered(run, proof, keys):
        return entered
    folder = run.path(proof.available["train"])
    told, said = statement.card(contents(folder))
    trained, training = _trained(run, proof, told.run), said.get("training")
    if not isinstance(training, dict) or training.keys() != {"seconds", "frameworks"}:
        raise LogBroken(
            "model.json, training: found none; allowed: its seconds, and the frameworks with their versions"
        )
    files, attached = attach(
        folder,
        trained.plan,
        datasets(trained),
        judged(trained.held),
        declared(run),
        figures(proof),
        signer,
        **training,
    )
    return enter(run.home, files, attached, signer, keys, f"evaluated by run {run.plan.run}")


def release(run: Run, proof: Proof, alias: Literal["approved", "production"]) -> Version:
    """Approve the model of a run whose log verifies, or say that it is in production: by the verifier's key, with the
    head of the log that it was decided upon."""
    keys, signer = trusted(run), run.keys.signer("verifier")
    if (told := _entered(run, proof, keys)) is None:
        raise LogBroken(f"{run.plan.document['pipeline_name']}: the model of run {run.plan.run} was never entered")
    held = verified(run.home, told.name, told.version, keys, known=run.plan.registry)
    proven(held.claim, _trained(run, proof, told.run))
    beside(chains.standing(run.home, told.name, keys, known=run.plan.registry), told, _evaluated(run, proof))
    said = {"reason": f"the log of run {run.plan.run} verifies", "log": proof.head}
    return chains.move(run.home, signer, keys, told.name, alias, told.version, **said)


def measure(standing: Standing) -> Version | None:
    """The version that a new one must not fall behind: the approved one, also where it has expired since. None where
    none was ever, or where it was revoked."""
    return standing.aliases.get("approved") or standing.past.get("approved")


def beside(standing: Standing, claim: Version, facts: Mapping[str, Any]) -> None:
    """`Refused` unless the evaluation of a version (`facts` of metric_thresholds) was beside the one that is approved
    now. What is approved itself may be released again."""
    now, then = measure(standing), facts["approved"]
    if now is not None and now.release == claim.release:
        return
    found, wanted = then["model"][:12] if then else "none", now.release[:12] if now else "none"
    if found != wanted:
        raise Refused(
            f"{claim.name} {claim.version}: was evaluated beside {found}, and approved is {wanted}: evaluate it again"
        )


def _evaluated(run: Run, proof: Proof) -> Mapping[str, Any]:
    """The facts of the gate over metrics on the model: of this run, or of the predecessor that evaluated it."""
    folder = run.home.evidence(run.plan.run)
    while True:
        for held in reversed(proof.held):
            if (held.stage, held.verdict.gate) == ("evaluate", "metric_thresholds") and held.seen.facts:
                return held.seen.facts
        if not proof.plan.predecessor:
            raise LogBroken(f"{run.plan.run}: no log says how its model was evaluated")
        folder /= "predecessor"
        proof = verify(folder / "log.jsonl", run.trust)


def _entered(run: Run, proof: Proof, keys: Keys) -> Version | None:
    """The version that a run's model was entered as; nothing where it was not."""
    name, sha = run.plan.document["pipeline_name"], proof.available["train"].sha256
    rows = chains.standing(run.home, name, keys, known=run.plan.registry).rows
    return next((row.claim for row in rows if row.claim.release == sha), None)


def _trained(run: Run, proof: Proof, made: str) -> Proof:
    """What the log of the run proves that trained a model: this one's, or an earlier one's."""
    return proof if made == run.plan.run else verify(run.home.evidence(made) / "log.jsonl", run.trust)


def which(home: Home, spelled: str, keys: Keys) -> tuple[str, int]:
    """Name and version of a model as a person spells it: `NAME:VERSION`, `NAME@ALIAS`, or `NAME` for the newest."""
    name, _, alias = spelled.partition("@")
    name, _, version = name.partition(":")
    found = chains.standing(home, name, keys)
    if not found.rows:
        raise PlanError(f"{name}: no version of it was entered in this home")
    if spelled.count("@"):
        if version or alias not in STEPS:
            raise PlanError(f"{spelled!a}: allowed after @: {', '.join(STEPS)}")
        return name, found.at(alias).version
    there = [str(row.claim.version) for row in found.rows]
    if spelled.count(":") and version not in there:
        raise PlanError(f"{spelled!a}: no such version was entered; the newest: {', '.join(there[-5:])}")
    return name, int(version) if version else found.newest


def stored(home: Home, name: str, version: int, keys: Keys) -> Stored:
    """The bytes of a version that was entered, whether it stands or not."""
    return layout(home).model(chains.standing(home, name, keys).row(version).claim.manifest)


def believed(
    home: Home, name: str, version: int, keys: Keys, *, known: Collection[str] = (), measure: bool = False
) -> tuple[Stored, Believed]:
    """The bytes of a version of which everything holds, and what does, or an error that says what does not. As a
    `measure` of others one that has expired is as good."""
    found = chains.standing(home, name, keys, known=known)
    model = layout(home).model(found.row(version).claim.manifest)
    return model, believe(model.sha256, model.files, model.attached, keys, found, measure=measure)


def verified(home: Home, name: str, version: int, keys: Keys, *, known: Collection[str] = ()) -> Believed:
    """What holds of a version of which everything does, or an error that says what does not."""
    return believed(home, name, version, keys, known=known)[1]
