"""What a look at an image, or at what a process runs on, shows; and what a policy allows."""

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

from security.advisories.severity import Level
from security.inventory.feeds import Told, Update
from security.inventory.record import Database, Interpreter, System
from security.inventory.tree import Node
from security.material import Material
from security.verdict import Frozen, Subject

IMAGE, PROCESS = "image", "process"
MANY = ("file", "layer", "feed", "signature", "attestation", "key", "report", "vex")
"""Kinds of item of which there are any number; of the others there is one each."""
MOST = 200
"""Of what may be without end so many are told, and the others counted."""
PYPI = "PyPI"
Sha = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Day = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d$")]
Status = Literal["not_affected", "fixed", "affected", "under_investigation"]
Scanner = Annotated[str, Field(pattern=r"^(trivy|grype)$")]
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
    """A vulnerability of a package. `package`: the source package, or the distribution; `fixes`: without it; `parts`:
    the distribution, or the packages of the source that are here, each as kind, name and version."""

    ecosystem: str
    package: str
    version: str
    ids: tuple[str, ...]
    level: Level
    fixes: tuple[str, ...]
    parts: tuple[str, ...]


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


class Said(Frozen):
    """A statement of a VEX document: about which vulnerability, of when, and which packages here (kind, name, version;
    `*` for all of the image), none where it is about something else."""

    ids: tuple[str, ...]
    status: Status
    at: str
    parts: tuple[str, ...]


class Vex(Frozen):
    """A VEX document. `keys`: that signed it; `about`: whether it is about this image; `broken`: why it cannot be
    read, empty where it can."""

    keys: tuple[str, ...] = ()
    about: bool = False
    broken: str = ""
    said: tuple[Said, ...] = ()


class Apart(Frozen):
    """A vulnerability that only one has found: the other scanner (`theirs`), or the one here (`ours`)."""

    who: Literal["theirs", "ours"]
    package: str
    ids: tuple[str, ...]
    level: Level


class Theirs(Frozen):
    """What another scanner says of the image. `lacks`: why nothing can be told by it, empty where something can;
    `system`: what it takes the image's for, `same` whether that is what it is here, `ended` whether it says that there
    are no more updates; `data`: the moment of what it knows; `packages`: how many it tells of, none where it does not;
    `missing`: what is here and not in its report, `strange` the other way round; `more`: of `apart`, beyond those."""

    name: str
    lacks: str = ""
    version: str = ""
    system: str = ""
    same: bool = False
    ended: bool = False
    data: str = ""
    packages: int | None = None
    missing: Listed = Listed()
    strange: Listed = Listed()
    apart: tuple[Apart, ...] = ()
    more: int = 0


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
    found, and where; `opaque`: kinds of files that nobody looked into; `beside`: what other scanners say;
    `vex`: what somebody says of vulnerabilities."""

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
    beside: tuple[Theirs, ...]
    vex: tuple[Vex, ...]


class Item(NamedTuple):
    """`about`: an `About`; `advisories`: a `Mirror`, or none; `lock`: name -> version, or none; `interpreter`: an
    `Interpreter`, or none where it is in the tree; `config`, `manifest`: bytes, the latter none of a process; `file`: a
    `File`; `layer`: a `Blob`; `feed`: a `Feed`; `signature`: payload and signature; `attestation`: an envelope; `key`:
    a public key in PEM; `report`: a `Report`; `vex`: an envelope."""

    kind: str
    value: Any


class About(NamedTuple):
    """`form`: `image` or `process`; `reference`: of an image, as it is deployed."""

    form: str
    reference: str
    now: str


class Report(NamedTuple):
    """What another scanner wrote of an image. `name`: the scanner; `database`: what its database says of itself, empty
    where it says nothing apart; `lacks`: why there is no report."""

    name: str
    data: bytes = b""
    database: bytes = b""
    lacks: str = ""


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
