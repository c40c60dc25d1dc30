"""What a look at an image, or at what a process runs on, shows; and what a policy allows."""

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, model_validator

from security.advisories.severity import Level
from security.engines.login import ADDRESS, Scheme
from security.inventory.feeds import Told, Update
from security.inventory.record import Database, Interpreter, System
from security.inventory.tree import Node
from security.material import Material
from security.verdict import Frozen, Subject

IMAGE, PROCESS = "image", "process"
MANY = ("file", "layer", "feed", "signature", "attestation", "key")
"""Kinds of item of which there are any number; of the others there is one each."""
MOST = 200
"""Of what may be without end so many are told, and the others counted."""
PYPI = "PyPI"
Sha = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
REPOSITORY = ADDRESS.removesuffix("*$").removeprefix("^") + "+$"
"""A registry and a path in it, which there must be."""
Day = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d$")]
Reason = Annotated[str, Field(min_length=3)]


class Listed(Frozen):
    """Paths or sentences, of which the first are told; `count` is how many there are."""

    first: tuple[str, ...] = ()
    count: int = Field(default=0, ge=0, strict=True)

    @classmethod
    def of(cls, every: Iterable[str]) -> "Listed":
        """These, in order, with nothing in them that a line would not show."""
        told = sorted(ascii(each[:300])[1:-1] for each in every)
        return cls(first=tuple(told[:MOST]), count=len(told))


class Hit(Frozen):
    """A vulnerability of a package. `package`: the source package, or the distribution; `fixes`: without it."""

    ecosystem: str
    package: str
    version: str
    ids: tuple[str, ...]
    level: Level
    fixes: tuple[str, ...]


class Known(Frozen):
    """Advisories of an ecosystem: how many, and when the newest was changed."""

    count: int
    newest: str


class Bill(Frozen):
    """A signed bill of materials: who signed it, whether it could be read, and what is here and not in it, and the
    other way round."""

    keys: tuple[str, ...]
    read: bool
    listed: int
    missing: Listed
    strange: Listed


class Built(Frozen):
    """What only an image has. `reference`: as it is deployed; `sha256`: of its manifest; `chains`: the chain id of its
    first layer, of the first two, and so on; `signed`: keys that signed it; `broken`: what is not as it says."""

    reference: str
    sha256: Sha
    user: str
    entrypoint: tuple[str, ...]
    chains: tuple[str, ...]
    signed: tuple[str, ...]
    bills: tuple[Bill, ...]
    broken: Listed


class Facts(Frozen):
    """`built`: none where a process was looked at; `dists`: name -> versions that are here; `locked`: name -> version,
    none where there is no lock; `data`: ecosystem -> its advisories, none where there are no advisories at all;
    `feeds`: lists of the system's own security updates, and `feedless`: why one cannot be read; `secrets`: what is
    found, and where; `opaque`: kinds of files that nobody looked into."""

    built: Built | None
    now: str
    system: System | None
    databases: tuple[Database, ...]
    packages: int
    interpreters: tuple[Interpreter, ...]
    dists: dict[str, tuple[str, ...]]
    locked: dict[str, str] | None
    odd: Listed
    loose: Listed
    stray: Listed
    setuid: Listed
    ignores: Listed
    data: dict[str, Known] | None
    hits: tuple[Hit, ...]
    more: int
    unclear: Listed
    feeds: tuple[Told, ...]
    feedless: str
    pending: tuple[Update, ...]
    outdated: int
    secrets: Listed
    looked: int
    opaque: dict[str, int]


class Limits(Frozen):
    """What a policy allows. `systems`: id -> version -> the day until which it has security updates; `interpreters`:
    `3.11` -> the same; `others`: what becomes of a system or an interpreter that neither names; `floor`: how many
    packages a database has at least. `worst`: from which level on a vulnerability stops; `unfixed`: what becomes of one
    of the system's packages that no version fixes (one of a distribution stops); `days`: the age of advisories, `lists`
    that of the lists of updates; `pending`: what becomes of an update that is not installed.

    `signers`: ids of keys; `bases`: chain ids of layers that an image may begin with; `setuid`: paths; `made`:
    patterns of executable files that no package has -> reason; `secrets`: patterns of places where what looks like a
    secret is none -> reason; `opaque`: kinds of files that nobody looks into; `UnsafeClock`: a moment for now.

    `base`, `repository`: with both an image is built, on the base of this digest (of its manifest, in the home's
    `bases`), to be pushed to HOST[:PORT]/PATH; with neither none is, and a process is looked at. How the registry is
    spoken to, where the producer's credentials for it are, and which other host may ask for them: `scheme`,
    `credentials`, `tokens`, as `registry_authorization` has them.
    """

    systems: dict[str, dict[str, Day]]
    interpreters: dict[str, Day]
    others: Literal["refuse", "UnsafeAny"] = "refuse"
    floor: int = Field(default=50, ge=1)
    worst: Literal["low", "medium", "high", "critical"] = "high"
    unfixed: Literal["stop", "let"]
    days: float = Field(default=7.0, gt=0)
    lists: float = Field(default=7.0, gt=0)
    pending: Literal["stop", "UnsafeLet"] = "stop"
    signers: tuple[Sha, ...] = ()
    bases: tuple[Sha, ...] = ()
    setuid: tuple[str, ...] = ()
    made: dict[str, Reason] = {}
    secrets: dict[str, Reason] = {}
    opaque: tuple[str, ...] = ()
    UnsafeClock: str = ""
    base: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    repository: str = Field(default="", pattern=f"^$|^{REPOSITORY}")
    scheme: Scheme = "https"
    credentials: str = Field(default="auths", pattern=r"^(auths|env:\w+|file:.+)$")
    tokens: str = Field(default="", pattern=r"^([a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?)?$")

    @model_validator(mode="after")
    def _both(self) -> "Limits":
        if bool(self.base) != bool(self.repository):
            raise ValueError("an image is built where `base` and `repository` are both named")
        return self


class Item(NamedTuple):
    """`about`: an `About`; `advisories`: a `Mirror`, or none; `lock`: name -> version, or none; `interpreter`: an
    `Interpreter`, or none where it is in the tree; `config`, `manifest`: bytes, the latter none of a process; `file`: a
    `File`; `layer`: a `Blob`; `feed`: a `Feed`; `signature`: payload and signature; `attestation`: an envelope; `key`:
    a public key in PEM."""

    kind: str
    value: Any


class About(NamedTuple):
    """`form`: `image` or `process`; `reference`: of an image, as it is deployed."""

    form: str
    reference: str
    now: str


class File(NamedTuple):
    """A file of a running system."""

    path: str
    node: Node


def material(
    subject: Subject, source: Callable[[], Iterable[Item]], expected: int, weigh: Callable[[Item], int]
) -> Material[Item]:
    """What an image or a process is made of. `expected`: counted by somebody else than hands it out."""
    return Material(subject, source, expected=expected, unit="packages and layers", weigh=weigh, sample=1 << 20)


def single(items: Iterable[Item]) -> Mapping[str, Any]:
    """The items of which there is one, by kind."""
    return {item.kind: item.value for item in items if item.kind not in MANY}
