"""What a look at a model and its registry shows: the card, what it should be bound to, and what of it stands."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from security.material import Material
from security.verdict import Frozen, Subject, digest

SHA = r"^[0-9a-f]{64}$"
WORD = r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}$"
Sha = Annotated[str, Field(pattern=SHA)]
Word = Annotated[str, Field(pattern=WORD)]
Head = Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]
CARD = "model.json"
FILE, ENTRY, GONE = "file", "entry", "revocation"
KEY, APPROVER, TOLD, DECLARED = "key", "approver", "told", "declared"
KINDS = frozenset({FILE, ENTRY, GONE, KEY, APPROVER, TOLD, DECLARED})
WEIGHS = frozenset({FILE, ENTRY, GONE})
ROLES = ("producer", "verifier", "owner")
MOST = 1 << 20
"""Items of one model and its chains."""


class Item(NamedTuple):
    """A piece of what is looked at.

    `file`: its POSIX name; `entry` and `revocation`: its number in the chain; `key`: the role, and a public key in PEM;
    `approver`: the id of a person's key, and the person's name; `told`: a `Told` in JSON; `declared`: the name of the
    declared card, and what it holds in JSON, empty where there is none.
    """

    kind: str
    name: str
    data: bytes


class Told(Frozen):
    """What the runner knows apart from the model: whose chain was opened, the digests of the features that were taken
    in and of the plan that is sealed, and of entries of the registry that were there when it was."""

    name: Word
    data: Sha
    plan: Sha
    known: tuple[Sha, ...] = ()


class Said(Frozen):
    """What `model.json` binds the model to. Times are seconds since the epoch."""

    name: Word
    version: int = Field(ge=0)
    run: Word
    data: Sha
    code: Sha
    lock: Sha
    plan: Sha
    created: float = Field(ge=0)
    expires: float = Field(ge=0)


class Entered(Frozen):
    """The registry's entry of this very version, and why it does not stand; empty where it does."""

    manifest: Sha
    release: Sha
    wrong: str


class Chain(Frozen):
    """A chain that holds: the digests of its newest entry and of the newest revocation, the highest version that was
    ever entered, and the highest that `production` was ever moved to; 0 where there is none."""

    head: Head
    revocations: Head
    newest: int
    production: int
    entered: Entered | None
    revoked: dict[str, str]
    """Digest of what this model comes from, or id of its producer's key -> why it was revoked."""


class Facts(Frozen):
    """What was seen, and when (`at`, seconds since the epoch)."""

    at: float
    files: int
    entries: int
    release: Sha
    card: Said | None
    problem: str
    """Why there is no card; else empty."""
    told: Told
    keys: dict[str, tuple[Sha, ...]]
    """Role -> the ids of the keys by which the chains were read."""
    chain: Chain | None
    broken: str
    """Why the chain does not hold; else empty."""
    declared: str
    """Name of the declared card."""
    sha256: Head
    """Digest of what the declared card holds; empty where there is none."""
    lacks: str
    """Why the declared card does not say what a card must; empty where it does."""


class Limits(Frozen):
    """What the plan completes: the model's name, the run, its code and lock, whose chain it is (`signer`), whether this
    is after training or before serving (`at`), and whether this run trained the model (`own`). What a policy sets: for
    how many days a model may be used, and the name of its declared card."""

    name: Word
    run: Word
    code: Sha
    lock: Sha
    signer: Sha
    at: Literal["fit", "serve"]
    own: bool = Field(strict=True)
    card: Word
    days: float = Field(default=30.0, gt=0, le=36_600)


def material(subject: Subject, source: Callable[[], Iterable[Item]], expected: int) -> Material[Item]:
    """A model's files and the entries of its chains for one look, with the keys and what is told, which weigh nothing.
    `expected` files and entries, counted by other code than hands them out."""
    return Material(subject, source, expected=expected, unit="files and entries", weigh=_weigh, sample=MOST)


def _weigh(item: Item) -> int:
    return int(item.kind in WEIGHS)


def release(files: Mapping[str, bytes]) -> str:
    """The digest of a model: that of the canonical listing of all its files."""
    listing = [
        {"name": name, "sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
        for name, data in sorted(files.items())
    ]
    return digest({"files": listing})
