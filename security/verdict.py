"""What a look showed, what is wrong with it, and what follows.

A gate never says "pass". It returns facts, and breaches of rules about facts; `conclude` makes the outcome, and is
the only maker of outcomes. In order: a finding outranks everything; then whatever kept the gate from telling; then a
canary that got through; then a basis lower than a rule accepts; then coverage; then what the judge left open; pass is
what is left. What is left open comes so late that a policy which observes its cause observes nothing else with it.
"""

import hashlib
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from security.jcs import canonical as canonical  # by this name it is known


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON of `value`, as 64 hexadecimal digits."""
    return hashlib.sha256(canonical(value)).hexdigest()


class Frozen(BaseModel):
    """A record that cannot be changed and knows all of its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Outcome(StrEnum):
    """What a verdict says of its subject."""

    PASS = "pass"  # noqa: S105 - an outcome, not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


class Basis(StrEnum):
    """How a fact is known, strongest first."""

    OBSERVED = "observed"
    DECLARED = "declared"
    RENDERED = "rendered"
    SIMULATED = "simulated"

    def reaches(self, lowest: "Basis") -> bool:
        """Whether this basis is at least as strong as `lowest`."""
        order = list(Basis)
        return order.index(self) <= order.index(lowest)


class Ref(Frozen):
    """Bytes that a task made: what tasks hand each other instead of a path.

    `sha256` is that of the file, or of the canonical listing of a folder's files; `size` is in bytes; `count` is in
    `unit`, taken where the bytes were made or listed; `version` is the store's own (an S3 version id, a run).
    """

    kind: str
    uri: str
    sha256: str
    size: int
    count: int
    unit: str
    version: str = ""


class Snapshot(Frozen):
    """A state that was asked for: question -> answer, when (seconds since the epoch), and the oldest it may be."""

    kind: str
    uri: str
    taken: float
    seconds: float = 3600.0
    answers: dict[str, dict[str, Any]]

    @property
    def sha256(self) -> str:
        """Digest of the canonical answers and their time."""
        return digest(self.model_dump(mode="json"))


class Subject(Frozen):
    """What was looked at: bytes by their digest, or a state by the digest of its canonical snapshot.

    `of` is the digest of the reference that a snapshot was taken of; empty where the bytes themselves were opened.
    """

    kind: str
    name: str
    sha256: str
    of: str = ""


class Coverage(Frozen):
    """How much was looked at: counted by the source of the material, against an independent listing."""

    unit: str
    expected: int
    inspected: int
    skipped: int = 0
    unsupported: int = 0
    errors: int = 0

    @property
    def whole(self) -> bool:
        """Everything that there is was looked at, and there is something."""
        return 0 < self.expected == self.inspected and not (self.skipped or self.unsupported or self.errors)


class Rule(Frozen):
    """One thing that a gate can find wrong: `basis` is the lowest that it accepts, `controls` others' ids for it.

    A breach of an advisory rule is shown and does not stop, unless the policy enforces the rule. Only the gate's own
    code makes a rule advisory: no policy can make a finding advice. A finding of a rule that is `waivable` may be let
    go by a person whom the policy names; none of a signature, or of tampering, is.
    """

    id: str
    title: str
    severity: Literal["low", "medium", "high", "critical"]
    remedy: str
    controls: tuple[str, ...] = ()
    basis: Basis = Basis.OBSERVED
    advisory: bool = False
    waivable: bool = False


class Breach(Frozen):
    """What a judge reports: which rule, where, and a sentence with what was found and what was allowed."""

    rule: str
    place: str
    message: str


class Finding(Breach):
    """A breach with what its rule says of it. `fingerprint` is the same for the same thing in another run."""

    severity: str
    remedy: str
    controls: tuple[str, ...]
    fingerprint: str


class Canary(Frozen):
    """A copy of part of the subject with one rule violated; its facts are kept, so that it is judged again too."""

    rule: str
    facts: dict[str, Any]


class Engine(Frozen):
    """What did the looking: name, version, SHA-256 of its code, and the date of its data where it has any."""

    name: str
    version: str
    sha256: str
    data: str = ""


class Trouble(Frozen):
    """Why a gate could not tell: a cause that a policy can name, and a sentence."""

    cause: str
    message: str


class Observation(Frozen):
    """Facts: declared vocabulary, counts and keyed hashes; never a raw value of a person."""

    gate: str
    subject: Subject
    coverage: Coverage
    facts: dict[str, Any]
    canaries: tuple[Canary, ...]
    basis: Basis
    engine: Engine
    taken: float
    trouble: Trouble | None = None


class Verdict(Frozen):
    """What an observation means under given rules. Made by `conclude` alone. `advice` decides nothing."""

    gate: str
    outcome: Outcome
    cause: str
    reason: str
    findings: tuple[Finding, ...]
    advice: tuple[Finding, ...] = ()
    observation: str
    rules: str


class Effect(Frozen):
    """What follows from a verdict, and because of what."""

    action: Literal["proceed", "stop"]
    because: Literal["enforced", "observed", "waived"]
    waivers: tuple[str, ...] = ()
    """SHA-256 of the waivers that let it go on."""
    also: str = ""
    """What nobody could tell besides, and the policy observes."""
