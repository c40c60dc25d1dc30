"""Encryption at rest: what the bucket does by default, and how each version that was read lies in the store.

The bucket's default says how new objects are encrypted, nothing about those that are there; so each version read is
asked for too. A key is compared as the store names it: give the policy the ARN. What the store says of itself is only
as good as the store: the embedded lake declares and does not encrypt, and its answers have the basis `declared`.

What a run writes itself lies on volumes of its machine. Whether these are encrypted is always looked at and told; that
they are is demanded only where a policy says so, since a machine may not see what encrypts it from below.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import Field

from security.errors import CannotTell
from security.gate import Gate, Violation
from security.material import Handed, Material
from security.posture import Answer
from security.verdict import Basis, Breach, Frozen, Rule, Subject

DEFAULT = ""
"""The question about the bucket itself; every other one is the key of an object, and no key is empty."""
VOLUMES = "\0volumes"
"""The question about this machine's own volumes; no key that a store lists has such a character."""
ABSENT = "ServerSideEncryptionConfigurationNotFoundError"
Kms = Literal["aws:kms", "aws:kms:dsse"]
Algorithm = Literal["aws:kms", "aws:kms:dsse", "AES256", "none"]
Place = Literal["quarantine", "staging", "evidence", "store"]
State = Literal["encrypted", "plain", "unknown"]


class Limits(Frozen):
    """The keys that may encrypt, by ARN, and how. No key named, none allowed.

    `volume`: whether the volumes that rows lie on while they are worked with must be seen to be encrypted.
    """

    keys: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    algorithms: tuple[Kms, ...] = Field(default=("aws:kms", "aws:kms:dsse"), min_length=1)
    volume: Literal["encrypted", "any"] = "any"


class Sealed(Frozen):
    """How something is encrypted; `key` is empty where the store uses one of its own, or none."""

    algorithm: Algorithm
    key: str

    def within(self, limits: Limits) -> bool:
        """Whether this is one of the ways that are allowed."""
        return self.algorithm in limits.algorithms and self.key in limits.keys

    def __str__(self) -> str:
        return {"none": "nothing"}.get(self.algorithm, self.algorithm) + (f" and key {self.key}" if self.key else "")


class Kind(Sealed):
    """Versions that are encrypted alike: how many, and the first of their keys."""

    count: int
    first: str


class Facts(Frozen):
    """The bucket's default, every way in which versions that were read are encrypted, and the run's own volumes."""

    default: Sealed
    kinds: tuple[Kind, ...]
    volumes: dict[Place, State]


def _changed(sample: Sequence[Answer], question: str, draw: random.Random) -> Sequence[Answer]:
    """The sample with one answer that no policy can allow."""
    ways: list[dict[str, Any]] = [
        {"algorithm": "AES256", "key": ""},
        {"algorithm": "aws:kms", "key": ""},
        {"algorithm": "aws:kms", "key": f"arn:aws:kms:xx-nowhere-1:000000000000:key/{draw.getrandbits(64):016x}"},
        {"algorithm": "none", "key": ""} if question else {"status": 404, "code": ABSENT},
    ]
    change = draw.choice(ways)
    return [(each, {"status": 200, **change} if each == question else answer) for each, answer in sample]


def _object(sample: Sequence[Answer], draw: random.Random) -> Sequence[Answer]:
    return _changed(sample, draw.choice([q for q, _ in sample if q not in (DEFAULT, VOLUMES)]), draw)


def _plain(sample: Sequence[Answer], draw: random.Random) -> Sequence[Answer]:
    """The sample with one volume that is not encrypted."""
    place = draw.choice(get_args(Place))
    return [(q, {**answer, place: "plain"} if q == VOLUMES else answer) for q, answer in sample]


class DataEncryptionAtRest(Gate[Answer]):
    """Every version that was read, and every one to come, is encrypted by a key that the policy names."""

    name: ClassVar[str] = "data_encryption_at_rest"
    kind: ClassVar[str] = "objects"
    limits: ClassVar[type[Frozen]] = Limits
    facts: ClassVar[type[Frozen]] = Facts
    rules: ClassVar[Mapping[str, Rule]] = {
        rule.id: rule
        for rule in (
            Rule(
                id="S3-SSE",
                title="The bucket's default encryption is not by an expected key",
                severity="high",
                remedy="set default encryption with SSE-KMS and a key of yours, and name the key in the policy",
                controls=("FSBP:S3.17", "prowler:s3_bucket_kms_encryption", "NIST-800-53:SC-28(1)"),
            ),
            Rule(
                id="S3-SSE-OBJ",
                title="A version that was read is not encrypted by an expected key",
                severity="high",
                remedy="copy the object onto itself under the expected key; a new default changes no old object",
                controls=("NIST-800-53:SC-28(1)",),
            ),
            Rule(
                id="VOL-ENC",
                title="Rows are worked with on a volume that is not encrypted",
                severity="high",
                remedy="put the home on a LUKS volume, or into a folder with an fscrypt policy",
                controls=("NIST-800-53:SC-28(1)",),
            ),
        )
    }
    violations: ClassVar[Mapping[str, Violation[Answer]]] = {
        "S3-SSE": lambda sample, draw: _changed(sample, DEFAULT, draw),
        "S3-SSE-OBJ": _object,
        "VOL-ENC": _plain,
    }

    def look(self, material: Handed[Answer]) -> Facts:
        """The facts; `CannotTell` for an answer that is missing, there twice, or none."""
        default: Sealed | None = None
        volumes: dict[Place, State] | None = None
        kinds: dict[Sealed, tuple[int, str]] = {}
        seen: set[str] = set()
        for question, answer in material:
            if question in seen:
                raise CannotTell(f"{question or 'the default'} was answered twice")
            seen.add(question)
            if question == VOLUMES:
                volumes = _volumes(answer)
                continue
            found = _read(question, answer)
            if question == DEFAULT:
                default = found
            else:
                count, first = kinds.get(found, (0, question))
                kinds[found] = count + 1, min(first, question)
        if default is None or volumes is None or not kinds:
            raise CannotTell("the default was not asked for, or the volumes were not, or no object was", "coverage")
        told = [Kind(**each.model_dump(), count=n, first=first) for each, (n, first) in kinds.items()]
        told.sort(key=lambda each: (each.algorithm, each.key))
        return Facts(default=default, kinds=tuple(told), volumes=volumes)

    def judge(self, facts: Facts, limits: Limits) -> Iterator[Breach]:
        """The default, then each kind, then the volumes."""
        keys = ", ".join(limits.keys) or "none, as the policy names no key"
        allowed = f"{' or '.join(limits.algorithms)} and one of the keys: {keys}"
        if not facts.default.within(limits):
            yield Breach(rule="S3-SSE", place="default", message=f"found {facts.default}; allowed: {allowed}")
        for kind in facts.kinds:
            if not kind.within(limits):
                message = f"found {kind.count:,} versions encrypted by {kind}; allowed: {allowed}"
                yield Breach(rule="S3-SSE-OBJ", place=kind.first, message=message)
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
        """How many versions, in how many ways, and on what volumes they are worked with."""
        ways = ", ".join(sorted({kind.algorithm for kind in facts.kinds}))
        own = "/".join(sorted(set(facts.volumes.values())))
        return f"{sum(kind.count for kind in facts.kinds):,} versions by {ways}, volumes {own}"


def material(
    subject: Subject, answers: Sequence[Answer], volumes: Mapping[str, str], versions: int, basis: Basis
) -> Material[Answer]:
    """What a store answered, the default first, and the states of the volumes; `versions` is how many were listed.

    A canary is made of what comes first, and needs the answers to both questions that are about no object.
    """
    ordered = [*answers[:1], (VOLUMES, dict(volumes)), *answers[1:]]
    return Material(subject, lambda: ordered, expected=2 + versions, unit="answers", basis=basis)


def _volumes(answer: Mapping[str, Any]) -> dict[Place, State]:
    if set(answer) != set(get_args(Place)) or not set(answer.values()) <= set(get_args(State)):
        raise CannotTell("the volumes were not all told of, or in words that are not known")
    return {place: answer[place] for place in get_args(Place)}


def _read(question: str, answer: Mapping[str, Any]) -> Sealed:
    what = question or "the bucket's default encryption"
    if question == DEFAULT and answer.get("code") == ABSENT:
        return Sealed(algorithm="none", key="")
    if answer.get("status") != 200:
        said = answer.get("error") or f"{answer.get('status')} {answer.get('code', '')}".rstrip()
        raise CannotTell(f"{what} could not be asked for: {said}")
    algorithm, key = answer.get("algorithm"), answer.get("key")
    if algorithm not in get_args(Algorithm) or not isinstance(key, str):
        raise CannotTell(f"{what} was answered in words that are not known")
    return Sealed(algorithm=algorithm, key=key)
