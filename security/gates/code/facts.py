"""What a look at code shows: how the files that are here differ from those that somebody signed, and who that was."""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, field_validator

from security.engines import objects
from security.engines.signers import Signers
from security.errors import SluiceError
from security.keys import PublicKey
from security.material import Material
from security.verdict import Frozen, Subject

ANYBODY = "UnsafeAnybody"
ANYTHING = "UnsafeWorkTree"
MANIFEST = "code.manifest"
"""The signed list of a folder that is no checkout, in that folder."""
ID = r"^([0-9a-f]{40})?$"
LINK, MODULE = objects.LINK, objects.MODULE
FILE, RUNS = 0o100644, 0o100755
Origin = Literal["standard", "tree", "package", "made", "elsewhere"]
Part = Annotated[str, Field(pattern=r"^[^/\\]+(/[^/\\]+)*$")]


class Listed(NamedTuple):
    """A file as it was signed: `id` is git's for its content, or its SHA-256 where a manifest lists it."""

    path: str
    mode: int
    id: str


class Found(NamedTuple):
    """A file as it is: `mode` as git would write it, 0 for what is neither file nor link. `read` gives its content (of
    a link: where it leads), piece by piece; `head` is the commit of a submodule. None of it is read unless it is asked.
    """

    path: str
    mode: int
    size: int
    read: Callable[[], Iterator[bytes]]
    head: str = ""


class Loaded(NamedTuple):
    """A module that was imported, or a `.pth` file, and where it is from: `place` is its path in the checkout, or what
    people call it elsewhere; `sha256` is what its package's own record says."""

    name: str
    origin: Origin
    place: str
    sha256: str
    read: Callable[[], Iterator[bytes]]


class Entry(NamedTuple):
    """A folder that Python imports from, and the names of the modules in it. `standard`: of the standard library."""

    place: str
    names: tuple[str, ...]
    standard: bool


class Item(NamedTuple):
    """Once each: `source` (`commit`, `manifest`, or `none`), `since` (the id after which the range begins as the policy
    names it, and that of its commit, or two empty ones), `now`, `imports` (whether what was imported is handed out),
    and of a manifest `envelope`, with the keys that may have signed it. As often as there are: `commit` with the time
    of its newest parent, `oddity`, `hidden`, `left`, `listed`, `file`, `loaded`, `pth`, `entry`.
    """

    kind: str
    value: Any


class Signed(Frozen):
    """A commit, or a manifest: by which key it is signed (as OpenSSH encodes it, in base64; of a manifest its id), or
    why no signature holds; `after`: when the newest of its parents was made (seconds since the epoch)."""

    id: str
    at: float
    after: float
    key: str
    fault: str


class Change(Frozen):
    """A file that is not as it was signed; or a link that is, and leads out of what was (`found` is where)."""

    path: str
    what: Literal["content", "missing", "mode", "submodule", "link"]
    found: str
    listed: str


class Extra(Frozen):
    """What nobody signed: a file, or a folder (with a slash) in which nothing is signed; how many of its files run."""

    path: str
    files: int
    runs: int


class Bytecode(Frozen):
    """A file of bytecode beside its source, and why it is not that source's."""

    path: str
    fault: str


class Shadow(Frozen):
    """A name that more than one folder would import, in the order in which Python asks them."""

    name: str
    places: tuple[str, ...]


class Foreign(Frozen):
    """A module, or a `.pth` file, that is neither signed nor as its package was installed."""

    name: str
    kind: Literal["module", "pth"]
    origin: Origin
    fault: str


class Imported(Frozen):
    """What was imported, as far as it is not what it should be."""

    modules: int
    foreign: tuple[Foreign, ...]
    shadows: tuple[Shadow, ...]


class Left(Frozen):
    """A pattern of the policy, and how many files and folders were left out by it."""

    place: str
    entries: int


class Facts(Frozen):
    """`head`: the id of the commit that is checked out, or that a manifest says it is of; `reached`: whether the
    history that was read goes on from the commit or tag `since`.

    `listed`, `files` and `compiled` count what was signed, what is here, and the bytecode that was compared.
    """

    source: Literal["commit", "manifest", "none"]
    head: str
    since: str
    reached: bool
    commits: tuple[Signed, ...]
    now: float
    listed: int
    files: int
    compiled: int
    changes: tuple[Change, ...]
    extras: tuple[Extra, ...]
    bytecode: tuple[Bytecode, ...]
    oddities: tuple[str, ...]
    hidden: tuple[tuple[str, str], ...]
    left: tuple[Left, ...]
    imported: Imported | None


class Limits(Frozen):
    """What a policy allows. `signers`: lines as in OpenSSH's file of allowed signers; `manifests`: public keys in PEM
    that may sign the list of a folder that is no checkout.

    `since`: the id of a commit or tag after which every commit must be signed; without one the last must be. `commit`:
    the only one that may be checked out. `besides`: places that are left out, from the top, where `*` stands for
    letters of one name. `tree`: whether files have to be as they were signed; in one in which somebody works they are
    not, and only who signed, and what was imported from elsewhere, is judged. `imported`: whether what this process
    imported is held against the same list; `made`: modules that may be without a file, where a `*` at the end stands
    for anything; `shadows`: names that more than one folder may hold. `skew`: seconds by which clocks may differ.
    """

    signers: tuple[str, ...] | Literal["UnsafeAnybody"]
    manifests: tuple[str, ...] = ()
    since: str = Field(default="", pattern=ID)
    commit: str = Field(default="", pattern=ID)
    besides: tuple[Part, ...] = ()
    tree: Literal["signed", "UnsafeWorkTree"] = "signed"
    imported: bool = True
    made: tuple[Annotated[str, Field(pattern=r"^\w[\w.]*\*?$")], ...] = ()
    shadows: tuple[str, ...] = ()
    skew: float = Field(default=86400.0, ge=0)

    @field_validator("signers")
    @classmethod
    def _readable(cls, told: Any) -> Any:
        if told and told != ANYBODY:
            try:
                Signers.listed(told)
            except SluiceError as why:
                raise ValueError(str(why)) from None
        return told

    @field_validator("manifests")
    @classmethod
    def _keys(cls, told: tuple[str, ...]) -> tuple[str, ...]:
        for pem in told:
            try:
                PublicKey(pem.encode())
            except SluiceError as why:
                raise ValueError(str(why)) from None
        return told

    @field_validator("besides")
    @classmethod
    def _named(cls, told: tuple[str, ...]) -> tuple[str, ...]:
        for each in told:
            first, *_ = parts = each.split("/")
            if not re.search(r"\w", first) or {".", "..", ".git"} & {*parts}:
                raise ValueError(f"{each} is no place that could be left out")
        return told


def matches(path: str, pattern: str) -> bool:
    """Whether a pattern of `besides` is of this very path. Of its signs only `*` stands for anything."""
    form = "[^/]*".join(re.escape(part) for part in pattern.split("*"))
    return re.fullmatch(form, path, re.DOTALL) is not None


def material(subject: Subject, items: Iterable[Item], expected: int) -> Material[Item]:
    """Code for one look. `expected`: how many files there are, as somebody else counted them."""
    held = tuple(items)
    return Material(subject, lambda: held, expected=expected, unit="files of code", weigh=weight, sample=len(held))


def weight(item: Item) -> int:
    """What counts as looked at: the files that are here."""
    return int(item.kind == "file")
