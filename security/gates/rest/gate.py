"""The gate `data_encryption_at_rest`: looks at the answers, judges the facts."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from security.errors import CannotTell
from security.gate import Gate, Violation
from security.gates.rest.facts import VOLUMES, Facts, Limits, read
from security.gates.rest.rules import RULES, VIOLATIONS
from security.material import Handed, Material
from security.posture import Answer
from security.verdict import Basis, Breach, Frozen, Rule, Subject


class DataEncryptionAtRest(Gate[Answer]):
    """Every version that was read, and every one to come, is encrypted by a key that the policy names; and what was
    read is what lies there."""

    name: ClassVar[str] = "data_encryption_at_rest"
    kind: ClassVar[str] = "objects"
    limits: ClassVar[type[Frozen]] = Limits
    facts: ClassVar[type[Frozen]] = Facts
    rules: ClassVar[Mapping[str, Rule]] = RULES
    violations: ClassVar[Mapping[str, Violation[Answer]]] = VIOLATIONS

    def look(self, material: Handed[Answer]) -> Facts:
        """The facts; `CannotTell` for an answer that is missing, there twice, or none."""
        return read(material)

    def judge(self, facts: Facts, limits: Limits) -> Iterator[Breach]:
        """The default, then each kind, then each sum, then the volumes."""
        keys = ", ".join(limits.keys) or "none, as the policy names no key"
        allowed = f"{' or '.join(limits.algorithms)} and one of the keys: {keys}"
        if not facts.default.within(limits):
            yield Breach(rule="S3-SSE", place="default", message=f"found {facts.default}; allowed: {allowed}")
        for kind in facts.kinds:
            if not kind.within(limits):
                message = f"found {kind.count:,} versions encrypted by {kind}; allowed: {allowed}"
                yield Breach(rule="S3-SSE-OBJ", place=kind.first, message=message)
        for each in facts.sums:
            if each.strange:
                found = f"found {each.count:,} versions with other bytes, the first {' and '.join(each.strange)}"
                message = f"{found}; allowed: {each.manifest}, as the manifest says"
                yield Breach(rule="S3-SHA", place=each.first, message=message)
        if limits.volume == "any":
            return
        volumes = sorted(facts.volumes.items())  # a stored observation has them in this order
        for place, state in volumes:
            if state == "plain":
                message = "found a volume without encryption; allowed: LUKS, fscrypt, ecryptfs"
                yield Breach(rule="VOL-ENC", place=place, message=message)
        if dark := [place for place, state in volumes if state == "unknown"]:
            raise CannotTell(f"VOL-ENC: whether the volume of {', '.join(dark)} is encrypted cannot be seen")

    def active(self, limits: Limits) -> Sequence[str]:
        """Volumes count only where the policy demands it."""
        return [rule for rule in self.rules if rule != "VOL-ENC" or limits.volume == "encrypted"]

    def brief(self, facts: Facts) -> str:
        """How many versions, in how many ways, on what volumes, and of how many the store keeps a sum."""
        ways = ", ".join(sorted({kind.algorithm for kind in facts.kinds}))
        own = "/".join(sorted(set(facts.volumes.values())))
        kept = sum(each.count for each in facts.sums if each.store.sha256)
        told = f"{kept:,} of {facts.versions:,} checked against the store's own checksum"
        return f"{facts.versions:,} versions by {ways}, volumes {own}, {told}"


def material(
    subject: Subject,
    answers: Sequence[Answer],
    held: Mapping[str, Mapping[str, Any]],
    volumes: Mapping[str, str],
    basis: Basis,
) -> Material[Answer]:
    """What a store answered, the default first, what the versions' bytes are here, and the states of the volumes.

    `held`: key of each version that was read -> `manifest` and `quarantine`, what the task says of its bytes and what
    the runner found, each with `sha256` and `size`. A canary is made of what comes first, and needs the answers to both
    questions that are about no object.
    """
    versions = [(key, {**answer, **held.get(key, {})}) for key, answer in answers[1:]]
    ordered = [*answers[:1], (VOLUMES, dict(volumes)), *versions]
    return Material(subject, lambda: ordered, expected=2 + len(held), unit="answers", basis=basis)
