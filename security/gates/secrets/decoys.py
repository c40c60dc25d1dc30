"""Known-bad checkouts: some of the subject's own files, and among them one that breaks one rule.

Nothing of a canary tells it from another file: what is bad is made up anew, put under a name that other files have, and
stands anywhere among lines of no interest.
"""

import random
from collections.abc import Callable, Sequence

from security.gate import Violation
from security.gates.secrets import made
from security.gates.secrets.facts import ABOUT, BLOB, FILE, MESSAGE, About, Item

SEALED = frozenset({"7z", "rar"})
"""Kinds of files that canaries hold."""
FEW = 3
"""Files of the subject that a canary holds."""
_ENDS = ("py", "yaml", "md", "env", "json", "txt", "sh", "toml")
_MARKERS = ("gitleaks:allow", "pragma: allowlist secret", "nosec", "trufflehog:ignore")
_HEADS = {"7z": b"7z\xbc\xaf\x27\x1c", "rar": b"Rar!\x1a\x07\x01\x00"}


class _World:
    """A few files and what is known of the repository, to be spoiled."""

    def __init__(self, sample: Sequence[Item], draw: random.Random) -> None:
        files = [item for item in sample if item.kind == FILE]
        self.items = draw.sample(files, min(FEW, len(files)))
        self.about = next((item.value for item in sample if item.kind == ABOUT and item.value), About())

    def add(self, item: Item, draw: random.Random) -> None:
        """One item more, anywhere."""
        self.items.insert(draw.randrange(len(self.items) + 1), item)

    def handed(self) -> list[Item]:
        """What is handed out."""
        return [Item(ABOUT, "", value=self.about), *sorted(self.items, key=lambda item: item.kind != FILE)]


def _item(kind: str, data: bytes, draw: random.Random) -> Item:
    commit = "" if kind == FILE else f"{draw.getrandbits(160):040x}"
    name = "message" if kind == MESSAGE else f"part{draw.randrange(99)}.{draw.choice(_ENDS)}"
    return Item(kind, name, commit, lambda: (data,))


def _among(text: str, draw: random.Random) -> bytes:
    lines = [f"line {draw.randrange(1 << 20)}" for _ in range(draw.randrange(1, 9))]
    lines.insert(draw.randrange(len(lines) + 1), text)
    return "\n".join(lines).encode(draw.choice(("utf-8", "utf-8", "utf-16")))


def _secret(draw: random.Random) -> str:
    return draw.choice(made.KNOWN)(draw)


def _violation(spoil: Callable[[_World, random.Random], None]) -> Violation[Item]:
    def make(sample: Sequence[Item], draw: random.Random) -> list[Item]:
        world = _World(sample, draw)
        spoil(world, draw)
        return world.handed()

    return make


def _present(world: _World, draw: random.Random) -> None:
    world.add(_item(FILE, _among(_secret(draw), draw), draw), draw)


def _past(world: _World, draw: random.Random) -> None:
    world.add(_item(draw.choice((BLOB, MESSAGE)), _among(_secret(draw), draw), draw), draw)


def _key(world: _World, draw: random.Random) -> None:
    world.add(_item(draw.choice((FILE, BLOB)), _among(made.pem(draw), draw), draw), draw)


def _hidden(world: _World, draw: random.Random) -> None:
    world.add(_item(FILE, _among(f"{_secret(draw)}  # {draw.choice(_MARKERS)}", draw), draw), draw)


def _left(world: _World, draw: random.Random) -> None:
    besides = {**world.about.besides, f"vendor{draw.getrandbits(40):x}": draw.randrange(1, 999)}
    world.about = world.about.model_copy(update={"besides": besides})


def _odd(world: _World, draw: random.Random) -> None:
    oddity = draw.choice((f"replace ref {draw.getrandbits(48):012x}", "grafts", "objects from elsewhere"))
    world.about = world.about.model_copy(update={"oddities": (*world.about.oddities, oddity)})


def _closed(world: _World, draw: random.Random) -> None:
    for kind in sorted(SEALED):
        world.add(_item(FILE, _HEADS[kind] + draw.randbytes(64), draw), draw)


VIOLATIONS: dict[str, Violation[Item]] = {
    "SEC-01": _violation(_present),
    "SEC-02": _violation(_past),
    "SEC-03": _violation(_key),
    "SEC-04": _violation(_hidden),
    "SEC-05": _violation(_left),
    "SEC-06": _violation(_odd),
    "SEC-07": _violation(_closed),
}
