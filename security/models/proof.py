"""A model's statement held against the log of the run that made it."""

from collections.abc import Iterable

from security.errors import LogBroken
from security.models.statement import Claim, Judged
from security.proof import Held, Proof


def judged(held: Iterable[Held]) -> tuple[Judged, ...]:
    """What the verdicts of a log come to."""
    return tuple(
        Judged(
            stage=each.stage,
            task=each.task,
            gate=each.verdict.gate,
            outcome=each.verdict.outcome,
            because=each.effect.because,
            observation=each.verdict.observation,
            rules=each.verdict.rules,
        )
        for each in held
    )


def proven(claim: Claim, proof: Proof) -> None:
    """`LogBroken` unless the log of a run bears out what the statement says: the same run, plan, code and lock; the
    datasets are those that it took from; this very release is what it published; and the verdicts are all of those that
    the log had when the statement was made, in their order, none left out."""
    plan, which = proof.plan, f"{claim.name} {claim.version}"
    if (claim.run, claim.plan, claim.code, claim.lock) != (plan.run, plan.sha256, plan.code, plan.lock):
        raise LogBroken(f"{which}: names another run, plan, code or lock than the log of {plan.run}")
    if claim.release not in {ref.sha256 for refs in proof.published.values() for ref in refs}:
        raise LogBroken(f"{which}: the log of run {plan.run} does not publish this release")
    if {*claim.datasets.values()} - {ref.sha256 for ref in proof.available.values()}:
        raise LogBroken(f"{which}: comes from a dataset that the log of run {plan.run} has not")
    if claim.verdicts != judged(proof.held)[: len(claim.verdicts)]:
        raise LogBroken(f"{which}: the verdicts are not those of the log of run {plan.run}")
