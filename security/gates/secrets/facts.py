"""What a look for secrets shows: where each is, never what; what was counted and left out, and who hides what."""

from collections.abc import Callable, Iterable
from typing import Annotated, Any, NamedTuple

from pydantic import Field

from security.material import Material
from security.verdict import Frozen, Subject

FILE, META, BLOB, TREE, MESSAGE, ABOUT = "file", "meta", "blob", "tree", "message", "about"
Reason = Annotated[str, Field(min_length=3)]
Print = Annotated[str, Field(pattern=r"^[0-9a-f]{6}$")]


class About(Frozen):
    """What is known of a repository before it is read: folders that are left out, and how many files they hold; what
    could make git tell another story; whether all of its history is here."""

    besides: dict[str, int] = {}
    oddities: tuple[str, ...] = ()
    whole: bool = True


class Item(NamedTuple):
    """`chunks` opens the content anew; `commit` is where it appeared first, empty for what lies in the work tree and
    `-` where no commit leads to it."""

    kind: str
    name: str
    commit: str = ""
    chunks: Callable[[], Iterable[bytes]] = tuple
    value: About | None = None


class Found(Frozen):
    """A secret. `kind`: the rule of the engine; `key`: a private key; `marked`: a comment tells others to look away."""

    kind: str
    name: str
    line: int
    commit: str
    print: Print
    engines: tuple[str, ...]
    key: bool
    marked: bool

    @property
    def place(self) -> str:
        """Where it is, in words."""
        where = (
            self.name
            if not self.commit
            else f"{self.name} in {self.commit[:12] if self.commit != '-' else 'no commit'}"
        )
        return f"{where}, line {self.line}" if self.line else where


class Engine(Frozen):
    """An engine: how many lines it was given and took, and how many of those that it must find it did."""

    name: str
    version: str
    given: int
    taken: int
    shown: int
    caught: int


class Sealed(Frozen):
    """What could not be looked into: its kind, the first place, and how many there are."""

    kind: str
    name: str
    count: int


class Facts(Frozen):
    """`more`: secrets beyond those that are listed; `markers` and `settings`: what tells other scanners to look away,
    in the work tree; `excused`: what looks like a secret and is none, by the reason."""

    about: About
    counts: dict[str, int]
    found: tuple[Found, ...]
    more: int
    markers: dict[str, int]
    settings: tuple[str, ...]
    excused: dict[str, int]
    sealed: tuple[Sealed, ...]
    engines: tuple[Engine, ...]
    rules: str


class Limits(Frozen):
    """What a policy allows. `besides`: folders of the work tree that are not looked at -> reason; `opaque`: kinds of
    files that nobody can look into; `allowed`: fingerprints of secrets that are none or harm nobody -> reason."""

    besides: dict[str, Reason] = {}
    opaque: tuple[str, ...] = ()
    allowed: dict[Print, Reason] = {}


def material(subject: Subject, source: Callable[[], Iterable[Item]], expected: int) -> Material[Any]:
    """A checkout and what its repository keeps. `expected`: files and objects, counted by somebody else."""
    return Material(
        subject, source, expected=expected, unit="files and objects", weigh=lambda item: int(item.kind != ABOUT)
    )
