"""What a look at answers shows: how default and versions are encrypted, whose bytes agree, and the volumes' states."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, ValidationError, model_validator

from security.errors import CannotTell
from security.posture import Answer
from security.verdict import Frozen

DEFAULT = ""
"""The question about the bucket itself; every other one is the key of an object, and no key is empty."""
VOLUMES = "\0volumes"
"""The question about this machine's own volumes; no key that a store lists has such a character."""
ABSENT = "ServerSideEncryptionConfigurationNotFoundError"
Kms = Literal["aws:kms", "aws:kms:dsse"]
Algorithm = Literal["aws:kms", "aws:kms:dsse", "AES256", "none"]
Place = Literal["quarantine", "staging", "evidence", "store"]
State = Literal["encrypted", "plain", "unknown"]
Sha = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Size = Annotated[int, Field(strict=True, ge=0, lt=1 << 53)]


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


class Held(Frozen):
    """Bytes, by their SHA-256 in hexadecimal digits and their number."""

    sha256: Sha
    size: Size

    def __str__(self) -> str:
        return f"SHA-256 {self.sha256[:12]}, {self.size:,} bytes"


class Kept(Frozen):
    """What a store says of a version: its size in bytes, and the SHA-256 of the whole, empty where it keeps none."""

    sha256: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]
    size: Size

    def __str__(self) -> str:
        return f"SHA-256 {self.sha256[:12] or 'not kept'}, {self.size:,} bytes"


class Sum(Frozen):
    """Versions of which the same agrees: how many, the first of their keys, and what was said of that one.

    `manifest` is the word of the task that read it, `quarantine` what the runner found in its file.
    """

    count: int
    first: str
    manifest: Held
    quarantine: Held
    store: Kept

    @property
    def strange(self) -> tuple[str, ...]:
        """What is not as the manifest says, and where it was found."""
        unlike = self.store.size != self.manifest.size or self.store.sha256 not in ("", self.manifest.sha256)
        found = [f"{self.quarantine} in quarantine"] if self.quarantine != self.manifest else []
        return (*found, f"{self.store} in the store") if unlike else tuple(found)

    @property
    def form(self) -> tuple[bool, ...]:
        """What agrees and what the store keeps: alike for all versions that are told as one."""
        return (
            self.quarantine.sha256 == self.manifest.sha256,
            self.quarantine.size == self.manifest.size,
            self.store.sha256 == self.manifest.sha256,
            self.store.size == self.manifest.size,
            self.store.sha256 == "",
        )


class Facts(Frozen):
    """The bucket's default, every way in which versions that were read are encrypted, every way in which their bytes
    agree or do not, and the run's own volumes."""

    default: Sealed
    kinds: tuple[Kind, ...]
    sums: tuple[Sum, ...]
    volumes: dict[Place, State]

    @property
    def versions(self) -> int:
        """How many versions were read."""
        return sum(each.count for each in self.kinds)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.versions != sum(each.count for each in self.sums):
            raise ValueError("a version is told of once by its encryption and once by its bytes")
        return self


def read(answers: Iterable[Answer]) -> Facts:
    """The facts; `CannotTell` for an answer that is missing, there twice, or none."""
    default: Sealed | None = None
    volumes: dict[Place, State] | None = None
    kinds: dict[Sealed, tuple[int, str]] = {}
    sums: dict[tuple[bool, ...], tuple[int, Sum]] = {}
    seen: set[str] = set()
    for question, answer in answers:
        if question in seen:
            raise CannotTell(f"{question or 'the default'} was answered twice")
        seen.add(question)
        if question == VOLUMES:
            volumes = _volumes(answer)
            continue
        found = _sealed(question, answer)
        if question == DEFAULT:
            default = found
            continue
        count, first = kinds.get(found, (0, question))
        kinds[found] = count + 1, min(first, question)
        told = _sum(question, answer)
        count, least = sums.get(told.form, (0, told))
        sums[told.form] = count + 1, min(least, told, key=lambda each: each.first)
    if default is None or volumes is None or not kinds:
        raise CannotTell("the default was not asked for, or the volumes were not, or no object was", "coverage")
    ways = [Kind(**each.model_dump(), count=n, first=first) for each, (n, first) in kinds.items()]
    ways.sort(key=lambda each: (each.algorithm, each.key))
    alike = [least.model_copy(update={"count": n}) for n, least in sums.values()]
    alike.sort(key=lambda each: each.first)
    return Facts(default=default, kinds=tuple(ways), sums=tuple(alike), volumes=volumes)


def _volumes(answer: Mapping[str, Any]) -> dict[Place, State]:
    if set(answer) != set(get_args(Place)) or not set(answer.values()) <= set(get_args(State)):
        raise CannotTell("the volumes were not all told of, or in words that are not known")
    return {place: answer[place] for place in get_args(Place)}


def _sealed(question: str, answer: Mapping[str, Any]) -> Sealed:
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


def _sum(key: str, answer: Mapping[str, Any]) -> Sum:
    said: dict[str, Any] = {name: answer.get(name) for name in ("manifest", "quarantine")}
    said["store"] = {name: answer.get(name) for name in ("sha256", "size")}
    try:
        return Sum(count=1, first=key, **said)
    except ValidationError as why:
        place = ".".join(map(str, why.errors()[0]["loc"]))
        raise CannotTell(f"{key}: {place} was told in words that are not known") from None
